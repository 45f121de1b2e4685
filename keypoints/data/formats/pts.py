"""300-W's ``.pts`` files: the landmarks of one face, with decimals and **1-based**.

``version: 1``, ``n_points: 68``, ``{``, a row ``x y`` for each point, ``}``; some distributions lack
the header and the braces.
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from keypoints.data.formats.values import coordinate, quoted
from keypoints.errors import DataError
from keypoints.formatting import counted
from keypoints.geometry import FloatArray
from keypoints.input_files import MOST_ANNOTATION, read_text

_HEADER = re.compile(r"(?P<key>version|n_points)\s*:\s*(?P<value>\S+)", re.IGNORECASE)

_MARK = "\xef\xbb\xbf"
"""UTF-8's byte order mark, as Latin-1 reads it."""


def read_pts(path: str | Path) -> FloatArray:
    """Return the points of a ``.pts`` file, (N, 2) pixels of its picture, converted to 0-based.

    Raises:
        DataError: if the file cannot be read or is not in the format; the message names the line.
    """
    path = Path(path)
    text = read_text(path, MOST_ANNOTATION, "latin-1").removeprefix(_MARK)
    announced, braces, rows = None, "", []
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        header = _HEADER.fullmatch(line)
        if header is not None:
            if header["key"].lower() == "n_points":
                announced = header["value"]
        elif line in ("{", "}"):
            braces += line
        elif line:
            rows.append(_read_row(path, number, line))
    if braces not in ("", "{}"):
        raise DataError(f"{path}: its points are not between one {{ and one }}; is it cut off?")
    if not rows:
        raise DataError(f"{path}: holds no points; it is no .pts file, or cut off")
    if announced is not None and announced.lstrip("0") != str(len(rows)):
        raise DataError(f"{path}: announces {counted(announced[:20], 'point')} and has {len(rows)}")
    return np.array(rows) - 1


def _read_row(path: Path, number: int, line: str) -> tuple[float, float]:
    cells = line.split()
    if len(cells) != 2:
        raise DataError(f"{path}: line {number}: not a point, two numbers: {quoted(line)}")
    try:
        return coordinate(cells[0]), coordinate(cells[1])
    except ValueError as error:
        raise DataError(
            f"{path}: line {number}: not a point, two numbers: {quoted(line)} ({error})"
        ) from error


def format_pts(points: npt.ArrayLike) -> str:
    """Return the text of the ``.pts`` file for ``points``, (N, 2) pixels, 0-based."""
    rows = [f"{x:.6f} {y:.6f}" for x, y in np.asarray(points, np.float64) + 1]
    return "\n".join(["version: 1", f"n_points: {len(rows)}", "{", *rows, "}", ""])
