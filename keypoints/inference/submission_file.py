"""The course's submission: ``Id,Predicted``, a row a coordinate.

Id counts from 0: image after image, in each point after point, of each x and then y.
"""

import gzip
from pathlib import Path

import numpy as np

from keypoints.data.formats.lists import rows
from keypoints.data.formats.values import number, quoted
from keypoints.errors import DataError, one_line
from keypoints.files import replaced
from keypoints.geometry import FloatArray
from keypoints.input_files import read_unpacked_text

HEADER = ["Id", "Predicted"]

_MOST = 1 << 26
"""Bytes of a submission, unpacked: the course's has 137,088 rows and 3 MB."""


def write_submission(path: Path, points: FloatArray) -> None:
    """Write ``points``, (N, K, 2) pixels; compressed if the name ends in ``.gz``. Whole or not at all.

    Raises:
        DataError: if a number is not finite, or the file cannot be written.
    """
    if not np.isfinite(points).all():
        raise DataError(f"{path}: is not written: a coordinate is not a finite number")
    lines = [",".join(HEADER), *(f"{number},{value:.4f}" for number, value in enumerate(points.ravel())), ""]
    data = "\n".join(lines).encode("ascii")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as temporary:
            # mtime: the same points give the same bytes.
            temporary.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or one_line(error)})") from error


def read_submission(path: str | Path, points: int, images: int | None = None) -> FloatArray:
    """The points of a submission, (N, ``points``, 2), compressed or not.

    Args:
        path: the file.
        points: of each image.
        images: how many there have to be, if that is known.

    Raises:
        DataError: if the file cannot be read, or is not valid: its header, the number or the order of
            its rows, a value that is no finite number. The message names the line.
    """
    path = Path(path)
    found = rows(path, read_unpacked_text(path, _MOST))
    if next(found, (1, []))[1] != HEADER:
        raise DataError(f"{path}: does not begin with {','.join(HEADER)}")
    values: list[float] = []
    for line, row in found:
        try:
            values.append(_value(row, len(values)))
        except ValueError as error:
            raise DataError(f"{path}: line {line}: {error}") from error
    each = 2 * points
    if len(values) % each or not values or images not in (None, len(values) // each):
        wanted = f"a multiple of {each}" if images is None else f"{images} × {each} = {images * each}"
        raise DataError(f"{path}: has {len(values)} rows below its header; they have to be {wanted}")
    return np.array(values).reshape(-1, points, 2)


def _value(row: list[str], place: int) -> float:
    """Return the value of the row that has to have the Id ``place``.

    Raises:
        ValueError: if it is no such row.
    """
    if len(row) != len(HEADER):
        raise ValueError(f"{len(row)} columns instead of {len(HEADER)}")
    if row[0] != str(place):
        raise ValueError(f"the Id is {quoted(row[0])} where {place} belongs")
    return number(row[1])
