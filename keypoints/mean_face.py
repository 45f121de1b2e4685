"""Detection of collapse: small networks are prone to predict the same face for everyone."""

import math

from keypoints.formatting import shown

MEAN_FACE = 0.1
"""Variance ratio of predictions to ground truth below which a network predicts one face for everyone."""

_NEAR_BASELINE = 1.25
"""Largest MSE over the mean-shape baseline's with which the one face counts as the mean face."""


def is_collapsed(variance_ratio: float | None) -> bool:
    """Return whether predictions hardly vary from face to face.

    Args:
        variance_ratio: see :class:`keypoints.tasks.metrics.VarianceRatio`; ``None`` or NaN if the true
            faces do not vary, and then the answer is no.
    """
    return variance_ratio is not None and variance_ratio < MEAN_FACE


def collapse(
    variance_ratio: float | None, mse: float | None = None, baseline: float | None = None
) -> str | None:
    """Return a warning if predictions hardly vary from face to face, else ``None``.

    Args:
        variance_ratio: see :func:`is_collapsed`.
        mse: the network's MSE, in ratio² of the photo; ``None`` if it is unknown.
        baseline: MSE of the mean-shape baseline, which predicts the mean face; ``None`` if it is unknown.
    """
    if variance_ratio is None or not is_collapsed(variance_ratio):
        return None
    text = (
        "this network predicts nearly the same face for everyone: "
        f"its predictions vary {100 * variance_ratio:.1f} % as much as the truth"
    )
    if mse is None or baseline is None or not mse < math.inf:
        return text
    which = "It is about the mean face" if mse <= _NEAR_BASELINE * baseline else "It is not the mean face"
    return f"{text}. {which}: MSE {shown(mse)}, that of the mean-shape baseline {shown(baseline)}"


def collapse_note(variance_ratio: float | None, mse: float | None, baseline: float | None) -> str:
    """Return what a collapsed network predicts, in a few words for a table; empty for any other network.

    Args:
        variance_ratio: see :func:`collapse`.
        mse: see :func:`collapse`.
        baseline: see :func:`collapse`.
    """
    if not is_collapsed(variance_ratio):
        return ""
    if mse is None or baseline is None or not mse <= _NEAR_BASELINE * baseline:
        return "predicts one face"
    return "predicts the mean face"
