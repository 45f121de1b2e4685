"""Compact copies of data sets: the region kept of each picture, its scale, and the map to the original.

A compact copy contains ``originals.csv``, which lists for each picture its original, the original's size, and
the affine map from pixels of the copy to pixels of the original.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keypoints.data.face import Face
from keypoints.data.formats.lists import rows
from keypoints.data.formats.values import number, whole_number
from keypoints.errors import DataError, one_line
from keypoints.geometry import Affine, Box, FloatArray
from keypoints.input_files import MISSING, MOST_LIST, read_text, why_not_regular

MAP_FILE = "originals.csv"

_COLUMNS = ("picture", "original", "width", "height", "xx", "xy", "x0", "yx", "yy", "y0")
_MARGIN = 0.1
"""Margin around the landmarks, as a fraction of the box's longer side."""


@dataclass(frozen=True, eq=False)
class Original:
    """Original of a picture in the copy.

    Args:
        file: path relative to the root of the original data set.
        size: width and height in pixels.
        to_original: map from pixels of the copy to pixels of the original.
    """

    file: str
    size: tuple[int, int]
    to_original: Affine


def format_map(originals: Mapping[str, Original]) -> str:
    """Return the text of ``originals.csv`` for originals by the names of the copy's pictures."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for name, original in originals.items():
        matrix = original.to_original.matrix.ravel().tolist()
        writer.writerow([name, original.file, *original.size, *map(repr, matrix)])
    return text.getvalue()


def read_map(root: str | Path) -> dict[str, Original]:
    """Return the originals of a compact copy, by the pictures' paths from ``root``.

    The result is empty if ``root`` is not a compact copy: its pictures are the originals.

    Raises:
        DataError: if the map is damaged; the message names the line.
    """
    root = Path(root)
    path = root / MAP_FILE
    if why_not_regular(path) == MISSING:
        return {}
    found = rows(path, read_text(path, MOST_LIST, "utf-8"))
    if tuple(next(found, (1, []))[1]) != _COLUMNS:
        raise DataError(f"{path}: does not begin with the columns {','.join(_COLUMNS)}")
    originals = {}
    for line, cells in found:
        try:
            name, original = _read_original(cells)
        except (ValueError, np.linalg.LinAlgError) as error:
            raise DataError(f"{path}: line {line}: cannot be used ({one_line(error)})") from error
        originals[name] = original
    return originals


def _read_original(cells: Sequence[str]) -> tuple[str, Original]:
    """Return the name of a picture in the copy, and its original."""
    name, file, *numbers = cells
    width, height = map(whole_number, numbers[:2])
    matrix = np.array(list(map(number, numbers[2:]))).reshape(2, 3)
    if width < 1 or height < 1 or not np.isfinite(np.linalg.inv(matrix[:, :2])).all():
        raise ValueError(f"the size {width} × {height} or the map is impossible")
    return name, Original(file, (width, height), Affine(matrix))


def original_of(face: Face, root: Path, originals: Mapping[str, Original]) -> Original:
    """Return the original of a face's picture below ``root``: the picture itself without ``originals``.

    Raises:
        DataError: if there are originals, but none for this picture.
    """
    name = face.photo.path.relative_to(root).as_posix()
    if not originals:
        return Original(name, face.photo.size, Affine(np.eye(2, 3)))
    if name not in originals:
        raise DataError(f"{root / MAP_FILE}: has no line for {name}; make the copy again")
    return originals[name]


def surroundings(size: tuple[int, int], box: Box, points: FloatArray | None, context: float) -> Box:
    """Return the region of a picture that contains the box, ``context`` times enlarged, and all points.

    The region has integer pixels, is clipped to the picture of ``size`` (width, height), and has a margin
    of a tenth of the box's longer side around the points.

    Raises:
        ValueError: if the region does not overlap the picture.
    """
    around = box.resized(box.width * context, box.height * context)
    low = np.array([around.left, around.top])
    high = np.array([around.left + around.width, around.top + around.height])
    if points is not None:
        margin = _MARGIN * max(box.width, box.height)
        low = np.minimum(low, points.min(axis=0) - margin)
        high = np.maximum(high, points.max(axis=0) + margin + 1)
    left, top = (max(math.floor(value), 0) for value in low)
    right, bottom = (min(math.ceil(value), end) for value, end in zip(high, size, strict=True))
    if left >= right or top >= bottom:
        raise ValueError(f"{box} lies outside the picture of {size[0]} × {size[1]}")
    return Box(left, top, right - left, bottom - top)


def scaled_down(part: Box, longer: float, side: int) -> tuple[Box, tuple[int, int]]:
    """Return the box to crop and its new size, so that ``longer`` pixels become at most ``side``.

    Nothing is enlarged. The scale is the same in x and y, so less than one new pixel of ``part`` is lost at
    its right and lower edges.
    """
    scale = min(1.0, side / longer)
    # 1e-6: rounding errors may leave a product just below the integer that it should be.
    width, height = (max(math.floor(extent * scale + 1e-6), 1) for extent in (part.width, part.height))
    return Box(part.left, part.top, width / scale, height / scale), (width, height)
