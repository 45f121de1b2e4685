"""Models for prediction: one interface for a checkpoint's task and an exported ONNX network.

Imports torch only for a checkpoint.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from keypoints.confidence import ConfidenceCalibration
from keypoints.crop import Crop
from keypoints.data.provenance import TrainingFaces
from keypoints.data.statistics import Support
from keypoints.errors import ConfigError
from keypoints.geometry import FloatArray
from keypoints.inference.onnx_model import ExportedModel, Located
from keypoints.landmarks import LandmarkScheme
from keypoints.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from keypoints.tasks.base import Task

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


def load_model(
    path: Path,
    run: RunFolder | None = None,
    *,
    flip_test: bool = False,
    trust: str | Iterable[str] | None = None,
    device: str = "auto",
    provider: str | None = None,
    threads: int | None = None,
) -> Model:
    """Return the model of a file: the task of a checkpoint, or an exported ONNX network.

    Args:
        path: the file; the name of an ONNX file ends in ``.onnx``.
        run: run of the checkpoint, if known; its configuration names the training data.
        flip_test: see :class:`Predictor`.
        trust: see :class:`Predictor`.
        device: torch's name of the device for a checkpoint's network, or ``"auto"``.
        provider: what runs an ONNX file, see :class:`~keypoints.inference.onnx_model.ExportedModel`.
        threads: threads of an ONNX file's network, see there; torch has one number for the whole process.

    Raises:
        CheckpointError: if the file cannot be used.
        ConfigError: if a flip test is not possible, or the device or the provider cannot be used.
    """
    if path.suffix.lower() != ".onnx":
        if provider is not None:
            raise ConfigError(f"{path}: provider={provider} is for ONNX files; a checkpoint runs in torch")
        from keypoints.tasks.base import load_task, usable_device

        task = load_task(path, flip_test=flip_test, trust=trust).to(usable_device(device))
        return TaskModel(task, None if run is None else run.data_name)
    if flip_test:
        raise ConfigError(
            f"{path}: an ONNX file does a flip test only if it was exported with flip_test=true, and then "
            "always: leave out flip_test"
        )
    if device not in ("auto", "cpu"):
        raise ConfigError(
            f"{path}: device={device} is for checkpoints; for an ONNX file say provider={device}"
        )
    return ExportedModel(path, provider, threads)


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


def model_of(task: object, *, flip_test: bool) -> TaskModel:
    """Return a task as a model, in evaluation mode.

    Args:
        task: the task.
        flip_test: see :class:`keypoints.inference.predictor.Predictor`.

    Raises:
        ConfigError: if it is no task, or a flip test is not possible.
    """
    from keypoints.tasks.base import Task

    if not isinstance(task, Task):
        raise ConfigError(
            f"a Predictor takes a path, a list of paths, or a task, not a {type(task).__name__}"
        )
    if flip_test:
        task.flip_test()
    return TaskModel(task.eval())
