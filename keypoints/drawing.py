"""Plots of points on faces, with Pillow: fast enough for use during training. Imports no torch."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from keypoints.geometry import Affine, Box, ByteArray, FlagArray, FloatArray

TRUTH = (40, 220, 70)
PREDICTION = (245, 45, 45)
BOX = (60, 140, 255)
ERROR = (255, 214, 10)
_EDGE = (0, 0, 0)
_PAPER = (255, 255, 255)
_SEEN = (640, 1600)
"""Smallest and largest length of the longer side of a plotted photo, in pixels."""
_GAP = 6


def draw_face(
    image: ByteArray,
    *,
    truth: npt.ArrayLike | None = None,
    prediction: npt.ArrayLike | None = None,
    hidden: FlagArray | None = None,
    skeleton: Sequence[tuple[int, int]] = (),
    width: int = 320,
    marks: float = 1.0,
    joined: bool = False,
) -> ByteArray:
    """Plot points on an image: the ground truth in green, the prediction in red, hidden points as rings.

    Args:
        image: (H, W) grey or (H, W, 3) RGB.
        truth: (K, 2) ratios of the image, or ``None``; points without a label are NaN, and left out.
        prediction: (K, 2) ratios of the image, or ``None``.
        hidden: (K,) flags of the points of the truth that are hidden; ``None``: none.
        skeleton: pairs of points to join by a line.
        width: width of the result, in pixels.
        marks: size of the points as a multiple of the usual one, a 64th of the width.
        joined: join each point of the truth and its prediction by a yellow line, which is the error.

    Returns:
        (height, width, 3) RGB.
    """
    size = (width, round(width * image.shape[0] / image.shape[1]))
    canvas = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    pen = ImageDraw.Draw(canvas)
    line, edge = (max(1, int(factor * width / 320)) for factor in (marks, marks**2))
    if joined and truth is not None and prediction is not None:
        for ends in np.stack([np.asarray(truth, np.float64), np.asarray(prediction, np.float64)], axis=1):
            if np.isfinite(ends).all():
                pen.line([tuple(end) for end in ends * size - 0.5], fill=ERROR, width=line)
    for points, colour, hollow in ((truth, TRUTH, hidden), (prediction, PREDICTION, None)):
        if points is None:
            continue
        places = np.asarray(points, np.float64) * size - 0.5
        for start, end in skeleton:
            if np.isfinite(places[[start, end]]).all():  # else one of them has no label
                pen.line([tuple(places[start]), tuple(places[end])], fill=colour, width=line)
        radius = marks * width / (64 if len(places) == 1 else 128)
        for index in np.flatnonzero(np.isfinite(places).all(axis=1)):
            if hollow is not None and hollow[index]:
                _ring(pen, places[index], radius, colour, line)
                continue
            x, y = places[index]
            corners = (x - radius, y - radius, x + radius, y + radius)
            pen.ellipse(corners, fill=colour, outline=_EDGE, width=edge)
    return np.asarray(canvas)


def _ring(
    pen: ImageDraw.ImageDraw, centre: FloatArray, radius: float, colour: tuple[int, int, int], line: int
) -> None:
    """Draw a ring with a black edge, larger than a disc so that the photo is visible in its middle."""
    for outer, shade, thickness in ((1.4 * radius + line, _EDGE, line), (1.4 * radius, colour, line)):
        corners = [*(centre - outer), *(centre + outer)]
        pen.ellipse(corners, outline=shade, width=thickness)


def draw_predictions(
    image: ByteArray,
    faces: Sequence[tuple[Box, FloatArray]],
    skeleton: Sequence[tuple[int, int]] = (),
    labels: Sequence[str] = (),
) -> ByteArray:
    """Plot boxes, points and skeletons on a photo, in sizes proportional to each face.

    Very large photos are shrunk and very small ones enlarged, so that the result fits a screen.

    Args:
        image: (H, W) grey or (H, W, 3) RGB.
        faces: box and (K, 2) points of each face, in pixels of ``image``.
        skeleton: pairs of points to join by a line.
        labels: text above each box; none if empty.

    Returns:
        (height, width, 3) RGB.
    """
    before = image.shape[1], image.shape[0]
    scale = min(max(1.0, _SEEN[0] / max(before)), _SEEN[1] / max(before))
    size = max(1, round(before[0] * scale)), max(1, round(before[1] * scale))
    canvas = Image.fromarray(image)
    if size != before:
        canvas = canvas.resize(size, Image.Resampling.BICUBIC)
    canvas = canvas.convert("RGB")
    pen = ImageDraw.Draw(canvas)
    to_canvas = Affine.between(Box.of_image(before), Box.of_image(size))
    for box, points in faces:
        corners = to_canvas([(box.left, box.top), (box.left + box.width - 1, box.top + box.height - 1)])
        places = to_canvas(points)
        side = float(np.ptp(corners, axis=0).mean())
        width = max(1, round(side / 150))
        outline = max(width, round(max(size) / 500))
        pen.rectangle([tuple(corner) for corner in corners], outline=BOX, width=outline)
        for start, end in skeleton:
            pen.line([tuple(places[start]), tuple(places[end])], fill=PREDICTION, width=width)
        radius = max(1.5, side / (45 if len(places) == 1 else 90))
        for x, y in places:
            disc = (x - radius, y - radius, x + radius, y + radius)
            pen.ellipse(disc, fill=PREDICTION, outline=_EDGE, width=max(1, round(radius / 4)))
    for (box, _), label in zip(faces, labels, strict=False):
        _label(pen, to_canvas([(box.left, box.top)])[0], label, max(size) / 28)
    return np.asarray(canvas)


def _label(pen: ImageDraw.ImageDraw, corner: FloatArray, text: str, height: float) -> None:
    """Write a text above a corner of a box, or below it at the picture's upper edge."""
    font = ImageFont.load_default(height)
    x, y = max(0.0, float(corner[0])), float(corner[1])
    y = y - 1.3 * height if y >= 1.3 * height else max(y, 0.0)
    pen.rectangle((x, y, x + pen.textlength(text, font) + 0.6 * height, y + 1.3 * height), fill=BOX)
    pen.text((x + 0.3 * height, y + 0.65 * height), text, _PAPER, font, anchor="lm")


def contact_sheet(pictures: Sequence[ByteArray], columns: int = 4) -> ByteArray:
    """Arrange pictures of the same size on a white sheet, row by row."""
    height, width = pictures[0].shape[:2]
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        top = _GAP + place // columns * (height + _GAP)
        left = _GAP + place % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = picture
    return sheet
