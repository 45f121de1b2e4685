"""Ensemble: the mean prediction of several models, and how far they disagree.

Imports torch only for checkpoints.

B. Lakshminarayanan et al., Simple and scalable predictive uncertainty estimation using deep ensembles,
NeurIPS 2017.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from keypoints.confidence import ConfidenceCalibration, mean_calibration
from keypoints.crop import Crop
from keypoints.data.provenance import TrainingFaces
from keypoints.data.statistics import Support
from keypoints.errors import ConfigError
from keypoints.formatting import counted
from keypoints.geometry import FloatArray
from keypoints.inference.model import Model
from keypoints.inference.onnx_model import Located
from keypoints.landmarks import LandmarkScheme


class Ensemble:
    """Several models as one :class:`~keypoints.inference.model.Model`, whose points are the mean of theirs.

    Each face is cropped once, at the size of the largest input, and resampled for the models with smaller
    ones. Their confidences and calibrations are averaged too.

    Args:
        models: two or more models of the same landmarks and the same region of the photo.
        paths: their files, for messages.

    Raises:
        ConfigError: if there are fewer than two, one is given twice, or they do not fit together.
    """

    versions: Mapping[str, str] = MappingProxyType({})

    def __init__(self, models: Sequence[Model], paths: Sequence[Path]) -> None:
        if len(models) < 2:
            raise ConfigError(
                f"an ensemble is of 2 models or more, not {len(models)}; one alone is checkpoint=<file>"
            )
        for (one, first_path), (other, path) in combinations(zip(models, paths, strict=True), 2):
            if path.resolve() == first_path.resolve():
                raise ConfigError(f"{path}: is given twice; a model and itself are never apart")
            if why := _why_apart(one, other):
                raise ConfigError(f"{path}: cannot be in one ensemble with {first_path}: {why}")
        self._models = models
        self.scheme = max((model.scheme for model in models), key=lambda scheme: len(scheme.names))
        self.crop: Crop = max((model.crop for model in models), key=lambda crop: crop.width)
        self.at_once = min(model.at_once for model in models)
        self.runtime = f"{counted(len(models), 'model')}: " + "; ".join(
            dict.fromkeys(model.runtime for model in models)
        )
        shapes = [model.mean_shape for model in models if model.mean_shape is not None]
        self.mean_shape: FloatArray | None = np.mean(shapes, axis=0) if len(shapes) == len(models) else None
        self.support = _narrowest([model.support for model in models])
        self.trained_on = _all_faces([model.trained_on for model in models])
        calibrations = [model.confidence_calibration for model in models]
        self.confidence_calibration: ConfidenceCalibration | None = mean_calibration(calibrations)

    def __call__(self, images: npt.NDArray[np.float32]) -> Located:
        """Predict the points of (B, C, H, W) images in [-0.5, 0.5].

        Returns:
            The means, and as ``spread`` the standard deviation of the models.
        """
        found = [model(_resized(images, model.crop)) for model in self._models]
        points = np.stack([each.points for each in found])
        sure = [each.confidence for each in found if each.confidence is not None]
        return Located(
            points.mean(axis=0),
            np.mean(sure, axis=0) if len(sure) == len(found) else None,
            points.std(axis=0, ddof=1),
        )


def _why_apart(one: Model, other: Model) -> str:
    """Return why two models cannot be averaged; empty if they can."""
    if why := _why_other_points(one.scheme, other.scheme):
        return why
    if one.crop.width * other.crop.height != one.crop.height * other.crop.width:
        return "its input has another ratio of width to height"
    same_size = replace(other.crop, width=one.crop.width, height=one.crop.height)
    if same_size != one.crop:
        return "it crops faces in another way (source, margin or channels)"
    return ""


def _why_other_points(one: LandmarkScheme, other: LandmarkScheme) -> str:
    """Return why two schemes have other points; empty if they have the same.

    Where one scheme has no names, as in files of older versions, the parts and the mirror permutation decide.
    """
    if len(one) != len(other):
        counts = [f"{counted(len(scheme), 'point')} of {scheme.name}" for scheme in (other, one)]
        return f"it predicts {' and the other '.join(counts)}"
    for place, (its, others) in enumerate(zip(other.names, one.names, strict=False)):
        if its != others:
            return f"its point {place} is {its}, and that of the other {others}"
    named = one.names and other.names
    if not named and (dict(one.parts), one.flip_indices) != (dict(other.parts), other.flip_indices):
        return f"its points ({other.name}) have other parts or mirrored points than those of the other"
    return ""


def _resized(images: npt.NDArray[np.float32], crop: Crop) -> npt.NDArray[np.float32]:
    """Return (B, C, H, W) images at the size of a model's input, which is not larger."""
    if images.shape[2:] == (crop.height, crop.width):
        return images
    import cv2

    channels = images.reshape(-1, *images.shape[2:])
    smaller = [cv2.resize(each, crop.size, interpolation=cv2.INTER_AREA) for each in channels]
    return np.asarray(np.stack(smaller).reshape(*images.shape[:2], crop.height, crop.width), np.float32)


def _narrowest(supports: Sequence[Support | None]) -> Support | None:
    """Return the ranges that all models have seen in training; ``None`` if one is not known."""
    known = [support for support in supports if support is not None]
    if len(known) < len(supports):
        return None
    shared = [name for name in known[0] if all(name in support for support in known)]
    return {
        name: (max(support[name][0] for support in known), min(support[name][1] for support in known))
        for name in shared
    }


def _all_faces(trained_on: Sequence[TrainingFaces | None]) -> TrainingFaces | None:
    """Return the training faces of all models together; ``None`` if they are not known of one."""
    known = [faces for faces in trained_on if faces is not None]
    if len(known) < len(trained_on):
        return None
    names = [faces.data for faces in known if faces.data is not None]
    return TrainingFaces(
        sorted({group for faces in known for group in faces.groups}),
        sorted({group for faces in known for group in faces.validated}),
        np.mean([faces.mean for faces in known], axis=0).tolist(),
        ", ".join(dict.fromkeys(names)) or None,
    )
