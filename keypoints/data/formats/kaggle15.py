"""Lists of Kaggle's competition Facial Keypoints Detection: ``training.csv`` and ``test.csv``.

A row of ``training.csv`` has x and y of 15 points, in pixels of a picture of 96 × 96. Its last column,
``Image``, has the picture's grey values from 0 to 255, row by row, with blanks between them. Empty cells mean
that a point is not labelled, as for most of the 7049 faces. The columns name left and right of the person;
the points are those of ``schemes/kaggle15.yaml``, which names left and right of the picture, in the order of
the columns. Coordinates are pixel indices: pixel (0, 0) has its centre at (0, 0). ``test.csv`` has the
columns ``ImageId,Image`` and no points.

The pictures are unpacked into PNG files, see ``unpacked.py``. Data by Y. Bengio; Kaggle, 2013.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from keypoints.data.formats.lists import (
    ListedBox,
    OpenList,
    cells_by_name,
    columns,
    header,
    points_or_nan,
    table,
)
from keypoints.data.formats.unpacked import Unpacked, unpack
from keypoints.data.formats.values import quoted, whole_number
from keypoints.errors import DataError, some_of
from keypoints.formatting import counted
from keypoints.geometry import ByteArray

SIDE = 96
"""Width and height of the pictures, in pixels."""

FEATURES = tuple(
    f"{point}_{axis}"
    for point in (
        *("left_eye_center", "right_eye_center", "left_eye_inner_corner", "left_eye_outer_corner"),
        *("right_eye_inner_corner", "right_eye_outer_corner", "left_eyebrow_inner_end"),
        *("left_eyebrow_outer_end", "right_eyebrow_inner_end", "right_eyebrow_outer_end", "nose_tip"),
        *("mouth_left_corner", "mouth_right_corner", "mouth_center_top_lip", "mouth_center_bottom_lip"),
    )
    for axis in "xy"
)
"""Columns of the points in ``training.csv``; left and right are those of the person."""

IMAGE = "Image"
_ID = "ImageId"


def recognises(beginning: str) -> bool:
    """Return whether the first line of a file has the columns of a training list or of a test list."""
    names = header(beginning)
    return set(FEATURES[:2]) <= set(names) or {_ID, IMAGE} == set(names)


def read(reading: OpenList) -> None:
    """Add the faces of a training list to ``reading``, after unpacking its pictures.

    Raises:
        DataError: if it is a test list, the columns do not match the format, a row cannot be used, or the
            pictures cannot be unpacked.
    """
    text = reading.text()
    names = columns(reading.path, text)
    if _ID in names:
        raise DataError(
            f"{reading.path}: is a test list, which has no points; predict it: keypoints submit <run> "
            f"list={reading.path}"
        )
    if missing := [name for name in FEATURES if name not in names]:
        raise DataError(f"{reading.path}: has no column {some_of(missing, 1)}, which Kaggle's list has")
    reading.check_count(len(FEATURES) // 2)
    pictures = _unpacked(reading, text, names)
    for number, (line, cells) in enumerate(table(reading.path, text), start=1):
        with reading.row(f"line {line}"):
            row = cells_by_name(names, cells)
            points = points_or_nan(row, FEATURES)
            reading.add(pictures.name(number), None, points)


def read_boxes(reading: OpenList) -> Iterator[ListedBox]:
    """Yield the picture of each row of a training list or a test list, after unpacking; there are no boxes.

    Raises:
        DataError: if a row cannot be used, or the pictures cannot be unpacked.
    """
    text = reading.text()
    pictures = _unpacked(reading, text, columns(reading.path, text))
    for number, (line, _) in enumerate(table(reading.path, text), start=1):
        with reading.row(f"line {line}"):
            yield reading.listed(pictures.name(number), None)


def read_images(path: Path, root: Path | None = None) -> dict[int, Path]:
    """Return the pictures of a test list by their ``ImageId``, after unpacking.

    Args:
        path: the list.
        root: folder in which the pictures are unpacked; ``None`` for the folder of the list.

    Raises:
        DataError: if it is no test list, a row cannot be used, or the pictures cannot be unpacked.
    """
    reading = OpenList(path, path.parent if root is None else root, None, strict=True)
    text = reading.text()
    names = columns(path, text)
    if {_ID, IMAGE} != set(names):
        raise DataError(f"{path}: is not Kaggle's test list, whose columns are {_ID} and {IMAGE}")
    pictures = _unpacked(reading, text, names)
    found: dict[int, Path] = {}
    for number, (line, cells) in enumerate(table(path, text), start=1):
        with reading.row(f"line {line}"):
            image = whole_number(cells_by_name(names, cells)[_ID])
            if image in found:
                raise ValueError(f"{_ID} {image} occurs twice")
            found[image] = reading.root / reading.find(pictures.name(number))
    if not found:
        raise DataError(f"{path}: holds no picture")
    return found


def _unpacked(reading: OpenList, text: str, names: Sequence[str]) -> Unpacked:
    if IMAGE not in names:
        raise DataError(f"{reading.path}: has no column {IMAGE}, which Kaggle's lists have")
    return unpack(
        reading.path,
        reading.root,
        lambda: (cells for _, cells in table(reading.path, text)),
        lambda cells: _pixels(cells_by_name(names, cells)[IMAGE]),
        total=text.count("\n"),
    )


def _pixels(text: str) -> ByteArray:
    """Return a picture, (96, 96) grey, from its cell.

    Raises:
        ValueError: if the number of values is wrong, or one is no grey value.
    """
    values = text.split()
    if len(values) != SIDE * SIDE:
        raise ValueError(f"{IMAGE} has {counted(len(values), 'value')}, not {SIDE} × {SIDE} = {SIDE * SIDE}")
    if wrong := next((each for each in values if not (each.isdecimal() and int(each) < 256)), None):
        raise ValueError(f"{IMAGE} has {quoted(wrong)}, which is no grey value from 0 to 255")
    return np.array(values, np.int64).astype(np.uint8).reshape(SIDE, SIDE)
