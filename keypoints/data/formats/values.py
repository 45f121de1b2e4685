"""Numbers as lists and annotation files have them: what is one, and how large one may be."""

import math
import re

from keypoints.errors import shortened
from keypoints.geometry import Box

MOST_PIXELS = 1e5
"""The farthest that a coordinate lies from a photo's corner, and the longest side of a box, in pixels: JPEG
ends at 65,535 a side. A number beyond is a slip, and one such row makes a loss infinite."""

LEAST_SIDE = 1.0
"""Pixels of a box's shorter side: less shows nothing."""

_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)


def number(value: object) -> float:
    """Return a cell or a JSON value as a finite number.

    Python's ``float`` takes ``0.5_1``, full-width digits and ``infinity`` as well; no other reader of these
    lists does.

    Args:
        value: text, or a number.

    Raises:
        ValueError: if it is no finite number.
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
    """Return a text of up to nine decimal digits as a number.

    Args:
        text: such as a count of points.

    Raises:
        ValueError: if it is anything else.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a whole number")
    return int(text)


def coordinate(value: object) -> float:
    """Return a number that can be a coordinate in pixels of a photo.

    Args:
        value: text, or a number.

    Raises:
        ValueError: if it is no number, or beyond :data:`MOST_PIXELS`.
    """
    found = number(value)
    if abs(found) > MOST_PIXELS:
        raise ValueError(f"{found:g} is no coordinate: no photo reaches {MOST_PIXELS:,.0f} pixels far")
    return found


def box(left: object, top: object, width: object, height: object) -> Box:
    """Return a box whose place and sides are possible in a photo.

    Args:
        left, top: its first column and row.
        width, height: how many of each; fractions allowed.

    Raises:
        ValueError: if one is no number, or the place or a side is impossible.
    """
    found = Box(coordinate(left), coordinate(top), number(width), number(height))
    if not all(LEAST_SIDE <= side <= MOST_PIXELS for side in (found.width, found.height)):
        raise ValueError(
            f"a box has sides of {LEAST_SIDE:g} to {MOST_PIXELS:,.0f} pixels, "
            f"not {found.width:g} × {found.height:g}"
        )
    return found


def given_box(left: object, top: object, width: object, height: object) -> Box | None:
    """Return a box, or ``None`` for one without any extent: what label tools write where nobody drew one.

    Args:
        left, top, width, height: as of :func:`box`.

    Raises:
        ValueError: as :func:`box`.
    """
    place, sides = (number(left), number(top)), (number(width), number(height))
    return None if sides == (0, 0) else box(*place, *sides)


def quoted(value: object) -> str:
    """Return a value as a message shows it: quoted, and short.

    Args:
        value: text from a file, or what JSON has there.
    """
    return shortened(repr(value), 60)
