"""The failure that small networks are prone to: the same face for everyone."""

MEAN_FACE = 0.1
"""A network whose predictions vary less than this share of the truth predicts the mean face."""


def predicts_the_mean(variance_ratio: float | None) -> str | None:
    """Return a warning if predictions vary that little from face to face, else nothing.

    Args:
        variance_ratio: as of :class:`keypoints.tasks.metrics.VarianceRatio`; ``None`` or NaN where the true
            faces do not vary, so that nothing can be said.
    """
    if variance_ratio is None or not variance_ratio < MEAN_FACE:
        return None
    return (
        "this network predicts nearly the same face for everyone: "
        f"its predictions vary {100 * variance_ratio:.1f} % as much as the truth"
    )
