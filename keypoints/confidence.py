"""Calibration of confidences: what the confidence of a face says about its error. Imports no torch.

A model's file stores the calibration, which is measured on the validation faces. Every use of a low
confidence (notes, pages, a second look at a face) takes the same threshold from it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from keypoints.formatting import counted
from keypoints.geometry import FloatArray
from keypoints.structured_files import COUNT, NUMBER, TEXT, Kind, check_kinds, is_number

LEAST_FACES = 20
"""Smallest number of validation faces for a calibration."""
UNCALIBRATED = (
    "The model's file does not say which confidence is low: an earlier version wrote it, or it was validated "
    f"on fewer than {LEAST_FACES} faces."
)
"""Sentence about a model that gives confidences without a calibration."""
_SHARE = 0.01
"""Share of the validation faces below the threshold."""
_GROUPS = 10
"""Largest number of groups of faces whose mean errors are stored."""
_NUMBERS = Kind("a list of numbers", lambda value: isinstance(value, list) and all(map(is_number, value)))
_KINDS = {"threshold": NUMBER, "confidences": _NUMBERS, "errors": _NUMBERS, "norm": TEXT, "faces": COUNT}


@dataclass(frozen=True)
class ConfidenceCalibration:
    """Errors of the validation faces by their confidence, the mean over a face's landmarks.

    Args:
        threshold: confidence that 99 % of the validation faces reach; a lower one is a low confidence.
        confidences: mean confidence of each group of faces, rising.
        errors: mean normalised error of each group, a ratio, not rising: fitted by isotonic regression
            (R. E. Barlow et al., Statistical Inference under Order Restrictions, 1972).
        norm: length that normalises the errors, one of :data:`keypoints.tasks.metrics.NORMS`.
        faces: number of validation faces.

    Raises:
        ValueError: if the values contradict each other.
    """

    threshold: float
    confidences: tuple[float, ...]
    errors: tuple[float, ...]
    norm: str
    faces: int

    def __post_init__(self) -> None:
        values = [self.threshold, *self.confidences, *self.errors]
        if (
            not self.confidences
            or len(self.confidences) != len(self.errors)
            or not all(math.isfinite(value) and value >= 0 for value in values)
            or list(self.confidences) != sorted(self.confidences)
        ):
            raise ValueError("its calibration of confidences contradicts itself")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the calibration that :meth:`to_dict` wrote.

        Args:
            values: plain values by name.

        Raises:
            ValueError: if they are not a calibration.
        """
        check_kinds(values, _KINDS, needed=tuple(_KINDS))
        known = {name: values[name] for name in _KINDS}
        return cls(**{**known, "confidences": tuple(known["confidences"]), "errors": tuple(known["errors"])})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a file."""
        return {**asdict(self), "confidences": list(self.confidences), "errors": list(self.errors)}

    def is_low(self, confidence: float) -> bool:
        """Return whether a face's confidence is low."""
        return confidence < self.threshold

    def expected_error(self, confidence: float) -> float:
        """Return the mean error of validation faces of this confidence, a ratio.

        Below the least confident group it is that group's error, which is then too small.

        Args:
            confidence: a face's confidence, from 0 to 1.
        """
        return float(np.interp(confidence, self.confidences, self.errors))

    def note(self, confidence: float) -> str:
        """Return a sentence about a low confidence; empty if it is not low.

        Args:
            confidence: a face's confidence, from 0 to 1.
        """
        if not self.is_low(confidence):
            return ""
        return (
            f"Low confidence: {confidence:.2f}, but {1 - _SHARE:.0%} of the "
            f"{counted(self.faces, 'validation face')} "
            f"have {self.threshold:.2f} or more; the points may be far off"
        )


def mean_calibration(
    calibrations: Sequence[ConfidenceCalibration | None],
) -> ConfidenceCalibration | None:
    """Return the calibration of the mean confidence of several models: the mean of theirs.

    Their errors are those of the models, so an ensemble's are somewhat smaller.

    Args:
        calibrations: those of the models.

    Returns:
        The calibration; ``None`` if a model has none, or their errors are normalised differently.
    """
    known = [each for each in calibrations if each is not None]
    if len(known) < len(calibrations) or len({each.norm for each in known}) != 1:
        return None
    confidences = sorted({confidence for each in known for confidence in each.confidences})
    return ConfidenceCalibration(
        threshold=float(np.mean([each.threshold for each in known])),
        confidences=tuple(confidences),
        errors=tuple(
            float(np.mean([each.expected_error(confidence) for each in known])) for confidence in confidences
        ),
        norm=known[0].norm,
        faces=min(each.faces for each in known),
    )


def calibrate(confidence: FloatArray, errors: FloatArray, norm: str) -> ConfidenceCalibration | None:
    """Return the calibration by the validation faces.

    Args:
        confidence: (N,) mean confidence of each face.
        errors: (N,) normalised error of each face, a ratio; NaN if it is not known.
        norm: length that normalises the errors.

    Returns:
        The calibration; ``None`` if fewer than :data:`LEAST_FACES` faces have a known error.
    """
    from scipy.optimize import isotonic_regression

    known = np.isfinite(confidence) & np.isfinite(errors)
    if known.sum() < LEAST_FACES:
        return None
    confidence, errors = confidence[known], errors[known]
    order = np.argsort(confidence, kind="stable")
    groups = np.array_split(order, min(_GROUPS, len(order) // _GROUPS))
    means = [float(errors[group].mean()) for group in groups]
    fitted = isotonic_regression(means, weights=[len(group) for group in groups], increasing=False).x
    return ConfidenceCalibration(
        threshold=float(np.quantile(confidence, _SHARE)),
        confidences=tuple(float(confidence[group].mean()) for group in groups),
        errors=tuple(map(float, fitted)),
        norm=norm,
        faces=len(order),
    )
