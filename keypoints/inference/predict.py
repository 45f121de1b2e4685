"""Prediction of photos: decoding, detection, network and drawing, which overlap in threads.

Imports torch only for a checkpoint.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from keypoints.data.checks import check_size
from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.geometry import ByteArray
from keypoints.inference.box_list import ListedPhoto
from keypoints.inference.detectors import use_one_thread
from keypoints.inference.photo_inputs import PhotoInputs
from keypoints.inference.prediction_files import PredictedPhoto
from keypoints.inference.predictor import Predictor, PreparedFace
from keypoints.inference.stages import Each, Together, overlapped
from keypoints.threads import threads_of_process

log = logging.getLogger(__name__)

_BATCH = 8
"""Number of photos that are predicted together. Eight photos of 12 megapixels take 300 MB."""


class PreparedPhoto(NamedTuple):
    """Photo whose faces are cropped for the network."""

    number: int
    """Index among the inputs, from 0."""
    listed: ListedPhoto
    pixels: ByteArray | DataError
    """(H, W, 3) RGB, or the error of decoding it."""
    faces: Sequence[PreparedFace] = ()
    problems: Sequence[str] = ()


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


class PhotoStages:
    """Stages of the prediction of photos. They may run in several threads, each on other photos.

    Args:
        predictor: the model.
        inputs: the photos, some with boxes.
    """

    def __init__(self, predictor: Predictor, inputs: PhotoInputs) -> None:
        self._predictor = predictor
        self._inputs = inputs

    def batches(self) -> Iterator[Sequence[int]]:
        """Yield the indices of the photos that are predicted together."""
        numbers = range(len(self._inputs.photos))
        for start in range(0, len(numbers), _BATCH):
            yield numbers[start : start + _BATCH]

    def decode(self, number: int) -> PreparedPhoto:
        """Return a photo's pixels, or the error of decoding it.

        Args:
            number: index of the photo.
        """
        listed = self._inputs.photos[number]
        try:
            return PreparedPhoto(number, listed, Photo(listed.path).decode(3))
        except DataError as error:
            return PreparedPhoto(number, listed, error)

    def locate(self, photo: PreparedPhoto) -> PreparedPhoto:
        """Return a decoded photo with the crops of its faces, which are detected unless it has boxes.

        Args:
            photo: the photo.
        """
        faces, problems = _prepare_faces(self._predictor, photo)
        return photo._replace(faces=faces, problems=problems)

    def decode_and_locate(self, number: int) -> PreparedPhoto:
        """Return a photo with the crops of its faces.

        Args:
            number: index of the photo.
        """
        return self.locate(self.decode(number))

    def predict(self, photos: Sequence[PreparedPhoto]) -> list[DonePhoto]:
        """Predict the points of a batch of photos together.

        Args:
            photos: the photos with the crops of their faces.

        Raises:
            CheckpointError: if a prediction is not finite.
        """
        points = iter(self._predictor.finish([face for photo in photos for face in photo.faces]))
        return [
            DonePhoto(
                photo.number,
                PredictedPhoto(
                    self._inputs.name(photo.listed),
                    _size(photo.pixels),
                    [next(points) for _ in photo.faces],
                    list(photo.problems),
                ),
                None if isinstance(photo.pixels, DataError) else photo.pixels,
            )
            for photo in photos
        ]


@contextmanager
def predicted_photos(
    predictor: Predictor,
    inputs: PhotoInputs,
    draw: Callable[[DonePhoto], None],
    threads: int | None = None,
) -> Iterator[Iterator[list[PredictedPhoto]]]:
    """Yield an iterator over the photos with their faces, in order, batch by batch.

    The stages run in threads, each on other photos. At the end of the block, also by an error, all threads
    have ended. A photo that cannot be used has no faces, and a problem that says why.

    Args:
        predictor: the model; with ``threads=1``, the threads of its network do not compete with these.
        inputs: the photos, some with boxes.
        draw: last stage, called with each photo in any order, from several threads.
        threads: number of threads; ``None`` for one per allowed core, or ``OMP_NUM_THREADS``.

    Yields:
        Iterator over the batches. It raises the errors of all stages.
    """
    threads = threads_of_process() if threads is None else threads
    stages = PhotoStages(predictor, inputs)

    def drawn(done: DonePhoto) -> PredictedPhoto:
        draw(done)
        return done.photo  # the pixels are no longer needed

    with photo_threads(threads) as pool:
        yield overlapped(
            stages.batches(),
            [Each(stages.decode_and_locate), Together(stages.predict), Each(drawn)],
            pool,
            most_batches(threads),
        )


def most_batches(threads: int) -> int:
    """Return the largest number of batches in work at once: enough for all threads, and few in memory.

    Args:
        threads: number of threads.
    """
    return 3 + threads // 5


@contextmanager
def photo_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Yield threads, in each of which torch and the detector use no further ones.

    At the end of the block, also by an error, work that has not started is dropped, and all threads end.

    Args:
        count: number of threads.
    """
    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    threads = ThreadPoolExecutor(count, initializer=_work_alone)
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)
        if torch is not None:
            torch.set_num_threads(before)


def _work_alone() -> None:
    """Let the libraries use one thread for the work of this thread."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
    use_one_thread()


def _prepare_faces(predictor: Predictor, photo: PreparedPhoto) -> tuple[list[PreparedFace], list[str]]:
    """Return the cropped faces of a photo, and the problems of the photo and its boxes."""
    if isinstance(photo.pixels, DataError):
        return [], [str(photo.pixels)]
    full_image = predictor.crop.source == "image"
    if photo.listed.boxes and not full_image:
        try:
            check_size(photo.listed.size, (photo.pixels.shape[1], photo.pixels.shape[0]))
        except ValueError as error:
            return [], [f"{photo.listed.path}: {error}"]
    faces: list[PreparedFace] = []
    problems = []
    for boxes in [None] if full_image or not photo.listed.boxes else [[box] for box in photo.listed.boxes]:
        try:
            faces += predictor.prepare(photo.pixels, boxes)
        except ValueError as error:
            problems.append(f"{photo.listed.path}: {error}")
    if not faces and not problems:
        problems.append(f"{photo.listed.path}: no face was found")
    return faces, problems


def _size(pixels: ByteArray | DataError) -> tuple[int, int] | None:
    return (pixels.shape[1], pixels.shape[0]) if isinstance(pixels, np.ndarray) else None
