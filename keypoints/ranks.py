"""Which of several training processes this is. Only the first writes files and speaks."""

from lightning_fabric.utilities.rank_zero import rank_zero_only


def is_first() -> bool:
    """Whether this is the only process, or the first of those that train together."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0
