"""What the readers and writers of lists of labelled photos share; ``labelled.py`` puts them together."""

import csv
import io
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from keypoints.datasets.face import Face
from keypoints.datasets.ibug import photo_in_300w
from keypoints.datasets.photos import Photo
from keypoints.errors import DataError, one_line
from keypoints.geometry import Box, FloatArray
from keypoints.landmarks import LandmarkScheme

SIDE = 200.0
"""HRNet's and MMPose's unit of ``scale``, in pixels of the photo."""


class OpenList:
    """A list that is being read: where its photos are, and what became of its rows so far.

    Args:
        path: the list.
        root: the folder that the names in it start from; none leads out of it.
        scheme: what each face has to have a point for; ``None`` takes the first face's number.
        strict: whether a row that cannot be used is an error, or is left out.
    """

    def __init__(self, path: Path, root: Path, scheme: LandmarkScheme | None, *, strict: bool) -> None:
        self.path = path
        self.root = root
        self.strict = strict
        self.faces: list[Face] = []
        self.skipped: list[str] = []
        self._points = None if scheme is None else len(scheme)
        self._whose = "the faces before" if scheme is None else scheme.name

    def text(self) -> str:
        """The whole file, its line ends as they are.

        Raises:
            DataError: if it cannot be read, or is no UTF-8.
        """
        try:
            return self.path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path}: is not UTF-8 ({one_line(error)}); save it as such") from error

    @contextmanager
    def row(self, where: str) -> Iterator[None]:
        """Read one row in the block; a ``ValueError`` in it is what is wrong with the row.

        Raises:
            DataError: if the reading is strict; the message names the file and ``where``.
        """
        try:
            yield
        except ValueError as error:
            problem = f"{self.path}: {where}: {one_line(error)}"
            if self.strict:
                raise DataError(problem) from error
            self.skipped.append(problem)

    def check_count(self, points: int) -> None:
        """See that faces have this number of points.

        Raises:
            ValueError: if it is another than the scheme's, or that of the faces before.
        """
        if self._points is None:
            self._points = points
        if points != self._points:
            raise ValueError(f"has {points} points, not the {self._points} of {self._whose}")

    def add(
        self,
        name: str,
        box: Box | None,
        points: Sequence[tuple[float, float]],
        group: str = "",
        tags: dict[str, str] | None = None,
    ) -> None:
        """Keep a face of the photo ``name``; without a ``group`` of its own it goes with the photo.

        A photo of 300-W is the same by whatever list, so that a model that has met it is known to have.

        Raises:
            ValueError: if the photo is missing, or is not below the root.
        """
        inside = name_below(self.root, name)
        photo = self.root / inside
        if not photo.is_file():
            raise ValueError(f"its picture {inside} is missing from {self.root}")
        group = group or photo_in_300w(self.root.resolve() / inside) or Path(inside).as_posix()
        self.faces.append(Face(Photo(photo), box, np.array(points), group, tags or {}))


def beginning(path: Path) -> str:
    """What tells a list's format: its first line, of thousands of points even.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(1 << 16).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def name_below(root: Path, name: str) -> str:
    """A name in a list as the path from ``root``.

    Raises:
        ValueError: if it leads out of that folder.
    """
    inside = os.path.normpath(name) if name else ""
    if "\0" in inside or Path(inside).is_absolute() or Path(inside).parts[:1] in ((), ("..",)):
        raise ValueError(f"{name!r} is not a name below {root}")
    return inside


def number(value: object) -> float:
    """A cell or a JSON value as a finite number.

    Raises:
        ValueError: if it is none.
    """
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            found = math.nan
        if math.isfinite(found):
            return found
    raise ValueError(f"{value!r} is not a number")


def box_round(centre: tuple[float, float], scale: tuple[float, float]) -> Box:
    """HRNet's and MMPose's box: ``scale`` × 200 pixels wide and high, round a point of the photo."""
    width, height = scale[0] * SIDE, scale[1] * SIDE
    return Box(centre[0] + 0.5 - width / 2, centre[1] + 0.5 - height / 2, width, height)


def centre_of(box: Box) -> tuple[float, float]:
    """The point of the photo in the middle of ``box``."""
    return box.left - 0.5 + box.width / 2, box.top - 0.5 + box.height / 2


def scale_of(box: Box) -> float:
    """HRNet's scale: the longer side of ``box``, in units of 200 pixels."""
    return max(box.width, box.height) / SIDE


def header(text: str) -> list[str]:
    """The cells of a text's first line."""
    return next(csv.reader([text.split("\n", 1)[0].rstrip("\r")]), [])


def table(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV below its first, with the number of the line on which each ends.

    Raises:
        DataError: if it is no CSV.
    """
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        next(rows, None)
        for cells in rows:
            if cells:
                yield rows.line_num, cells
    except csv.Error as error:
        raise DataError(f"{path}: line {rows.line_num}: is no CSV ({one_line(error)})") from error


def cells_by_name(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """A row's cells by their columns.

    Raises:
        ValueError: if there are more or fewer than columns.
    """
    if len(cells) != len(names):
        raise ValueError(f"has {len(cells)} cells; the first line names {len(names)}")
    return dict(zip(names, cells, strict=True))


def point(cells: dict[str, str], x: str, y: str) -> tuple[float, float]:
    """A row's point in the columns ``x`` and ``y``.

    Raises:
        ValueError: if it is not labelled, or no number.
    """
    if not (cells[x] and cells[y]):
        raise ValueError(f"{x}, {y} is empty; every point of a face has to be labelled")
    return number(cells[x]), number(cells[y])


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """The text of a CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def exact(value: npt.ArrayLike) -> str:
    """The shortest text that reads back as the same number."""
    return repr(float(np.asarray(value)))


def numbers(points: FloatArray) -> list[str]:
    """x0, y0, x1, y1, … of (N, 2) points, as text."""
    return [exact(value) for value in points.ravel()]
