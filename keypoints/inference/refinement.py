"""Second pass of a prediction: on quarter turns of the input, and in an upright crop around the first points.

A network that was trained on upright faces fails on a face that is turned, or whose box does not fit. Where
its first points say so, or its confidence is low, it sees the face again:

1. If the confidence is low, the input is turned by 90°, 180° and 270°. The most confident turn counts.
2. A similarity (rotation, scale, shift) is fitted from the points to the mean shape of the training faces. It
   cuts a crop from the photo in which the face is upright, in the place and size that it had in training.
3. The points of the more confident pass count.

Imports no torch.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from keypoints.crop import as_input, warped
from keypoints.errors import ConfigError
from keypoints.geometry import Affine, ByteArray, FloatArray, ratio_to_pixels
from keypoints.inference.model import Model

Refine = bool | Literal["auto"]
"""Faces that get a second pass: all, none, or those whose first pass asks for it."""

_TURNED = 20.0
"""Rotation of the first points from upright, in degrees, above which a face gets a second pass."""
_SCALED = 1.4
"""Factor between the size of the first points and of the mean shape above which a face gets one."""
_SHIFTED = 0.2
"""Distance of the first points' middle from the mean shape's, in sides of the input, above which too."""


class CroppedFace(NamedTuple):
    """Face as the network sees it first, and the photo to look at again."""

    crop: ByteArray
    """(height, width, channels) bytes of the network's input."""
    affine: Affine
    """Map from pixels of the photo to pixels of the crop."""
    photo: Callable[[], ByteArray]
    """Function that returns the photo's pixels, (H, W) or (H, W, 3) as the network's channels."""


class Refined(NamedTuple):
    """Predicted face after the last pass."""

    points: FloatArray
    """(K, 2) ratios of the crop."""
    confidence: FloatArray | None
    """(K,) from 0 to 1; ``None`` for a model without confidences."""
    crop: ByteArray
    """(height, width, channels) bytes in which the points were predicted."""
    affine: Affine
    """Map from pixels of the photo to pixels of the crop."""
    passes: int = 1
    """Number of the pass that the points are from: 2 for a turned or an upright crop."""
    spread: FloatArray | None = None
    """(K, 2) standard deviation of an ensemble's models, ratios of the crop; ``None`` for one model."""

    def in_photo(self) -> FloatArray:
        """Return the points in pixels of the photo, (K, 2)."""
        height, width = self.crop.shape[:2]
        return self.affine.inverse()(ratio_to_pixels(self.points, (width, height)))

    def spread_in_photo(self) -> FloatArray | None:
        """Return the distance of an ensemble's models from their mean, (K,) pixels of the photo."""
        if self.spread is None:
            return None
        height, width = self.crop.shape[:2]
        scale = math.sqrt(abs(float(np.linalg.det(self.affine.matrix[:, :2]))))
        return np.asarray(np.linalg.norm(self.spread * (width, height), axis=-1) / scale)

    @property
    def mean_confidence(self) -> float:
        """Mean confidence of the points; NaN without confidences."""
        return math.nan if self.confidence is None else float(self.confidence.mean())


class Refinement:
    """Prediction in one or two passes.

    Args:
        model: the model.
        mode: ``True`` for a second pass of every face, ``False`` for none. ``"auto"`` for a second pass of
            a face whose confidence is low by the model's calibration, or whose first points are turned by
            more than 20°, or far from their usual size or place in the crop; a model whose file has no
            calibration predicts once.

    Raises:
        ConfigError: if there is no such mode, or every face is to get a second pass and the model does not
            allow it.
    """

    def __init__(self, model: Model, mode: Refine = "auto") -> None:
        if mode not in (True, False, "auto"):
            raise ConfigError(f"refine is True, False or 'auto', not {mode!r}")
        self._model = model
        self._mode = mode
        self._shape: FloatArray | None = None
        reason = _why_not(model)
        if mode is True and reason:
            raise ConfigError(f"refine=true: {reason}; leave it out")
        looks_twice = mode is True or (mode == "auto" and model.confidence_calibration is not None)
        if looks_twice and not reason and model.mean_shape is not None:
            self._shape = ratio_to_pixels(model.mean_shape, model.crop.size)

    @property
    def sees_turned_faces(self) -> bool:
        """Flag: faces at any angle are predicted, so that it is worth detecting them."""
        return self._shape is not None and self._model.confidence_calibration is not None

    def __call__(self, faces: Sequence[CroppedFace]) -> list[Refined]:
        """Predict the points of faces.

        Args:
            faces: the faces, at most ``model.at_once``.
        """
        found = self._predict([face.crop for face in faces], [face.affine for face in faces])
        if self._shape is None:
            return found
        again = [place for place, face in enumerate(found) if self._is_doubtful(face)]
        upright = self._turned([found[place] for place in again])
        second = self._second([faces[place] for place in again], upright)
        for place, better in zip(again, second, strict=True):
            found[place] = better
        return found

    def _predict(
        self, crops: Sequence[ByteArray], affines: Sequence[Affine], passes: int = 1
    ) -> list[Refined]:
        """Predict the points of crops, in batches of the model's size."""
        found: list[Refined] = []
        for start in range(0, len(crops), self._model.at_once):
            own = slice(start, start + self._model.at_once)
            points, confidence, spread = self._model(as_input(crops[own]))
            for place, (crop, affine) in enumerate(zip(crops[own], affines[own], strict=True)):
                sure = None if confidence is None else confidence[place]
                apart = None if spread is None else spread[place]
                found.append(Refined(points[place], sure, crop, affine, passes, apart))
        return found

    def _is_doubtful(self, face: Refined) -> bool:
        if self._mode is True or self._is_low(face):
            return True
        if not np.isfinite(face.points).all():
            return False
        move = self._to_mean(face).matrix
        angle, scale = math.degrees(math.atan2(move[1, 0], move[0, 0])), math.hypot(move[0, 0], move[1, 0])
        middle = ratio_to_pixels(face.points, self._model.crop.size).mean(axis=0) - self._mean().mean(axis=0)
        shift = np.linalg.norm(middle / self._model.crop.size)
        return abs(angle) > _TURNED or not 1 / _SCALED < scale < _SCALED or bool(shift > _SHIFTED)

    def _is_low(self, face: Refined) -> bool:
        """Return whether the confidence is low; without a calibration, each confidence counts as low."""
        if face.confidence is None:
            return False
        calibration = self._model.confidence_calibration
        return calibration is None or calibration.is_low(face.mean_confidence)

    def _turned(self, faces: Sequence[Refined]) -> list[Refined]:
        """Return the faces, those of low confidence in their most confident quarter turn."""
        low = [place for place, face in enumerate(faces) if self._is_low(face)]
        best = list(faces)
        for turns in (1, 2, 3):
            turned = [_quarter_turned(faces[place], turns, self._model.crop.size) for place in low]
            found = self._predict([crop for crop, _ in turned], [affine for _, affine in turned], passes=2)
            for place, face in zip(low, found, strict=True):
                best[place] = face if _confidence(face) > _confidence(best[place]) else best[place]
        return best

    def _second(self, faces: Sequence[CroppedFace], first: Sequence[Refined]) -> list[Refined]:
        """Return the more confident of the first pass and a pass in an upright crop."""
        places, crops, affines = [], [], []
        for place, (face, seen) in enumerate(zip(faces, first, strict=True)):
            if not np.isfinite(seen.points).all():
                continue
            affine = seen.affine.then(self._to_mean(seen))
            try:
                crop = warped(face.photo(), affine, self._model.crop.size)
            except ValueError:  # the points lie outside the photo
                continue
            places.append(place)
            crops.append(crop.reshape(seen.crop.shape))
            affines.append(affine)
        best = list(first)
        for place, again in zip(places, self._predict(crops, affines, passes=2), strict=True):
            best[place] = again if _confidence(again) >= _confidence(best[place]) else best[place]
        return best

    def _to_mean(self, face: Refined) -> Affine:
        """Return the map from the crop to a crop in which the points are in the place of the mean shape."""
        return similarity(ratio_to_pixels(face.points, self._model.crop.size), self._mean())

    def _mean(self) -> FloatArray:
        assert self._shape is not None
        return self._shape


def refine_of(value: object) -> Refine:
    """Return the value of a setting ``refine``, which OmegaConf keeps as text.

    >>> refine_of("auto"), refine_of("True"), refine_of("false")
    ('auto', True, False)
    """
    return "auto" if value == "auto" else str(value).lower() == "true"


def _confidence(face: Refined) -> float:
    return face.mean_confidence if face.confidence is not None else float(face.passes)


def second_pass_is_possible(model: Model) -> bool:
    """Return whether a model can predict in two passes."""
    return not _why_not(model)


def _why_not(model: Model) -> str:
    """Return why a model cannot predict in two passes; empty if it can."""
    if model.crop.source != "box":
        return "this model was trained on full images, so it has no box that could be placed better"
    if len(model.scheme) < 3:
        return "the angle of a face is known from three points or more"
    if model.mean_shape is None:
        return "the model's file does not say where its training faces lie in the crop"
    return ""


def similarity(points: FloatArray, target: FloatArray) -> Affine:
    """Return the rotation, scale and shift that take points nearest to others, by least squares.

    Args:
        points: (K, 2) pixels, not all equal.
        target: (K, 2) pixels.

    Raises:
        ValueError: if all points are equal.
    """
    source, wanted = points @ [1, 1j], target @ [1, 1j]
    centred = source - source.mean()
    spread = float(np.square(np.abs(centred)).sum())
    if not spread > 0:
        raise ValueError("all points are equal")
    factor = (centred.conj() * wanted).sum() / spread
    shift = wanted.mean() - factor * source.mean()
    return Affine(np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]))


def _quarter_turned(face: Refined, turns: int, size: tuple[int, int]) -> tuple[ByteArray, Affine]:
    """Return a crop after a number of counter-clockwise quarter turns, and the map to it from the photo."""
    width, height = size
    if width == height:
        matrices = {
            1: [[0, 1, 0], [-1, 0, width - 1]],
            2: [[-1, 0, width - 1], [0, -1, height - 1]],
            3: [[0, -1, height - 1], [1, 0, 0]],
        }
        crop = np.ascontiguousarray(np.rot90(face.crop, turns))
        return crop, face.affine.then(Affine(np.array(matrices[turns], np.float64)))
    angle = -turns * math.pi / 2
    factor = 1.0 if turns == 2 else min(width, height) / max(width, height)
    cosine, sine = factor * math.cos(angle), factor * math.sin(angle)
    x, y = (width - 1) / 2, (height - 1) / 2
    move = Affine(
        np.array([[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y]])
    )
    crop = warped(face.crop if face.crop.shape[2] == 3 else face.crop[..., 0], move, size)
    return crop.reshape(face.crop.shape), face.affine.then(move)
