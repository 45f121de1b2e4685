"""Prediction of photos in batches: decoding, boxes, network. Imports torch only for a checkpoint."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from itertools import count
from typing import NamedTuple

import numpy as np

from keypoints.data.checks import check_size
from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.geometry import ByteArray
from keypoints.inference.box_list import ListedPhoto
from keypoints.inference.photo_inputs import PhotoInputs
from keypoints.inference.prediction_files import PredictedPhoto
from keypoints.inference.predictor import Predictor, PreparedFace

log = logging.getLogger(__name__)

_BATCH = 8
"""Largest number of photos in memory, predicted together. Eight photos of 12 megapixels take 300 MB."""


class DonePhoto(NamedTuple):
    """Predicted photo, with its pixels while they are in memory."""

    number: int
    """Index among the inputs, from 0."""
    photo: PredictedPhoto
    pixels: ByteArray | None
    """(H, W, 3) RGB; ``None`` if it could not be read."""


def needs_detector(predictor: Predictor, inputs: PhotoInputs) -> bool:
    """Return whether faces have to be detected.

    Args:
        predictor: the model.
        inputs: the photos, some with boxes.
    """
    without_boxes = bool(inputs.clips) or not all(photo.boxes for photo in inputs.photos)
    return predictor.crop.source == "box" and without_boxes


def check_boxes(predictor: Predictor, inputs: PhotoInputs) -> None:
    """Check that the faces of all photos can be located, before anything is written.

    Args:
        predictor: the model.
        inputs: the photos, some with boxes.

    Raises:
        ConfigError: if faces have to be detected and the detector is not installed.
    """
    if needs_detector(predictor, inputs):
        _ = predictor.detector
    if predictor.crop.source == "image" and any(photo.boxes for photo in inputs.photos):
        log.info("the boxes are not used: this model was trained on full images")


def predict_photos(
    predictor: Predictor, inputs: PhotoInputs, threads: Executor
) -> Iterator[Sequence[DonePhoto]]:
    """Yield the photos with their faces, in order, batch by batch.

    A photo that cannot be used has no faces, and a problem that says why.

    Args:
        predictor: the model.
        inputs: the photos, some with boxes.
        threads: executor that decodes the photos of a batch.
    """

    def open_photo(listed: ListedPhoto) -> _Opened:
        try:
            pixels: ByteArray | DataError = Photo(listed.path).decode(3)
        except DataError as error:
            pixels = error
        return _Opened(listed, inputs.name(listed), pixels)

    for start in range(0, len(inputs.photos), _BATCH):
        batch = list(threads.map(open_photo, inputs.photos[start : start + _BATCH]))
        faces = _faces_of(predictor, batch)
        yield [
            DonePhoto(number, photo, None if isinstance(opened.pixels, DataError) else opened.pixels)
            for number, opened, photo in zip(count(start), batch, faces, strict=False)
        ]


class _Opened(NamedTuple):
    """Decoded photo of the current batch, or the error of decoding it."""

    listed: ListedPhoto
    name: str
    pixels: ByteArray | DataError


def _faces_of(predictor: Predictor, batch: Sequence[_Opened]) -> list[PredictedPhoto]:
    """Predict the faces of a batch of photos together."""
    prepared = [_prepare_faces(predictor, opened) for opened in batch]
    points = iter(predictor.finish([face for faces, _ in prepared for face in faces]))
    return [
        PredictedPhoto(opened.name, _size(opened.pixels), [next(points) for _ in faces], problems)
        for opened, (faces, problems) in zip(batch, prepared, strict=True)
    ]


def _prepare_faces(predictor: Predictor, opened: _Opened) -> tuple[list[PreparedFace], list[str]]:
    """Return the cropped faces of a photo, and the problems of the photo and its boxes."""
    if isinstance(opened.pixels, DataError):
        return [], [str(opened.pixels)]
    full_image = predictor.crop.source == "image"
    if opened.listed.boxes and not full_image:
        try:
            check_size(opened.listed.size, (opened.pixels.shape[1], opened.pixels.shape[0]))
        except ValueError as error:
            return [], [f"{opened.listed.path}: {error}"]
    faces: list[PreparedFace] = []
    problems = []
    for boxes in [None] if full_image or not opened.listed.boxes else [[box] for box in opened.listed.boxes]:
        try:
            faces += predictor.prepare(opened.pixels, boxes)
        except ValueError as error:
            problems.append(f"{opened.listed.path}: {error}")
    if not faces and not problems:
        problems.append(f"{opened.listed.path}: no face was found")
    return faces, problems


def _size(pixels: ByteArray | DataError) -> tuple[int, int] | None:
    return (pixels.shape[1], pixels.shape[0]) if isinstance(pixels, np.ndarray) else None
