"""Pictures of signed numbers: blue below zero, white at zero, red above, with a colour bar."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont

from keypoints.drawing import contact_sheet
from keypoints.geometry import ByteArray, FloatArray

_COLUMNS = 4
"""Planes in a row: TensorBoard shrinks pictures wider than 350 pixels."""

_WIDE, _LEAST = 78, 64
"""Desired and smallest width of an enlarged plane, in pixels."""

_BAR, _TEXT = 12, 12
"""Height of the colour bar and of its letters, in pixels."""


def signed_picture(planes: FloatArray, limit: float, label: str) -> ByteArray:
    """Plot planes side by side, above their colour bar.

    The scale is the same for every picture with the same limit. Colours follow the signed square root, so
    that a value of a hundredth of the limit can be seen, and values beyond the limit have its colour.

    Args:
        planes: (planes, h, w) numbers.
        limit: largest absolute value with a colour of its own.
        label: name of the numbers.

    Returns:
        (H, W, 3) RGB.
    """
    tiles = [enlarged(tile) for tile in signed_colours(planes, limit)]
    sheet = contact_sheet(tiles, _COLUMNS)
    width = max(sheet.shape[1], _COLUMNS * _WIDE)
    padded = np.pad(sheet, ((0, 0), (0, width - sheet.shape[1]), (0, 0)), constant_values=255)
    return np.concatenate([padded, colour_bar(width, limit, label)])


def signed_colours(values: FloatArray, limit: float) -> ByteArray:
    """Return the colours of numbers, (…, 3) RGB.

    Args:
        values: numbers of any shape.
        limit: largest absolute value with a colour of its own.
    """
    share = np.clip(np.asarray(values, np.float64) / limit, -1, 1)
    places = 0.5 + 0.5 * np.sign(share) * np.sqrt(np.abs(share))
    return np.take(_colours(), np.rint(places * (len(_colours()) - 1)).astype(int), axis=0)


@cache
def _colours() -> ByteArray:
    """Return the colours from the smallest to the largest value, (255, 3) RGB; the middle one is white."""
    colours = colormaps["RdBu_r"](np.linspace(0, 1, 255), bytes=True)[:, :3]
    colours[127] = 255
    return np.asarray(colours, np.uint8)


def enlarged(tile: ByteArray) -> ByteArray:
    """Enlarge a picture, (h, w, 3), by an integer to a width of at least 64 pixels.

    Args:
        tile: the picture; one that is wide enough stays as it is.
    """
    zoom = max(1, _WIDE // tile.shape[1])
    if tile.shape[1] * zoom < _LEAST:
        zoom += 1
    return tile.repeat(zoom, axis=0).repeat(zoom, axis=1)


def colour_bar(width: int, limit: float, label: str) -> ByteArray:
    """Plot a horizontal colour bar with its ticks and its label.

    Args:
        width: width in pixels.
        limit: largest absolute value with a colour of its own.
        label: name of the numbers.

    Returns:
        (height, width, 3) RGB.
    """
    margin = 24
    ticks: Sequence[float] = [-limit, -limit / 4, 0, limit / 4, limit]
    canvas = Image.new("RGB", (width, _BAR + 2 * _TEXT + 14), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(_TEXT)
    shares = np.linspace(-1, 1, width - 2 * margin)
    row = signed_colours(np.sign(shares) * shares**2, 1.0)
    canvas.paste(Image.fromarray(np.repeat(row[None], _BAR, axis=0)), (margin, 2))
    pen.rectangle((margin - 1, 1, width - margin, _BAR + 2), outline="grey")
    for value, share in zip(ticks, (-1, -0.5, 0, 0.5, 1), strict=True):
        x = margin + (share + 1) / 2 * (width - 2 * margin - 1)
        pen.text((x, _BAR + 4), f"{value:+g}" if value else "0", "black", font, anchor="ma")
    pen.text((width / 2, _BAR + _TEXT + 7), label, "black", font, anchor="ma")
    return np.asarray(canvas)
