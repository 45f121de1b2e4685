"""A model at work: photos in, faces with their points out. Imports torch for a checkpoint alone.

>>> from keypoints import Predictor
>>> p = Predictor("model.onnx")  # doctest: +SKIP
>>> faces = p("photo.jpg")  # doctest: +SKIP
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from keypoints.datasets.photos import Photo, grey
from keypoints.datasets.predictions import Origin, PredictedFace
from keypoints.detection import FaceDetector
from keypoints.errors import CheckpointError, ConfigError, DataError
from keypoints.exported import ExportedModel, Located, TrainingFaces
from keypoints.geometry import Affine, Box, ByteArray, Crop, FloatArray, as_input, ratio_to_pixels
from keypoints.landmarks import LandmarkScheme
from keypoints.runs import RunFolder, find_checkpoint
from keypoints.support import Support

LEAST_SIDE = 8
"""Pixels: a picture that is narrower shows no face."""

_AT_ONCE = 64
"""Faces that go through the network together: a crowd would take all memory."""


class Model(Protocol):
    """What a predictor needs of a network, wherever it comes from."""

    scheme: LandmarkScheme
    crop: Crop
    mean_shape: FloatArray | None
    support: Support | None
    trained_on: TrainingFaces | None
    at_once: int

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
        support: what the training faces were like, for :func:`keypoints.support.remarks`; ``None`` of
            files that do not keep it.
        trained_on: what the file keeps of the training faces; ``None`` if it does not.

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
        if self.path.suffix.lower() != ".onnx":
            self._model: Model = _Checkpoint(self.path, run, flip_test, trust)
        elif flip_test:
            raise ConfigError(f"{self.path}: does a flip test if it was exported with flip_test=true")
        else:
            self._model = ExportedModel(self.path)
        self.scheme = self._model.scheme
        self.crop = self._model.crop
        self.mean_shape = self._model.mean_shape
        self.support = self._model.support
        self.trained_on = self._model.trained_on
        self._at_once = self._model.at_once

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
        at_once = self._at_once
        batches = [faces[start : start + at_once] for start in range(0, len(faces), at_once)]
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


class _Checkpoint:
    """The task of a checkpoint, on a GPU where there is one."""

    at_once = _AT_ONCE

    def __init__(
        self, path: Path, run: RunFolder | None, flip_test: bool, trust: str | Iterable[str] | None
    ) -> None:
        from keypoints.tasks.base import load_task, usable_device

        self._task = load_task(path, flip_test=flip_test, trust=trust).to(usable_device())
        self.scheme = self._task.scheme
        self.crop = self._task.crop
        trained_on = self._task.trained_on
        self.trained_on: TrainingFaces | None = None
        self.support: Support | None = None
        self.mean_shape = None
        if trained_on is not None:
            self.trained_on = trained_on.to_keep(None if run is None else run.data_name)
            self.support = trained_on.support
            self.mean_shape = np.array(trained_on.mean)

    def __call__(self, images: npt.NDArray[np.float32]) -> Located:
        import torch

        with torch.inference_mode():
            points, confidence = self._task.locate(torch.from_numpy(images).to(self._task.device))
        return Located(
            points.double().cpu().numpy(), None if confidence is None else confidence.double().cpu().numpy()
        )
