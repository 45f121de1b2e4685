"""Prediction: photos in; drawn photos, a table and a document out. Imports torch for a checkpoint alone."""

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from omegaconf import DictConfig
from PIL import Image
from rich.progress import track

from keypoints.data.checks import check_size
from keypoints.data.photos import Photo
from keypoints.drawing import draw_predictions
from keypoints.errors import DataError
from keypoints.files import alone, filled, replaced, tidy
from keypoints.geometry import ByteArray
from keypoints.inference.box_list import ListedPhoto
from keypoints.inference.photo_inputs import PhotoInputs, find_photos
from keypoints.inference.prediction_files import PAGE, TABLE, PredictedPhoto, prediction_files
from keypoints.inference.predictor import Predictor, PreparedFace

log = logging.getLogger(__name__)

OVERLAYS = "overlays"
"""The folder of the drawn photos, in that of the results."""

_HELD = "{}: holds predictions already; name another folder: output=<folder>"

_BATCH = 8
"""Photos that are in memory at once: their faces are one batch. Eight of 12 megapixels take 300 MB."""

_LONGEST = 240
"""Bytes of a name, which gets more behind it; file systems take 255."""
_COMPRESSION = 1
"""Of the drawn photos: Pillow's own choice, 6, takes longer than all the rest and saves a fifth."""


class Predicted(NamedTuple):
    """What a prediction gave."""

    folder: Path
    photos: int
    faces: int
    with_problems: int
    """Photos that could not be read, show no face, or have a box that cannot be used."""
    page: Path | None
    """The report, if one was asked for."""


class Report(Protocol):
    """A page of the photos; :class:`keypoints.reports.photos.PhotoReport` is one."""

    def add(self, number: int, photo: PredictedPhoto, pixels: ByteArray | None, overlay: Path | None) -> None:
        """Add a photo.

        Args:
            number: of the photo, from 0.
            photo: with its faces.
            pixels: of the photo; ``None`` if it could not be read.
            overlay: the file of the photo with its points.
        """

    def write(self) -> Path:
        """Write the page."""


def predict(cfg: DictConfig, make_report: Callable[[Path, Predictor], Report]) -> Predicted:
    """Predict the faces of the photos ``cfg.input`` with ``cfg.checkpoint`` and write them to ``cfg.output``.

    A photo that cannot be used is named and written down as such, and the others go on. The files are there
    only once all photos are done, and the table comes last: where it is missing, the command was stopped, and
    can be given again.

    Args:
        cfg: the configuration of ``keypoints predict``.
        make_report: makes an empty page in a folder, for the faces that a predictor finds.

    Raises:
        CheckpointError: if the checkpoint cannot be used.
        ConfigError: if a value cannot be used, or faces have to be detected and dlib is not installed.
        DataError: if there is no photo, the list cannot be read, the folder holds predictions already, or
            another command writes to it.
    """
    folder = Path(str(cfg.output))
    if (folder / TABLE).exists():
        tidy(folder)
        raise DataError(_HELD.format(folder))
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; name a folder: output=<folder>")
    root = None if cfg.root is None else Path(str(cfg.root))
    inputs = find_photos(str(cfg.input), root, without=folder)
    predictor = Predictor(str(cfg.checkpoint), cfg.which, flip_test=cfg.flip_test, trust=cfg.trust)
    if predictor.crop.source == "box" and not all(photo.boxes for photo in inputs.photos):
        _ = predictor.detector  # if there is none, it is said before anything is written
    if predictor.crop.source == "image" and any(photo.boxes for photo in inputs.photos):
        log.info("boxes are not looked at: this model was trained on whole pictures")
    with alone(folder):
        if (folder / TABLE).exists():  # another command has ended meanwhile
            raise DataError(_HELD.format(folder))
        with filled(folder, last=TABLE) as part:
            faces, problems, with_problems = _write(
                predictor, inputs, part, make_report if cfg.report else None
            )
    for problem in problems:  # not before, or the progress would be drawn over them
        log.warning("%s", os.fsencode(problem).decode("utf-8", "replace"))  # a name may be no Unicode text
    page = folder / PAGE if cfg.report else None
    return Predicted(folder, len(inputs.photos), faces, with_problems, page)


def _write(
    predictor: Predictor,
    inputs: PhotoInputs,
    folder: Path,
    make_report: Callable[[Path, Predictor], Report] | None,
) -> tuple[int, list[str], int]:
    """Write all files; return the number of faces, the problems, and the number of photos with some."""
    (folder / OVERLAYS).mkdir()
    faces = with_problems = 0
    problems: list[str] = []
    about = {"model": str(predictor.path), "crop": predictor.crop.to_dict()}
    with prediction_files(folder, predictor.scheme, about) as files:
        page = None if make_report is None else make_report(folder, predictor)
        results = _predicted(predictor, inputs, folder / OVERLAYS, page)
        silent = not sys.stdout.isatty()
        for photo in track(results, "predicting", len(inputs.photos), transient=True, disable=silent):
            files.add(photo)
            faces += len(photo.faces)
            with_problems += bool(photo.problems)
            problems += photo.problems
        if page is not None:
            page.write()
    return faces, problems, with_problems


class _Opened(NamedTuple):
    """A photo of the batch that is worked on."""

    listed: ListedPhoto
    name: str
    pixels: ByteArray | DataError


def _predicted(
    predictor: Predictor, inputs: PhotoInputs, overlays: Path, report: Report | None
) -> Iterator[PredictedPhoto]:
    """What becomes of each photo, in order, batch by batch; their pictures are drawn on the way."""

    def open_photo(listed: ListedPhoto) -> _Opened:
        try:
            pixels: ByteArray | DataError = Photo(listed.path).decode(3)
        except DataError as error:
            pixels = error
        return _Opened(listed, inputs.name(listed), pixels)

    def draw(number: int, opened: _Opened, done: PredictedPhoto) -> None:
        pixels = None if isinstance(opened.pixels, DataError) else opened.pixels
        overlay = None
        if done.faces and pixels is not None:
            faces = [(face.box, face.points) for face in done.faces]
            drawn = draw_predictions(pixels, faces, predictor.scheme.skeleton)
            overlay = overlays / _overlay_name(opened.name)
            overlay.parent.mkdir(parents=True, exist_ok=True)
            with replaced(overlay) as temporary:
                Image.fromarray(drawn).save(temporary, "PNG", compress_level=_COMPRESSION)
        if report is not None:
            report.add(number, done, pixels, overlay)

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow works outside the interpreter's lock
        for start in range(0, len(inputs.photos), _BATCH):
            batch = list(threads.map(open_photo, inputs.photos[start : start + _BATCH]))
            done = _faces_of(predictor, batch)
            list(threads.map(draw, count(start), batch, done))
            yield from done


def _overlay_name(name: str) -> str:
    """The photo's own name with ``.png`` behind it, shortened where that is more than a file can have."""
    path = Path(name)
    if len(os.fsencode(path.name)) <= _LONGEST:
        return f"{name}.png"
    kept = os.fsencode(path.name)[: _LONGEST - 9].decode("utf-8", "ignore")
    return str(path.with_name(f"{kept}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}.png"))


def _faces_of(predictor: Predictor, batch: Sequence[_Opened]) -> list[PredictedPhoto]:
    """What becomes of the photos of a batch: their faces go through the network together."""
    prepared = [_prepared(predictor, opened) for opened in batch]
    points = iter(predictor.finish([face for faces, _ in prepared for face in faces]))
    return [
        PredictedPhoto(opened.name, _size(opened.pixels), [next(points) for _ in faces], problems)
        for opened, (faces, problems) in zip(batch, prepared, strict=True)
    ]


def _prepared(predictor: Predictor, opened: _Opened) -> tuple[list[PreparedFace], list[str]]:
    """The faces of a photo, and what is wrong with it or with one of its boxes."""
    if isinstance(opened.pixels, DataError):
        return [], [str(opened.pixels)]
    whole = predictor.crop.source == "image"
    if opened.listed.boxes and not whole:
        try:
            check_size(opened.listed.size, (opened.pixels.shape[1], opened.pixels.shape[0]))
        except ValueError as error:
            return [], [f"{opened.listed.path}: {error}"]
    faces: list[PreparedFace] = []
    problems = []
    for boxes in [None] if whole or not opened.listed.boxes else [[box] for box in opened.listed.boxes]:
        try:
            faces += predictor.prepare(opened.pixels, boxes)
        except ValueError as error:
            problems.append(f"{opened.listed.path}: {error}")
    if not faces and not problems:
        problems.append(f"{opened.listed.path}: no face was found")
    return faces, problems


def _size(pixels: ByteArray | DataError) -> tuple[int, int] | None:
    return (pixels.shape[1], pixels.shape[0]) if isinstance(pixels, np.ndarray) else None
