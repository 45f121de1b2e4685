"""A model at work: photos in, faces with their points out. Imports torch for a checkpoint alone.

>>> from keypoints import Predictor
>>> p = Predictor("model.onnx")  # doctest: +SKIP
>>> faces = p("photo.jpg")  # doctest: +SKIP
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from keypoints.data.photos import Photo, grey
from keypoints.data.provenance import TrainingFaces
from keypoints.data.statistics import Support
from keypoints.errors import CheckpointError, ConfigError, DataError
from keypoints.geometry import Affine, Box, ByteArray, Crop, FloatArray, as_input, ratio_to_pixels
from keypoints.inference.detection import FaceDetector
from keypoints.inference.onnx_model import ExportedModel, Located
from keypoints.inference.prediction_files import Origin, PredictedFace
from keypoints.landmarks import LandmarkScheme
from keypoints.runs.checkpoint_files import find_checkpoint
from keypoints.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from keypoints.tasks.base import Task

LEAST_SIDE = 8
"""Pixels: a picture that is narrower shows no face."""

_AT_ONCE = 64
"""Faces that go through the network together: a crowd would take all memory."""


class Model(Protocol):
    """What prediction and evaluation need of a network, wherever it comes from.

    Attributes:
        scheme: the landmarks that it predicts.
        crop: how a photo becomes its input.
        mean_shape: the mean of its training faces, (K, 2) ratios of the input, if the file keeps it.
        support: what those faces were like, if the file keeps it.
        trained_on: what the file keeps of them besides.
        at_once: how many faces may go through it together.
        runtime: what runs it, for reports.
    """

    scheme: LandmarkScheme
    crop: Crop
    mean_shape: FloatArray | None
    support: Support | None
    trained_on: TrainingFaces | None
    at_once: int
    runtime: str

    def __call__(self, images: npt.NDArray[np.float32]) -> Located:
        """(B, C, H, W) images in [-0.5, 0.5] to their points."""


class PreparedFace(NamedTuple):
    """A face of a photo, ready for the network."""

    crop: ByteArray
    """(height, width, channels)"""
    affine: Affine
    """From pixels of the photo to those of the crop."""
    box: Box
    origin: Origin
    score: float | None


class Predictor:
    """Predicts the landmarks of all faces of a photo. How a face is cut out, the file says.

    Of a model that was trained on whole pictures, each photo is one face. Of one that was trained on
    boxes, the faces are those whose boxes are given, or else those that are detected.

    Args:
        path: a checkpoint, a run's folder, of which the best is taken, or an exported ``.onnx``.
        which: ``"best"`` or ``"last"``, of a run's folder.
        flip_test: look at the mirror image of each face too, and give the mean; of a checkpoint. An exported
            model does so if it was exported so.
        trust: packages of your own whose code a checkpoint may name; see :mod:`keypoints.components`.

    Attributes:
        scheme: the landmarks: their number, order and names.
        crop: how a face is cut out.
        mean_shape: the mean of the training faces, (K, 2) ratios of the crop, or ``None`` of a model whose
            file does not keep it.
        support: what the training faces were like, for :func:`keypoints.data.statistics.remarks`; ``None`` of
            files that do not keep it.
        trained_on: what the file keeps of the training faces; ``None`` if it does not.
        at_once: how many faces go through the network together, at most.
        runtime: what runs it, for reports.

    Raises:
        CheckpointError: if the file cannot be used.
        ConfigError: if it allows no flip test.
    """

    def __init__(
        self,
        path: str | Path,
        which: str = "best",
        *,
        flip_test: bool = False,
        trust: str | Iterable[str] | None = None,
    ) -> None:
        self.path, run = find_checkpoint(str(path), which)
        self._model = load_model(self.path, run, flip_test=flip_test, trust=trust)
        self.scheme = self._model.scheme
        self.crop = self._model.crop
        self.mean_shape = self._model.mean_shape
        self.support = self._model.support
        self.trained_on = self._model.trained_on
        self.at_once = self._model.at_once
        self.runtime = self._model.runtime

    def __call__(
        self, photo: str | Path | ByteArray, boxes: Sequence[Box] | None = None
    ) -> list[PredictedFace]:
        """The faces of ``photo``, in the order of ``boxes``, or else the surest first.

        Args:
            photo: a file, or pixels: (H, W) grey or (H, W, 3) RGB bytes.
            boxes: of its faces, in pixels of the upright photo; ``None`` where they are to be detected.

        Raises:
            DataError: if it is no picture, is too small, or a box misses it.
            ConfigError: if faces have to be detected and dlib is not installed.
        """
        if isinstance(photo, np.ndarray):
            name, pixels = "the array", photo
        else:
            name, pixels = str(photo), Photo(Path(photo)).decode(3)
        try:
            return self.finish(self.prepare(pixels, boxes))
        except ValueError as error:
            raise DataError(f"{name}: {error}") from error

    @cached_property
    def detector(self) -> FaceDetector:
        """Finds faces in photos without boxes.

        Raises:
            ConfigError: if dlib is not installed.
        """
        return FaceDetector()

    def prepare(self, pixels: ByteArray, boxes: Sequence[Box] | None = None) -> list[PreparedFace]:
        """The faces of a photo, found and cut out; :meth:`finish` takes those of several photos at once.

        Raises:
            ValueError: if the pixels are none, too few, or a box misses them.
            ConfigError: if faces have to be detected and dlib is not installed.
        """
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
            raise ValueError(
                "a picture is an array of bytes (uint8), (H, W) grey or (H, W, 3) RGB, "
                f"not {pixels.dtype} {pixels.shape}"
            )
        height, width = pixels.shape[:2]
        if min(width, height) < LEAST_SIDE:
            raise ValueError(f"a picture of {width} × {height} pixels is too small to show a face")
        found: list[tuple[Box, Origin, float | None]]
        if self.crop.source == "image":
            found = [(Box.whole((width, height)), "image", None)]
        elif boxes is not None:
            found = [(box, "given", None) for box in boxes]
        else:
            found = [(face.box, "detected", face.score) for face in self.detector(pixels)]
        if self.crop.channels == 1 and pixels.ndim == 3:
            pixels = grey(pixels)
        elif self.crop.channels == 3 and pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        return [PreparedFace(*self.crop(pixels, box), box, origin, score) for box, origin, score in found]

    def finish(self, faces: Sequence[PreparedFace]) -> list[PredictedFace]:
        """The points of these faces, in pixels of their photos.

        Raises:
            CheckpointError: if the network gives no finite numbers.
        """
        batches = [faces[start : start + self.at_once] for start in range(0, len(faces), self.at_once)]
        return [found for batch in batches for found in self._finish(batch)]

    def _finish(self, faces: Sequence[PreparedFace]) -> list[PredictedFace]:
        ratios, confidence = self._model(as_input([face.crop for face in faces]))
        if not np.isfinite(ratios).all():
            raise CheckpointError(f"{self.path}: predicts no finite numbers; its weights are broken")
        return [
            PredictedFace(
                face.box,
                face.affine.inverse()(ratio_to_pixels(own, self.crop.size)),
                face.origin,
                face.score,
                sure,
            )
            for face, own, sure in zip(
                faces, ratios, [None] * len(faces) if confidence is None else confidence, strict=True
            )
        ]


def load_model(
    path: Path,
    run: RunFolder | None = None,
    *,
    flip_test: bool = False,
    trust: str | Iterable[str] | None = None,
    device: str = "auto",
) -> Model:
    """Return the model in a file: the task of a checkpoint, or a network that was exported as ONNX.

    Args:
        path: the file; an ONNX file's name ends in ``.onnx``.
        run: that a checkpoint is of, if it is known: it names the training faces' data.
        flip_test, trust: as of :class:`Predictor`.
        device: what a checkpoint's network runs on, as torch calls it, or ``"auto"``; an ONNX file's runs on
            the CPU.

    Raises:
        CheckpointError: if the file cannot be used.
        ConfigError: if it allows no flip test, or the device cannot be used.
    """
    if path.suffix.lower() != ".onnx":
        from keypoints.tasks.base import load_task, usable_device

        task = load_task(path, flip_test=flip_test, trust=trust).to(usable_device(device))
        return TaskModel(task, None if run is None else run.data_name)
    if flip_test:
        raise ConfigError(f"{path}: does a flip test if it was exported with flip_test=true")
    if device not in ("auto", "cpu"):
        raise ConfigError(f"{path}: an ONNX file is run on the CPU, so device is auto or cpu, not {device!r}")
    return ExportedModel(path)


class TaskModel:
    """A task as a model, on the device where it is.

    Args:
        task: in evaluation mode.
        data_name: of the data set that it was trained on, if it is known.
    """

    at_once = _AT_ONCE

    def __init__(self, task: "Task", data_name: str | None = None) -> None:
        self._task = task
        self.runtime = f"torch on {task.device}"
        self.scheme = task.scheme
        self.crop = task.crop
        self.trained_on: TrainingFaces | None = None
        self.support: Support | None = None
        self.mean_shape: FloatArray | None = None
        if task.trained_on is not None:
            self.trained_on = task.trained_on.to_keep(data_name)
            self.support = task.trained_on.support
            self.mean_shape = np.array(task.trained_on.mean)

    def __call__(self, images: npt.NDArray[np.float32]) -> Located:
        """(B, C, H, W) images in [-0.5, 0.5] to their points."""
        import torch

        with torch.inference_mode():
            points, confidence = self._task.locate(torch.from_numpy(images).to(self._task.device))
        return Located(
            points.cpu().double().numpy(), None if confidence is None else confidence.cpu().double().numpy()
        )
