"""COCO's description of the points in a category: their names, and the lines between them, counted from 1."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from keypoints.errors import shortened
from keypoints.formatting import counted


class CategoryPoints(NamedTuple):
    """Points that a category describes."""

    names: tuple[str, ...]
    """Names of the points, in order; empty if the category only numbers them."""
    number: int
    """Number of the points."""
    skeleton: tuple[tuple[int, int], ...]
    """Pairs of points joined by a line, counted from 0."""


def category_name(category: Mapping[str, Any]) -> str:
    """Return the name of a category for messages and reports, or else its id.

    Args:
        category: entry of COCO's ``categories``.
    """
    return shortened(str(category.get("name") or category.get("id")), 60)


def category_points(category: Mapping[str, Any]) -> CategoryPoints:
    """Return the points that a category describes.

    Names that only count the points, from 0 as in a list without a scheme or from 1 as in CVAT, are no names.

    Args:
        category: entry of COCO's ``categories``.

    Raises:
        ValueError: if the names or the skeleton cannot be used.
    """
    given = category.get("keypoints") or []
    if not isinstance(given, list) or not all(map(is_point_name, given)):
        raise ValueError("keypoints is the list of the points' names, each of one line")
    if twice := [name for place, name in enumerate(given) if name in given[:place]]:
        raise ValueError(f"keypoints names the point {shortened(twice[0], 60)} twice; give each its own name")
    numbered = any(given == [str(place + first) for place in range(len(given))] for first in (0, 1))
    return CategoryPoints(() if numbered else tuple(given), len(given), _skeleton(category, len(given)))


def is_point_name(value: object) -> bool:
    """Return whether a value can be the name of a point: a text of one line.

    Args:
        value: value of a file.
    """
    return isinstance(value, str) and bool(value.strip()) and value.splitlines() == [value]


def _skeleton(category: Mapping[str, Any], count: int) -> tuple[tuple[int, int], ...]:
    given = category.get("skeleton") or []
    if not isinstance(given, list):
        raise ValueError("skeleton is a list of pairs of points")  # noqa: TRY004  caught with the others
    for line in given:
        if not (isinstance(line, list) and len(line) == 2 and all(_is_point(point, count) for point in line)):
            raise ValueError(
                f"skeleton: {shortened(repr(line), 60)} is no pair of its {counted(count, 'point')}, which "
                "are counted from 1"
            )
    return tuple((int(start) - 1, int(end) - 1) for start, end in given)


def _is_point(value: object, count: int) -> bool:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and not isinstance(value, bool) and 1 <= value <= count  # type: ignore[operator]
