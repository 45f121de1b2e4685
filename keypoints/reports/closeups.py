"""Close-ups of faces for pages: large enough to see an error of a pixel. Imports no torch."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from keypoints.crop import cut
from keypoints.drawing import draw_face
from keypoints.geometry import Affine, Box, ByteArray, FlagArray, FloatArray, pixels_to_ratio

WIDTH = 640
"""Width and height of a close-up, in pixels."""

_CONTEXT = 1.35
"""Side of a close-up divided by the side of the box around the face's points."""
FEW = 5
"""Number of points below which they do not span a face."""
LEAST = 0.4
"""Smallest side of a close-up divided by the photo's shorter side, around points that may not span a face."""
_LEAST_PIXELS = 24
"""Smallest side of a close-up in pixels of the photo, around points that span a face."""
_MOST_WIDENED = 1.8
"""Largest factor by which a close-up grows to show predictions that are far off."""
_MOST_SHORTER = 7
"""Largest side of a close-up divided by the photo's shorter side."""
_QUALITY = 90


@dataclass(frozen=True)
class CloseUp:
    """Close-up that a page embeds.

    Args:
        pixels: (H, W, 3) RGB.
        title: description for those who do not see it.
        caption: text below it.
    """

    pixels: ByteArray
    title: str
    caption: str

    @property
    def source(self) -> str:
        """Data URL of the picture."""
        return jpeg_url(self.pixels)


def jpeg_url(pixels: ByteArray) -> str:
    """Return the data URL of a picture in JPEG's format, with full colour so that thin lines keep theirs.

    Args:
        pixels: (H, W, 3) RGB.
    """
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "JPEG", quality=_QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(made.getvalue()).decode("ascii")


def region_around(
    points: FloatArray, size: tuple[int, int], others: FloatArray | None = None, least: float | None = None
) -> Box:
    """Return a square around a face, with a margin, moved into the photo where it fits.

    Args:
        points: (N, 2) points that span the face, in pixels of the photo; NaN without a label.
        size: width and height of the photo, in pixels.
        others: (M, 2) further points, such as predictions; the square grows to contain them, but to at most
            1.8 times its side, so that the face stays large.
        least: smallest side of the square divided by the photo's shorter side; ``None``: :data:`LEAST` if
            fewer than :data:`FEW` points are known, else 0. The side is never below 24 pixels.

    Returns:
        The square, in pixels of the photo; it overlaps the photo.
    """
    shorter = min(size)
    most = min(_MOST_SHORTER * shorter, max(size))
    known = points[np.isfinite(points).all(axis=1)]
    if not len(known):
        return Box.of_image(size)
    if least is None:
        least = LEAST if len(known) < FEW else 0
    smallest = max(least * shorter, _LEAST_PIXELS)
    square = _square(known, smallest)
    if others is not None and np.isfinite(others).all():
        wider = _square(np.concatenate([known, others]), smallest)
        largest = _MOST_WIDENED * square.width
        square = wider if wider.width <= largest else square.resized(largest, largest)
    side = min(square.width, most)
    return _moved_inside(square.resized(side, side), size)


def _square(points: FloatArray, least: float) -> Box:
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    tight = Box(left, top, right - left + 1, bottom - top + 1)
    side = max(_CONTEXT * tight.width, _CONTEXT * tight.height, least)
    return tight.resized(side, side)


def _moved_inside(box: Box, size: tuple[int, int]) -> Box:
    """Return a box moved into the photo; along a side that is too short for it, to the photo's middle."""
    places = [
        min(max(place, 0.0), length - side) if side <= length else (length - side) / 2
        for place, side, length in zip((box.left, box.top), (box.width, box.height), size, strict=True)
    ]
    return Box(places[0], places[1], box.width, box.height)


def draw_closeup(
    image: ByteArray,
    region: Box,
    *,
    truth: FloatArray | None = None,
    prediction: FloatArray | None = None,
    hidden: FlagArray | None = None,
    skeleton: Sequence[tuple[int, int]] = (),
    width: int = WIDTH,
) -> ByteArray:
    """Plot points on a region of a photo, with marks small enough to tell points apart.

    Args:
        image: (H, W) grey or (H, W, 3) RGB.
        region: region to show, in pixels of the photo; it overlaps the photo.
        truth: (K, 2) pixels of the photo, or ``None``; points without a label are NaN.
        prediction: (K, 2) pixels of the photo, or ``None``.
        hidden: (K,) flags of the points of the truth that are hidden; ``None``: none.
        skeleton: pairs of points to join by a line.
        width: width of the result, in pixels.

    Returns:
        (height, width, 3) RGB.
    """
    size = width, max(1, round(width * region.height / region.width))
    to_view = Affine.between(region, Box.of_image(size))
    ratios = [None if each is None else pixels_to_ratio(to_view(each), size) for each in (truth, prediction)]
    drawn = draw_face(
        cut(image, region, size),
        truth=ratios[0],
        prediction=ratios[1],
        hidden=hidden,
        skeleton=skeleton,
        width=2 * width,  # averaged down below, so that marks and lines are smooth
        marks=0.7,
        joined=True,
    )
    return np.asarray(Image.fromarray(drawn).reduce(2))
