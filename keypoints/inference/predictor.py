"""Prediction: photos in, faces with their points out. Imports torch only for a checkpoint.

>>> from keypoints import Predictor
>>> p = Predictor("model.onnx")  # doctest: +SKIP
>>> faces = p("photo.jpg")  # doctest: +SKIP
"""

from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from keypoints.data.photos import Photo, grey
from keypoints.drawing import draw_predictions
from keypoints.errors import CheckpointError, ConfigError, DataError
from keypoints.formatting import counted
from keypoints.geometry import Affine, Box, ByteArray, FloatArray
from keypoints.inference.detection import FaceDetector, find_turned
from keypoints.inference.detectors import AUTO, check_detector, open_detector
from keypoints.inference.ensemble import Ensemble
from keypoints.inference.model import Model, load_model, model_of
from keypoints.inference.prediction_files import FaceView, Origin, PredictedFace
from keypoints.inference.ready_models import find_model, ready_model
from keypoints.inference.refinement import CroppedFace, Refine, Refinement

if TYPE_CHECKING:
    from keypoints.tasks.base import Task

LEAST_SIDE = 8
"""Smallest side of a photo in pixels; a smaller photo cannot show a face."""


class PreparedFace(NamedTuple):
    """Face of a photo, cropped for the network."""

    crop: ByteArray
    """(height, width, channels) bytes."""
    affine: Affine
    """Map from pixels of the photo to pixels of the crop."""
    box: Box
    origin: Origin
    score: float | None
    photo: ByteArray
    """(H, W) or (H, W, 3): pixels of the photo as the network's channels, for a second pass."""


class Predictor:
    """Predictor of the landmarks of all faces in a photo, from a checkpoint or an ONNX file.

    The file determines how a face is cropped. For a model that was trained on full images, each photo is one
    face. For a model that was trained on boxes, boxes are given or else detected.

    Args:
        path: a checkpoint, a run's folder, an exported ``.onnx`` file, or the name of a ready model, see
            :data:`keypoints.inference.ready_models.READY`; or a list of them, whose mean is predicted, see
            :class:`keypoints.inference.ensemble.Ensemble`; or a task, such as one of a network that was made
            in Python. A task is put into evaluation mode.
        which: checkpoint to take from a run's folder, ``"best"`` or ``"last"``.
        flip_test: average the predictions on each face and its mirrored copy; only for a checkpoint. For an
            exported model, the flip test is chosen at export.
        refine: second pass of a face in an upright crop: ``True``, ``False`` or ``"auto"``; see
            :class:`keypoints.inference.refinement.Refinement`.
        detector: detector of faces in photos without boxes: a name, see
            :data:`keypoints.inference.detectors.DETECTORS`, ``"auto"`` for the first one that is installed,
            or an object of your own.
        trust: the user's own packages whose code a checkpoint may name; see :mod:`keypoints.components`.
        provider: what runs an ONNX file, see :class:`keypoints.inference.onnx_model.ExportedModel`.
        threads: number of threads of an ONNX file's network, see there; 1 if photos are predicted in several
            threads of your own.

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
        ConfigError: if a flip test, or a second pass of every face, is not possible, there is no such
            detector or provider, or the models of a list do not fit together.
    """

    def __init__(
        self,
        path: "str | Path | Sequence[str | Path] | Task",
        which: str = "best",
        *,
        flip_test: bool = False,
        refine: Refine = "auto",
        detector: str | FaceDetector = AUTO,
        trust: str | Iterable[str] | None = None,
        provider: str | None = None,
        threads: int | None = None,
    ) -> None:
        check_detector(detector)
        self._detector = detector
        self._model: Model
        if isinstance(path, str | Path | list | tuple):
            listed = [path] if isinstance(path, str | Path) else path
            for each in listed:
                if not isinstance(each, str | Path):
                    raise ConfigError(f"an ensemble is a list of paths; {type(each).__name__} is none")
            found = [find_model(str(each), which) for each in listed]
            models = [
                load_model(file, run, flip_test=flip_test, trust=trust, provider=provider, threads=threads)
                for file, run in found
            ]
            files = [file for file, _ in found]
            self.path = Path(" + ".join(map(str, files)))
            self._model = models[0] if isinstance(path, str | Path) else Ensemble(models, files)
        else:
            self.path, self._model = Path(type(path).__name__), model_of(path, flip_test=flip_test)
        self.scheme = self._model.scheme
        self.crop = self._model.crop
        self.mean_shape = self._model.mean_shape
        self.support = self._model.support
        self.trained_on = self._model.trained_on
        self.confidence_calibration = self._model.confidence_calibration
        self.at_once = self._model.at_once
        self.runtime = self._model.runtime
        self._refinement = Refinement(self._model, refine)

    def __call__(
        self, photo: str | Path | ByteArray, boxes: Sequence[Box] | None = None
    ) -> list[PredictedFace]:
        """Predict the faces of a photo.

        Args:
            photo: a file, or pixels: (H, W) grey or (H, W, 3) RGB bytes.
            boxes: boxes of the faces, in pixels of the upright photo; ``None`` to detect them, in a photo
                without an upright face also in its quarter turns. They are ignored if the model was trained
                on full images.

        Returns:
            The faces, in the order of ``boxes``; detected faces by falling score.

        Raises:
            CheckpointError: if a prediction is not finite.
            DataError: if the photo is no path and no array, is no picture or too small, or a box lies outside
                it or is too large.
            ConfigError: if faces have to be detected and the detector is not installed.
        """
        name, pixels = _read(photo)
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

    def draw(
        self, photo: str | Path | ByteArray, faces: Sequence[PredictedFace] | PredictedFace
    ) -> Image.Image:
        """Draw the boxes and points of predicted faces on their photo.

        Args:
            photo: a file, or pixels: (H, W) grey or (H, W, 3) RGB bytes.
            faces: faces of this photo, as :meth:`__call__` returns them, or one of them.

        Returns:
            The picture; very large photos are shrunk and very small ones enlarged.

        Raises:
            DataError: if the photo is no path and no array, or no picture.
        """
        shown = [faces] if isinstance(faces, PredictedFace) else faces
        marks = [(face.box, face.points) for face in shown]
        drawn = draw_predictions(_read(photo)[1], marks, self.scheme.skeleton)
        return Image.fromarray(drawn)

    @cached_property
    def detector(self) -> FaceDetector:
        """Detector of faces in photos without boxes.

        Raises:
            ConfigError: if it is not installed.
        """
        return open_detector(self._detector) if isinstance(self._detector, str) else self._detector

    def prepare(self, pixels: ByteArray, boxes: Sequence[Box] | None = None) -> list[PreparedFace]:
        """Detect and crop the faces of a photo; :meth:`finish` then predicts their points.

        Args:
            pixels: (H, W) grey or (H, W, 3) RGB bytes.
            boxes: see :meth:`__call__`.

        Returns:
            The cropped faces, in the order of ``boxes``; detected faces by falling score.

        Raises:
            ValueError: if the pixels are no picture or too few, or a box is no :class:`Box`, lies outside
                them or is too large.
            ConfigError: if faces have to be detected and the detector is not installed.
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
            if isinstance(boxes, Box) or not all(isinstance(box, Box) for box in boxes):
                raise ValueError("boxes are a list of keypoints.Box(left, top, width, height)")
            located = [(box, "given", None) for box in boxes]
        else:
            found = self.detector(pixels)
            if not found and self._refinement.sees_turned_faces:
                found = find_turned(self.detector, pixels)
            located = [(face.box, "detected", face.score) for face in found]
        if self.crop.channels == 1 and pixels.ndim == 3:
            pixels = grey(pixels)
        elif self.crop.channels == 3 and pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        return [
            PreparedFace(*self.crop(pixels, box), box, origin, score, pixels)
            for box, origin, score in located
        ]

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
        found = self._refinement(
            [CroppedFace(face.crop, face.affine, partial(np.asarray, face.photo)) for face in faces]
        )
        if not all(np.isfinite(face.points).all() for face in found):
            raise CheckpointError(f"{self.path}: predicts no finite numbers; its weights are broken")
        return [
            PredictedFace(
                face.box,
                seen.in_photo(),
                face.origin,
                face.score,
                seen.confidence,
                *self._expected(seen.confidence),
                seen.passes,
                seen.spread_in_photo(),
                FaceView(seen.crop, seen.points, self.scheme.skeleton),
            )
            for face, seen in zip(faces, found, strict=True)
        ]

    def _expected(self, confidence: FloatArray | None) -> tuple[float | None, str]:
        """Return the expected error of a face and a note, by the confidence of its points, (K,)."""
        if confidence is None or self.confidence_calibration is None:
            return None, ""
        mean = float(confidence.mean())
        return self.confidence_calibration.expected_error(mean), self.confidence_calibration.note(mean)


def load(name: str, source: str | Path | None = None, **settings: Any) -> Predictor:
    """Return the predictor of a ready model.

    Args:
        name: name of the model, see :data:`keypoints.inference.ready_models.READY`.
        source: file, or http(s) address, of the model, if it is not in the checkout; see
            :func:`keypoints.inference.ready_models.ready_model`.
        settings: further arguments of :class:`Predictor`.

    Returns:
        The predictor.

    Raises:
        ConfigError: if there is no ready model of this name, or a setting cannot be used.
        CheckpointError: if the file is not at hand, or is another one by its checksum.
        DataError: if it cannot be downloaded.
    """
    return Predictor(ready_model(name, source), **settings)


def _read(photo: object) -> tuple[str, ByteArray]:
    """Return a photo's name for messages, and its pixels.

    Raises:
        DataError: if it is no path and no array, or the file is no picture.
    """
    if isinstance(photo, np.ndarray):
        return "the array", photo
    if isinstance(photo, str | Path):
        return str(photo), Photo(Path(photo)).decode(3)
    raise DataError(
        f"a photo is a path or an array of bytes, not a {type(photo).__name__}; of a picture of Pillow, "
        'np.asarray(picture.convert("RGB")) makes one'
    )
