"""File of a submission to the course: columns ``Id,Predicted``, one row per coordinate.

The Id counts from 0 over the images, in each image over the points, and for each point first x, then y.
"""

import gzip
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from keypoints.data.formats.lists import rows
from keypoints.data.formats.values import number, quoted
from keypoints.errors import DataError, one_line
from keypoints.files import replaced
from keypoints.formatting import counted
from keypoints.geometry import FloatArray
from keypoints.input_files import read_unpacked_text

HEADER = ["Id", "Predicted"]

_MOST = 1 << 26
"""Largest size of an uncompressed submission, in bytes; the course's submission has 137,088 rows and 3 MB."""


def write_submission(path: Path, points: FloatArray) -> None:
    """Write ``points``, (N, K, 2) pixels, atomically; compressed if the name ends in ``.gz``.

    Raises:
        DataError: if a number is not finite, or the file cannot be written.
    """
    if not np.isfinite(points).all():
        raise DataError(f"{path}: is not written: a coordinate is not a finite number")
    write_lines(
        path, [",".join(HEADER), *(f"{place},{value:.4f}" for place, value in enumerate(points.ravel()))]
    )


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write the lines of a submission atomically; compressed if the name ends in ``.gz``.

    Args:
        path: the file; its folder is created if it is missing.
        lines: ASCII text without line ends.

    Raises:
        DataError: if the file cannot be written.
    """
    data = "".join(f"{line}\n" for line in lines).encode("ascii")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as temporary:
            # Without a time, the same points give the same bytes.
            temporary.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or one_line(error)})") from error


def read_submission(path: str | Path, points: int, images: int | None = None) -> FloatArray:
    """Return the points of a submission, compressed or not: (N, ``points``, 2) pixels.

    Args:
        path: the file.
        points: number of points per image.
        images: required number of images, if known.

    Raises:
        DataError: if the file cannot be read, its header or the number or order of its rows is wrong, or a
            value is not a finite number. The message names the line.
    """
    path = Path(path)
    table = rows(path, read_unpacked_text(path, _MOST))
    if next(table, (1, []))[1] != HEADER:
        raise DataError(f"{path}: does not begin with {','.join(HEADER)}")
    values: list[float] = []
    for line, row in table:
        try:
            values.append(_value(row, len(values)))
        except ValueError as error:
            raise DataError(f"{path}: line {line}: {error}") from error
    each = 2 * points
    if len(values) % each or not values or images not in (None, len(values) // each):
        wanted = f"a multiple of {each}" if images is None else f"{images} × {each} = {images * each}"
        raise DataError(f"{path}: has {counted(len(values), 'row')} below its header instead of {wanted}")
    return np.array(values).reshape(-1, points, 2)


def _value(row: list[str], place: int) -> float:
    """Return the value of a row, which must have the Id ``place``.

    Raises:
        ValueError: if the row has another Id, other columns, or no finite number.
    """
    if len(row) != len(HEADER):
        raise ValueError(f"{len(row)} columns instead of {len(HEADER)}")
    if row[0] != str(place):
        raise ValueError(f"the Id is {quoted(row[0])} instead of {place}")
    return number(row[1])
