"""Detection of collapse to the mean: small networks are prone to predict the same face for everyone."""

MEAN_FACE = 0.1
"""Variance ratio of predictions to ground truth below which a network predicts the mean face."""


def predicts_the_mean(variance_ratio: float | None) -> str | None:
    """Return a warning if predictions hardly vary from face to face, else ``None``.

    Args:
        variance_ratio: see :class:`keypoints.tasks.metrics.VarianceRatio`; ``None`` or NaN if the true
            faces do not vary, and then there is no warning.
    """
    if variance_ratio is None or not variance_ratio < MEAN_FACE:
        return None
    return (
        "this network predicts nearly the same face for everyone: "
        f"its predictions vary {100 * variance_ratio:.1f} % as much as the truth"
    )
