"""The course's submission: a checkpoint and a list of faces in, a checked file out."""

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig
from rich.progress import track

from keypoints.datasets.face import Face
from keypoints.datasets.folders import find_root
from keypoints.datasets.ibug import PARSED_LIST, TEST_LIST, read_test_list
from keypoints.datasets.shrunken import original_of, read_map
from keypoints.datasets.submission import read_submission, write_submission
from keypoints.errors import ConfigError, DataError
from keypoints.geometry import Affine, Box, ByteArray, Crop, FloatArray, as_input, ratio_to_pixels
from keypoints.landmarks import IBUG68
from keypoints.runs import find_checkpoint
from keypoints.tasks.base import Task, load_task

log = logging.getLogger(__name__)

_BATCH = 64
_FAR = 0.5
"""Of a box's longer side: a point further outside than this is worth a look."""
_SHOWN = 5
"""So many images are named; the others are counted."""


class Listed(NamedTuple):
    """The faces that a submission is about."""

    path: Path
    """The list."""
    root: Path
    """The folder of its pictures."""
    faces: list[Face]
    """In the list's order; pictures may be missing."""
    to_originals: list[Affine]
    """From pixels of each listed picture to those of its original, which are submitted."""


def submit(cfg: DictConfig) -> Path:
    """Predict every face of the list with ``cfg.checkpoint`` and write ``cfg.output``.

    A face whose picture cannot be used gets the mean shape of the training faces, laid into its box.

    Raises:
        CheckpointError: if the checkpoint cannot be used.
        ConfigError: if it predicts other landmarks, or a value cannot be used.
        DataError: if the list cannot be read, or a face can be neither predicted nor guessed.
    """
    path, _ = find_checkpoint(cfg.checkpoint, cfg.which)
    task = load_task(path)
    if task.scheme != IBUG68:
        raise ConfigError(
            f"{path}: predicts {task.scheme.name} ({len(task.scheme)} points); a submission has the "
            f"{len(IBUG68)} points of {IBUG68.name}"
        )
    output = Path(str(cfg.output))
    if not output.name.endswith((".csv", ".csv.gz")):
        raise ConfigError(f"output={output}: a submission is a .csv or a .csv.gz")
    listed = read_listed(cfg)
    points = _predicted(task, listed.faces)
    _warn_of_far(listed, points)
    submitted = [to_original(own) for to_original, own in zip(listed.to_originals, points, strict=True)]
    write_submission(output, np.stack(submitted))
    read_submission(output, len(IBUG68), len(listed.faces))
    return output


def check(cfg: DictConfig) -> int:
    """Check the submission ``cfg.check``, against the list if there is one; gives the number of images.

    Raises:
        DataError: if it is not valid, or the list cannot be read.
    """
    path = Path(str(cfg.check))
    try:
        listed = read_listed(cfg)
    except DataError as error:
        if cfg.list is not None or cfg.root is not None:
            raise
        log.warning("without a list, so the number of images is not checked: %s", error)
        return len(read_submission(path, len(IBUG68)))
    points = read_submission(path, len(IBUG68), len(listed.faces))
    _warn_of_far(listed, [back.inverse()(own) for back, own in zip(listed.to_originals, points, strict=True)])
    return len(points)


def read_listed(cfg: DictConfig) -> Listed:
    """The faces of ``cfg.list``, or of the test list below ``cfg.root``.

    Raises:
        DataError: if there is no such list, or a face in it has no box or a damaged one.
    """
    if cfg.list is not None:
        path = Path(str(cfg.list))
        root = path.parent if cfg.root is None else Path(str(cfg.root))
    else:
        root = find_root("ibug300w", cfg.paths.data, cfg.root)
        there = [root / name for name in (PARSED_LIST, TEST_LIST) if (root / name).is_file()]
        if not there:
            raise DataError(f"{root}: has neither {PARSED_LIST} nor {TEST_LIST}; name one: list=<file>")
        path = there[0]
    faces = read_test_list(path, root)
    originals = read_map(root)
    if originals:
        back = [original_of(face, root, originals).to_original for face in faces]
        log.info("%s: coordinates are pixels of the originals, by the map beside the list", path)
    else:
        back = [Affine(np.eye(2, 3)) for _ in faces]
        log.info("%s: coordinates are pixels of the listed pictures", path)
    return Listed(path, root, faces, back)


def _predicted(task: Task, faces: Sequence[Face]) -> list[FloatArray]:
    """Each face's points, (K, 2) pixels of its picture."""
    task.to("cuda" if torch.cuda.is_available() else "cpu")
    points: list[FloatArray] = []
    guessed: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as threads, torch.inference_mode():

        def prepare(face: Face) -> tuple[ByteArray, Affine] | DataError:
            try:
                return task.crop(face.photo.decode(task.crop.channels), face.box)
            except ValueError as error:
                return DataError(f"{face.photo.path}: {error}")
            except DataError as error:
                return error

        batches = [faces[start : start + _BATCH] for start in range(0, len(faces), _BATCH)]
        for batch in track(batches, "predicting", transient=True):
            prepared = list(threads.map(prepare, batch))
            found = _forward(task, [item[0] for item in prepared if not isinstance(item, DataError)])
            for face, item in zip(batch, prepared, strict=True):
                if isinstance(item, DataError):
                    points.append(_mean_shape(task, face))
                    guessed.append(str(item))
                else:
                    pixels = ratio_to_pixels(next(found), task.crop.size)
                    points.append(item[1].inverse()(pixels))
    for problem in guessed:
        log.warning("gets the mean shape in its box: %s", problem)
    return points


def _forward(task: Task, crops: Sequence[ByteArray]) -> Iterator[FloatArray]:
    """The task's predictions for these crops, (K, 2) ratios each."""
    if not crops:
        return iter(())
    images = torch.from_numpy(as_input(crops))
    return iter(task(images.to(task.device)).double().cpu().numpy())


def _mean_shape(task: Task, face: Face) -> FloatArray:
    """The mean of the training faces in the face's box, (K, 2) pixels of its picture, which is not needed."""
    if task.trained_on is None:
        raise DataError(f"{face.photo.path}: cannot be read, and the checkpoint has no mean shape to give it")
    return _region(task.crop, face)(ratio_to_pixels(task.trained_on.mean, task.crop.size))


def _region(crop: Crop, face: Face) -> Affine:
    """The map to pixels of a face's picture from those of the input."""
    if crop.source == "image":  # its size would be needed
        raise DataError(f"{face.photo.path}: cannot be read, so it is not known where a face would be")
    return Affine.between(Box.whole(crop.size), crop.region((1, 1), face.box))


def _warn_of_far(listed: Listed, points: Sequence[FloatArray]) -> None:
    """Name the images with a point far outside their box; ``points`` are pixels of the listed pictures."""
    far = []
    for face, own in zip(listed.faces, points, strict=True):
        assert face.box is not None  # dlib's lists have one each
        low = np.array([face.box.left, face.box.top])
        outside = np.maximum(low - own, own - low - (face.box.width, face.box.height)).max()
        if outside > _FAR * max(face.box.width, face.box.height):
            far.append(f"{face.photo.path.relative_to(listed.root)} ({outside:.0f} px outside)")
    if far:
        more = f" and {len(far) - _SHOWN} more" if len(far) > _SHOWN else ""
        log.warning("points far from their boxes: %s%s", ", ".join(far[:_SHOWN]), more)
