"""Points drawn on faces, with Pillow: fast enough to be done while training. Imports no torch."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from keypoints.geometry import ByteArray

TRUTH = (40, 220, 70)
PREDICTION = (245, 45, 45)
_EDGE = (0, 0, 0)
_GAP = 6


def draw_face(
    image: ByteArray,
    *,
    truth: npt.ArrayLike | None = None,
    prediction: npt.ArrayLike | None = None,
    skeleton: Sequence[tuple[int, int]] = (),
    width: int = 320,
) -> ByteArray:
    """The picture at ``width`` pixels, its points drawn: truth green, prediction red.

    Args:
        image: (H, W) grey or (H, W, 3) RGB.
        truth, prediction: (K, 2) ratios of the picture.
        skeleton: pairs of points to join.

    Returns:
        (height, width, 3) RGB.
    """
    size = (width, round(width * image.shape[0] / image.shape[1]))
    canvas = Image.fromarray(image).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    for points, colour in ((truth, TRUTH), (prediction, PREDICTION)):
        if points is None:
            continue
        places = np.asarray(points, np.float64) * size - 0.5
        for start, end in skeleton:
            pen.line([tuple(places[start]), tuple(places[end])], fill=colour, width=max(1, width // 320))
        radius = width / (64 if len(places) == 1 else 128)
        for x, y in places:
            corners = (x - radius, y - radius, x + radius, y + radius)
            pen.ellipse(corners, fill=colour, outline=_EDGE, width=max(1, width // 320))
    return np.asarray(canvas)


def contact_sheet(pictures: Sequence[ByteArray], columns: int = 4) -> ByteArray:
    """Pictures of one size side by side on white, row by row."""
    height, width = pictures[0].shape[:2]
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        top = _GAP + place // columns * (height + _GAP)
        left = _GAP + place % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = picture
    return sheet
