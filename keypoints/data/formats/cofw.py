"""COFW (Caltech Occluded Faces in the Wild): ``COFW_train.mat``, ``COFW_test.mat``, grey or in colour.

X. P. Burgos-Artizzu, P. Perona, P. Dollár, Robust face landmark estimation under occlusion, ICCV 2013. The
1345 training faces are 845 of LFPW and 500 of COFW; the 507 test faces are of COFW. A file has the cell array
``IsTr`` or ``IsT`` of the pictures, and a row for each face in two matrices: ``phisTr`` or ``phisT`` has x of
29 points, then y, then 1 for each point that is occluded, else 0; ``bboxesTr`` or ``bboxesT`` has left, top,
width and height of a detector's box, which papers on COFW crop. MATLAB counts pixels from 1, so 1 is
subtracted: pixel (0, 0) has its centre at (0, 0). Occluded points are labelled and hidden. NME is normalised
by the distance of the outer eye corners, points 8 and 9; the failure rate is reported at 0.1.

The pictures are unpacked into PNG files, see ``unpacked.py``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keypoints.data.face import HIDDEN, VISIBLE
from keypoints.data.formats.lists import ListedBox, OpenList
from keypoints.data.formats.matlab import Array, is_matlab, read_cells, read_matrix, read_names
from keypoints.data.formats.unpacked import Unpacked, unpack
from keypoints.data.formats.values import coordinate, given_box
from keypoints.errors import DataError, some_of
from keypoints.formatting import counted
from keypoints.geometry import Box, ByteArray, FloatArray

_POINTS = 29
_FIRST = 1
"""Number of MATLAB's first pixel."""


class _Variables(NamedTuple):
    """Names of a file's variables."""

    pictures: str
    points: str
    boxes: str


class _Contents(NamedTuple):
    """Contents of a file, before its faces are checked."""

    pictures: Unpacked
    points: FloatArray
    """(N, 87) x, y and occlusion of the points."""
    boxes: FloatArray
    """(N, 4) left, top, width, height."""


_SPLITS = (_Variables("IsTr", "phisTr", "bboxesTr"), _Variables("IsT", "phisT", "bboxesT"))


def recognises(beginning: str) -> bool:
    """Return whether a file is one of MATLAB's; :func:`read` checks its variables."""
    return is_matlab(beginning)


def read(reading: OpenList) -> None:
    """Add the faces of the file to ``reading``, after unpacking its pictures.

    Raises:
        ConfigError: if the file needs h5py, which is not installed.
        DataError: if it has other variables, a face cannot be used, or the pictures cannot be unpacked.
    """
    reading.check_count(_POINTS)
    contents = _unpacked(reading)
    for number, (own, box) in enumerate(zip(contents.points, contents.boxes, strict=True), start=1):
        with reading.row(f"face {number}"):
            x, y, occluded = own.reshape(3, _POINTS).tolist()
            points = [(coordinate(a) - _FIRST, coordinate(b) - _FIRST) for a, b in zip(x, y, strict=True)]
            states = [_state(place, flag) for place, flag in enumerate(occluded)]
            reading.add(contents.pictures.name(number), _box(box), points, states=states)


def read_boxes(reading: OpenList) -> Iterator[ListedBox]:
    """Yield the picture and the box of each face, after unpacking the pictures.

    Raises:
        ConfigError: if the file needs h5py, which is not installed.
        DataError: if it has other variables, a face cannot be used, or the pictures cannot be unpacked.
    """
    contents = _unpacked(reading)
    for number, box in enumerate(contents.boxes, start=1):
        with reading.row(f"face {number}"):
            yield reading.listed(contents.pictures.name(number), _box(box))


def _unpacked(reading: OpenList) -> _Contents:
    """Return the contents of a file, after unpacking its pictures.

    Raises:
        DataError: if it has other variables, or their numbers of faces differ.
    """
    path = reading.path
    names = read_names(path)
    split = next((split for split in _SPLITS if set(split) <= set(names)), None)
    if split is None:
        expected = ", or ".join(", ".join(split) for split in _SPLITS)
        raise DataError(
            f"{path}: holds {some_of(names, 5) or 'no variable'}; COFW's files hold {expected} "
            "(it may be truncated)"
        )
    points = _matrix(path, split.points, 3 * _POINTS)
    boxes = _matrix(path, split.boxes, 4)
    pictures = unpack(
        path, reading.root, lambda: read_cells(path, split.pictures), _pixels, total=len(points)
    )
    if not len(points) == len(boxes) == len(pictures.files):
        raise DataError(
            f"{path}: {split.pictures} has {counted(len(pictures.files), 'picture')}, {split.points} "
            f"{counted(len(points), 'row')} and {split.boxes} {len(boxes)}"
        )
    return _Contents(pictures, points, boxes)


def _matrix(path: Path, name: str, columns: int) -> FloatArray:
    """Return a matrix with a row for each face.

    Raises:
        DataError: if it has another number of columns.
    """
    found = read_matrix(path, name)
    if found.shape[1] != columns:
        raise DataError(
            f"{path}: {name} is {found.shape[0]} × {found.shape[1]}; a row has {counted(columns, 'value')} "
            "in COFW"
        )
    return found


def _pixels(picture: Array) -> ByteArray:
    """Return a picture, (H, W) grey or (H, W, 3) RGB, as it can be written.

    Raises:
        ValueError: if it has another shape, or no bytes.
    """
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)):
        raise ValueError(f"its picture is {picture.dtype} {picture.shape}, not bytes (H, W) or (H, W, 3)")
    if not picture.size:
        raise ValueError("its picture has no pixels")
    return np.ascontiguousarray(picture)


def _box(values: FloatArray) -> Box | None:
    left, top, width, height = values.tolist()
    return given_box(left - _FIRST, top - _FIRST, width, height)


def _state(place: int, flag: float) -> int:
    """Return the state of a point.

    Raises:
        ValueError: if its flag of occlusion is neither 0 nor 1.
    """
    if flag not in (0, 1):
        raise ValueError(f"the occlusion of point {place} is 0 or 1, not {flag:g}")
    return HIDDEN if flag else VISIBLE
