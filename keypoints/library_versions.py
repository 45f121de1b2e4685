"""Versions of the libraries that results depend on, for a run's status and its checkpoints.

Imports OpenCV late, and no other library.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from keypoints._version import __version__

OPENCV = "opencv"
"""Name of OpenCV among the versions; its packages have several names."""

_PACKAGES = ("albumentations", "numpy", "pillow", "pytorch-lightning", "timm", "torch", "torchvision")


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    import cv2

    found = {"keypoints": __version__, OPENCV: str(cv2.__version__)}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra that is not installed
            continue
    return tuple(sorted(found.items()))


def library_versions() -> dict[str, str]:
    """Return the versions of this package and of the libraries that results depend on, by name."""
    return dict(_versions())


def opencv_changed(recorded: Mapping[str, str]) -> str | None:
    """Return a message if OpenCV has another major version now than when something was recorded.

    Args:
        recorded: versions from :func:`library_versions` at that time; older files have none.

    Returns:
        One line, which names both versions; ``None`` if they are the same or unknown.
    """
    before, now = recorded.get(OPENCV), library_versions()[OPENCV]
    if before is None or _major(before) == _major(now):
        return None
    return (
        f"trained with OpenCV {before}, and this is OpenCV {now}: its augmented pictures differ by up to "
        f"6 grey levels; for the same pictures install OpenCV {_major(before)}"
    )


def _major(number: str) -> str:
    return number.partition(".")[0]
