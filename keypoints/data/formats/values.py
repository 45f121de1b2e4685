"""Parsing and limits of numbers in lists and annotation files."""

import math
import re
from collections.abc import Sequence

from keypoints.errors import shortened
from keypoints.geometry import Box

MOST_PIXELS = 1e5
"""Largest absolute coordinate, and longest side of a box, in pixels: JPEG's limit is 65,535 per side.
A larger number is an annotation error, and one such row makes a loss infinite."""

LEAST_SIDE = 1.0
"""Smallest side of a box, in pixels."""

_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)
_PLAIN = re.compile(r"-?\d{1,5}(?:\.\d+)?", re.ASCII)
"""Notation of nearly all coordinates; whatever its digits are, the number is within :data:`MOST_PIXELS`."""
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)


def number(value: object) -> float:
    """Convert a cell or a JSON value to a finite number.

    Python's ``float`` also accepts ``0.5_1``, full-width digits and ``infinity``; other readers of these
    lists do not.

    Args:
        value: text, or a number.

    Raises:
        ValueError: if the value is no finite number.
    """
    found = math.nan
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            found = float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
    if not math.isfinite(found):
        raise ValueError(f"{quoted(value)} is not a number")
    return found


def whole_number(text: str) -> int:
    """Convert a text of one to nine decimal digits to an integer.

    Args:
        text: such as a number of points.

    Raises:
        ValueError: if the text is anything else.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a whole number")
    return int(text)


def coordinate(value: object) -> float:
    """Convert a value to a coordinate in pixels of a photo.

    Args:
        value: text, or a number.

    Raises:
        ValueError: if the value is no number, or its absolute value exceeds :data:`MOST_PIXELS`.
    """
    found = number(value)
    if abs(found) > MOST_PIXELS:
        raise ValueError(f"{found:g} is no coordinate: no photo reaches {MOST_PIXELS:,.0f} pixels far")
    return found


def plain_coordinates(cells: Sequence[str]) -> list[float] | None:
    """Convert the cells of a row to coordinates at once, which takes a third of the time.

    Args:
        cells: texts.

    Returns:
        The coordinates; ``None`` if a cell is empty, wrong or written in an unusual way, so that
        :func:`coordinate` has to convert each.
    """
    if not all(map(_PLAIN.fullmatch, cells)):
        return None
    return list(map(float, cells))


def box(left: object, top: object, width: object, height: object) -> Box:
    """Return a box, checked to have a position and sides that are possible in a photo.

    Args:
        left: first column, in pixels.
        top: first row, in pixels.
        width: number of columns; fractions are allowed.
        height: number of rows; fractions are allowed.

    Raises:
        ValueError: if a value is no number, or the position or a side is out of range.
    """
    found = Box(coordinate(left), coordinate(top), number(width), number(height))
    if not all(LEAST_SIDE <= side <= MOST_PIXELS for side in (found.width, found.height)):
        raise ValueError(
            f"a box has sides of {LEAST_SIDE:g} to {MOST_PIXELS:,.0f} pixels, "
            f"not {found.width:g} × {found.height:g}"
        )
    return found


def given_box(left: object, top: object, width: object, height: object) -> Box | None:
    """Return a box, or ``None`` for a size of 0 × 0, which label tools write if nobody drew a box.

    Args:
        left: see :func:`box`.
        top: see :func:`box`.
        width: see :func:`box`.
        height: see :func:`box`.

    Raises:
        ValueError: see :func:`box`.
    """
    place, sides = (number(left), number(top)), (number(width), number(height))
    return None if sides == (0, 0) else box(*place, *sides)


def quoted(value: object) -> str:
    """Return a value for a message: quoted, and shortened.

    Args:
        value: text from a file, or a JSON value.
    """
    return shortened(repr(value), 60)
