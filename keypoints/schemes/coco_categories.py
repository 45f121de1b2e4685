"""Landmark schemes from the categories of COCO files, which name the points of a face."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keypoints.errors import ConfigError, DataError, one_line
from keypoints.input_files import MOST_LIST, read_unpacked_text
from keypoints.landmarks import LandmarkScheme, mirror_permutation


def read_category(path: Path) -> LandmarkScheme:
    """Return the scheme that the category of a COCO file states: names of the points and skeleton.

    The mirror permutation is derived from left and right in the names. A category has neither parts nor
    normalising points.

    Args:
        path: the file.

    Returns:
        A scheme with the category's name.

    Raises:
        DataError: if the file is no COCO file, not exactly one of its categories names keypoints, or the
            category contradicts itself. The message names the file and the category.
    """
    try:
        whole = json.loads(read_unpacked_text(path, MOST_LIST))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({one_line(error)})") from error
    listed = whole.get("categories") if isinstance(whole, dict) else None
    if not isinstance(listed, list):
        raise DataError(f"{path}: has no list of categories, as COCO's files have")
    posed = [each for each in listed if isinstance(each, dict) and each.get("keypoints")]
    if len(posed) != 1:
        kinds = ", ".join(str(each.get("name")) for each in posed) or "none"
        raise DataError(
            f"{path}: one category has to name the keypoints, and {len(posed)} do ({kinds}); give a YAML file"
        )
    try:
        return _scheme(posed[0])
    except (ConfigError, ValueError) as error:
        raise DataError(f"{path}: category {posed[0].get('name')}: {error}") from error


def _scheme(category: Mapping[str, Any]) -> LandmarkScheme:
    """Return the scheme of a category.

    Raises:
        ConfigError: if its values contradict each other.
        ValueError: if a value is of the wrong type or out of range.
    """
    names = category["keypoints"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("keypoints is the list of the points' names")
    return LandmarkScheme(
        name=str(category.get("name") or "face"),
        parts={"points": tuple(range(len(names)))},
        flip_indices=mirror_permutation(names),
        normalizing_points=None,
        skeleton=tuple(_line(each, len(names)) for each in category.get("skeleton") or []),
        names=tuple(names),
    )


def _line(ends: Sequence[Any], count: int) -> tuple[int, int]:
    """Return a line of a skeleton, whose points COCO counts from 1."""
    whole = isinstance(ends, list) and all(isinstance(e, int) and not isinstance(e, bool) for e in ends)
    if not whole or len(ends) != 2 or not all(1 <= end <= count for end in ends):
        raise ValueError(f"skeleton: {ends!r} is no pair of points from 1 to {count}")
    return ends[0] - 1, ends[1] - 1
