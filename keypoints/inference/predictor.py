"""Prediction: photos in, faces with their points out. Imports torch only for a checkpoint.

>>> from keypoints import Predictor
>>> p = Predictor("model.onnx")  # doctest: +SKIP
>>> faces = p("photo.jpg")  # doctest: +SKIP
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from keypoints.confidence import ConfidenceCalibration
from keypoints.crop import Crop, as_input
from keypoints.data.photos import Photo, grey
from keypoints.data.provenance import TrainingFaces
from keypoints.data.statistics import Support
from keypoints.drawing import draw_predictions
from keypoints.errors import CheckpointError, ConfigError, DataError
from keypoints.formatting import counted
from keypoints.geometry import Affine, Box, ByteArray, FloatArray, ratio_to_pixels
from keypoints.inference.detection import FaceDetector
from keypoints.inference.onnx_model import ExportedModel, Located
from keypoints.inference.prediction_files import FaceView, Origin, PredictedFace
from keypoints.landmarks import LandmarkScheme
from keypoints.runs.checkpoint_files import find_checkpoint
from keypoints.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from keypoints.tasks.base import Task

LEAST_SIDE = 8
"""Smallest side of a photo in pixels; a smaller photo cannot show a face."""

_AT_ONCE = 64
"""Largest number of faces in one batch, so that a photo of a crowd does not fill the memory."""


class Model(Protocol):
    """Interface of a model for prediction and evaluation, whatever its file's format.

    Attributes:
        scheme: landmarks that the model predicts.
        crop: crop convention, from photo to network input.
        mean_shape: mean of the training faces, (K, 2) ratios of the input; ``None`` if not stored.
        support: training-data statistics; ``None`` if not stored.
        trained_on: provenance of the training faces; ``None`` if not stored.
        versions: versions of the libraries of the training; empty if not stored.
        confidence_calibration: errors of the validation faces by their confidence; ``None`` if not stored.
        at_once: largest number of faces in one batch.
        runtime: name of the runtime and device, for reports.
    """

    scheme: LandmarkScheme
    crop: Crop
    mean_shape: FloatArray | None
    support: Support | None
    trained_on: TrainingFaces | None
    versions: Mapping[str, str]
    confidence_calibration: ConfidenceCalibration | None
    at_once: int
    runtime: str

    def __call__(self, images: npt.NDArray[np.float32]) -> Located:
        """Predict the points of (B, C, H, W) images in [-0.5, 0.5]."""


class PreparedFace(NamedTuple):
    """Face of a photo, cropped for the network."""

    crop: ByteArray
    """(height, width, channels) bytes."""
    affine: Affine
    """Map from pixels of the photo to pixels of the crop."""
    box: Box
    origin: Origin
    score: float | None


class Predictor:
    """Predictor of the landmarks of all faces in a photo, from a checkpoint or an ONNX file.

    The file determines how a face is cropped. For a model that was trained on full images, each photo is one
    face. For a model that was trained on boxes, boxes are given or else detected.

    Args:
        path: a checkpoint, a run's folder, or an exported ``.onnx`` file; or a task, such as one of a network
            that was made in Python. A task is put into evaluation mode.
        which: checkpoint to take from a run's folder, ``"best"`` or ``"last"``.
        flip_test: average the predictions on each face and its mirrored copy; only for a checkpoint. For an
            exported model, the flip test is chosen at export.
        trust: the user's own packages whose code a checkpoint may name; see :mod:`keypoints.components`.

    Attributes:
        scheme: landmarks: their number, order and names.
        crop: crop convention, from photo to network input.
        mean_shape: mean of the training faces, (K, 2) ratios of the crop; ``None`` if the file does not
            store it.
        support: training-data statistics, for
            :func:`keypoints.data.statistics.out_of_distribution_notes`; ``None`` if the file lacks them.
        trained_on: provenance of the training faces; ``None`` if the file does not store it.
        confidence_calibration: errors of the validation faces by their confidence, which give predicted faces
            an expected error and a note; ``None`` if the file does not store them.
        at_once: largest number of faces in one batch.
        runtime: name of the runtime and device, for reports.

    Raises:
        CheckpointError: if the file cannot be used.
        ConfigError: if a flip test is not possible.
    """

    def __init__(
        self,
        path: "str | Path | Task",
        which: str = "best",
        *,
        flip_test: bool = False,
        trust: str | Iterable[str] | None = None,
    ) -> None:
        self._model: Model
        if isinstance(path, str | Path):
            self.path, run = find_checkpoint(str(path), which)
            self._model = load_model(self.path, run, flip_test=flip_test, trust=trust)
        else:
            self.path, self._model = Path(type(path).__name__), _model_of(path, flip_test=flip_test)
        self.scheme = self._model.scheme
        self.crop = self._model.crop
        self.mean_shape = self._model.mean_shape
        self.support = self._model.support
        self.trained_on = self._model.trained_on
        self.confidence_calibration = self._model.confidence_calibration
        self.at_once = self._model.at_once
        self.runtime = self._model.runtime

    def __call__(
        self, photo: str | Path | ByteArray, boxes: Sequence[Box] | None = None
    ) -> list[PredictedFace]:
        """Predict the faces of a photo.

        Args:
            photo: a file, or pixels: (H, W) grey or (H, W, 3) RGB bytes.
            boxes: boxes of the faces, in pixels of the upright photo; ``None`` to detect them. They are
                ignored if the model was trained on full images.

        Returns:
            The faces, in the order of ``boxes``; detected faces by falling score.

        Raises:
            CheckpointError: if a prediction is not finite.
            DataError: if the photo is no picture or too small, or a box lies outside it or is too large.
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

    def __repr__(self) -> str:
        crop, source = self.crop, "full images" if self.crop.source == "image" else "boxes"
        points = counted(len(self.scheme), "point")
        return (
            f"Predictor('{self.path}': {points} of {self.scheme.name} in {source}, input of {crop.width} × "
            f"{crop.height} × {crop.channels}, {self.runtime})"
        )

    def draw(self, photo: str | Path | ByteArray, faces: Sequence[PredictedFace]) -> Image.Image:
        """Draw the boxes and points of predicted faces on their photo.

        Args:
            photo: a file, or pixels: (H, W) grey or (H, W, 3) RGB bytes.
            faces: faces of this photo, as :meth:`__call__` returns them.

        Returns:
            The picture; very large photos are shrunk and very small ones enlarged.

        Raises:
            DataError: if the photo is no picture.
        """
        pixels = photo if isinstance(photo, np.ndarray) else Photo(Path(photo)).decode(3)
        drawn = draw_predictions(pixels, [(face.box, face.points) for face in faces], self.scheme.skeleton)
        return Image.fromarray(drawn)

    @cached_property
    def detector(self) -> FaceDetector:
        """Detector of faces in photos without boxes.

        Raises:
            ConfigError: if dlib is not installed.
        """
        return FaceDetector()

    def prepare(self, pixels: ByteArray, boxes: Sequence[Box] | None = None) -> list[PreparedFace]:
        """Detect and crop the faces of a photo; :meth:`finish` then predicts their points.

        Args:
            pixels: (H, W) grey or (H, W, 3) RGB bytes.
            boxes: see :meth:`__call__`.

        Returns:
            The cropped faces, in the order of ``boxes``; detected faces by falling score.

        Raises:
            ValueError: if the pixels are no picture or too few, or a box lies outside them or is too large.
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
        located: list[tuple[Box, Origin, float | None]]
        if self.crop.source == "image":
            located = [(Box.of_image((width, height)), "image", None)]
        elif boxes is not None:
            located = [(box, "given", None) for box in boxes]
        else:
            located = [(face.box, "detected", face.score) for face in self.detector(pixels)]
        if self.crop.channels == 1 and pixels.ndim == 3:
            pixels = grey(pixels)
        elif self.crop.channels == 3 and pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        return [PreparedFace(*self.crop(pixels, box), box, origin, score) for box, origin, score in located]

    def finish(self, faces: Sequence[PreparedFace]) -> list[PredictedFace]:
        """Predict the points of cropped faces.

        Args:
            faces: faces of one or more photos, from :meth:`prepare`.

        Returns:
            The predicted faces, in the same order, with points in pixels of their photos.

        Raises:
            CheckpointError: if a prediction is not finite.
        """
        batches = [faces[start : start + self.at_once] for start in range(0, len(faces), self.at_once)]
        return [face for batch in batches for face in self._finish(batch)]

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
                *self._expected(sure),
                FaceView(face.crop, own, self.scheme.skeleton),
            )
            for face, own, sure in zip(
                faces, ratios, [None] * len(faces) if confidence is None else confidence, strict=True
            )
        ]

    def _expected(self, confidence: FloatArray | None) -> tuple[float | None, str]:
        """Return the expected error of a face and a note, by the confidence of its points, (K,)."""
        if confidence is None or self.confidence_calibration is None:
            return None, ""
        mean = float(confidence.mean())
        return self.confidence_calibration.expected_error(mean), self.confidence_calibration.note(mean)


def load_model(
    path: Path,
    run: RunFolder | None = None,
    *,
    flip_test: bool = False,
    trust: str | Iterable[str] | None = None,
    device: str = "auto",
) -> Model:
    """Return the model of a file: the task of a checkpoint, or an exported ONNX network.

    Args:
        path: the file; the name of an ONNX file ends in ``.onnx``.
        run: run of the checkpoint, if known; its configuration names the training data.
        flip_test: see :class:`Predictor`.
        trust: see :class:`Predictor`.
        device: torch's name of the device for a checkpoint's network, or ``"auto"``; an ONNX file always runs
            on the CPU.

    Raises:
        CheckpointError: if the file cannot be used.
        ConfigError: if a flip test is not possible, or the device cannot be used.
    """
    if path.suffix.lower() != ".onnx":
        from keypoints.tasks.base import load_task, usable_device

        task = load_task(path, flip_test=flip_test, trust=trust).to(usable_device(device))
        return TaskModel(task, None if run is None else run.data_name)
    if flip_test:
        raise ConfigError(
            f"{path}: an ONNX file does a flip test only if it was exported with flip_test=true, and then "
            "always: leave out flip_test"
        )
    if device not in ("auto", "cpu"):
        raise ConfigError(f"{path}: an ONNX file is run on the CPU, so device is auto or cpu, not {device!r}")
    return ExportedModel(path)


def _model_of(task: object, *, flip_test: bool) -> "TaskModel":
    """Return a task as a model, in evaluation mode.

    Raises:
        ConfigError: if it is no task, or a flip test is not possible.
    """
    from keypoints.tasks.base import Task

    if not isinstance(task, Task):
        raise ConfigError(f"a Predictor takes a path or a task, not a {type(task).__name__}")
    if flip_test:
        task.flip_test()
    return TaskModel(task.eval())


class TaskModel:
    """Task of a checkpoint as a :class:`Model`, on the task's device.

    Args:
        task: task in evaluation mode.
        data_name: name of the data set that the task was trained on, if known.
    """

    at_once = _AT_ONCE

    def __init__(self, task: "Task", data_name: str | None = None) -> None:
        self._task = task
        self.runtime = f"torch on {task.device}"
        self.scheme = task.scheme
        self.crop = task.crop
        self.versions = task.versions
        self.confidence_calibration = task.confidence_calibration
        self.trained_on: TrainingFaces | None = None
        self.support: Support | None = None
        self.mean_shape: FloatArray | None = None
        if task.trained_on is not None:
            self.trained_on = task.trained_on.to_keep(data_name)
            self.support = task.trained_on.support
            self.mean_shape = np.array(task.trained_on.mean)

    def __call__(self, images: npt.NDArray[np.float32]) -> Located:
        """Predict the points of (B, C, H, W) images in [-0.5, 0.5]."""
        import torch

        with torch.inference_mode():
            points, confidence = self._task.locate(torch.from_numpy(images).to(self._task.device))
        # Converted by NumPy: some devices (MPS) have no float64.
        return Located(
            points.cpu().numpy().astype(np.float64),
            None if confidence is None else confidence.cpu().numpy().astype(np.float64),
        )
