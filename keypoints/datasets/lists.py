"""What the readers and writers of lists of labelled photos share; ``labelled.py`` puts them together."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from keypoints.datasets.face import Face
from keypoints.datasets.ibug import photo_in_300w
from keypoints.datasets.photos import Photo
from keypoints.datasets.values import box, coordinate, quoted
from keypoints.errors import DataError, one_line
from keypoints.geometry import Box, FloatArray
from keypoints.inputs import MISSING, MOST_LIST, read_beginning, read_unpacked_text, why_not_regular
from keypoints.landmarks import LandmarkScheme

SIDE = 200.0
"""HRNet's and MMPose's unit of ``scale``, in pixels of the photo."""

_MOST_ROW = 1 << 20
"""Characters of a CSV's row: 10,000 points take 400,000."""


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
        self._row = ""
        self._points = None if scheme is None else len(scheme)
        self._whose = "the faces before" if scheme is None else scheme.name

    def text(self) -> str:
        """Return the whole file, its line ends as they are.

        Raises:
            DataError: as :func:`keypoints.inputs.read_unpacked_text`.
        """
        return read_unpacked_text(self.path, MOST_LIST)

    @contextmanager
    def row(self, where: str) -> Iterator[None]:
        """Read one row in the block; a ``ValueError`` in it is what is wrong with the row.

        Raises:
            DataError: if the reading is strict; the message names the file and ``where``.
        """
        self._row = f"{self.path}: {where}"
        try:
            yield
        except ValueError as error:
            problem = f"{self._row}: {one_line(error)}"
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
            ValueError: if the photo is missing, is no regular file, or is not below the root.
        """
        inside = name_below(self.root, name)
        photo = self.root / inside
        if (why := why_not_regular(photo)) is not None:
            raise ValueError(f"its picture {inside} {why}{f' from {self.root}' if why == MISSING else ''}")
        group = group or photo_in_300w(self.root.resolve() / inside) or Path(inside).as_posix()
        self.faces.append(Face(Photo(photo), box, np.array(points), group, tags or {}, self._row))


def beginning(path: Path) -> str:
    """Return what tells a list's format: its first line, of thousands of points even.

    Raises:
        DataError: if it cannot be read.
    """
    return read_beginning(path, 1 << 16).decode("utf-8-sig", errors="replace")


def name_below(root: Path, name: str) -> str:
    """A name in a list as the path from ``root``.

    Raises:
        ValueError: if it leads out of that folder.
    """
    inside = os.path.normpath(name) if name else ""
    if "\0" in inside or Path(inside).is_absolute() or Path(inside).parts[:1] in ((), ("..",)):
        raise ValueError(f"{quoted(name)} is not a name below {root}")
    return inside


def box_round(centre: tuple[float, float], scale: tuple[float, float]) -> Box:
    """HRNet's and MMPose's box: ``scale`` × 200 pixels wide and high, round a point of the photo.

    Raises:
        ValueError: if no photo has such a box.
    """
    width, height = scale[0] * SIDE, scale[1] * SIDE
    return box(centre[0] + 0.5 - width / 2, centre[1] + 0.5 - height / 2, width, height)


def centre_of(box: Box) -> tuple[float, float]:
    """The point of the photo in the middle of ``box``."""
    return box.left - 0.5 + box.width / 2, box.top - 0.5 + box.height / 2


def scale_of(box: Box) -> float:
    """HRNet's scale: the longer side of ``box``, in units of 200 pixels."""
    return max(box.width, box.height) / SIDE


def header(begins: str) -> list[str]:
    """Return the cells of the first line, none if it is no CSV: what tells a list's format."""
    try:
        return next(csv.reader([begins.partition("\n")[0].rstrip("\r")]), [])
    except csv.Error:
        return []


def rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield all rows of a CSV, the first and empty ones too, with the number of the line on which each ends.

    Args:
        path: the file, for messages.
        text: what it holds.

    Raises:
        DataError: if it is no CSV, or a row is too long.
    """
    lines = _Lines(text)
    try:
        for cells in csv.reader(lines, strict=True):
            lines.begin_row()
            yield lines.number, cells
    except (csv.Error, _TooLongError) as error:
        raise DataError(f"{path}: line {lines.number}: is no CSV ({one_line(error)})") from error


class _TooLongError(Exception):
    """A row that is too long to be one."""


class _Lines:
    """The lines of a text, one by one, as long as a row does not get too long."""

    def __init__(self, text: str) -> None:
        self.number = 0
        self._text = text
        self._end = self._row = 0

    def begin_row(self) -> None:
        """Measure the row from here on."""
        self._row = self._end

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._end >= len(self._text):
            raise StopIteration
        start, self._end = self._end, self._text.find("\n", self._end) + 1 or len(self._text)
        self.number += 1
        if self._end - self._row > _MOST_ROW:
            raise _TooLongError(f"the row is longer than {_MOST_ROW:,} characters")
        return self._text[start : self._end]


def columns(path: Path, text: str) -> list[str]:
    """Return the names in the first row of a CSV.

    Args:
        path: the file, for messages.
        text: what it holds.

    Raises:
        DataError: as :func:`rows`.
    """
    _, names = next(rows(path, text), (1, []))
    return names


def table(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Return the rows of a CSV below its first, with the number of the line on which each ends.

    Args:
        path: the file, for messages.
        text: what it holds.

    Raises:
        DataError: as :func:`rows`.
    """
    below = rows(path, text)
    next(below, None)
    return ((line, cells) for line, cells in below if cells)


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
        ValueError: if it is not labelled, or no coordinate.
    """
    if not (cells[x] and cells[y]):
        raise ValueError(f"{x}, {y} is empty; every point of a face has to be labelled")
    return coordinate(cells[x]), coordinate(cells[y])


def format_table(cells: Sequence[Sequence[str]]) -> str:
    """The text of a CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(cells)
    return text.getvalue()


def exact(value: npt.ArrayLike) -> str:
    """The shortest text that reads back as the same number."""
    return repr(float(np.asarray(value)))


def numbers(points: FloatArray) -> list[str]:
    """x0, y0, x1, y1, … of (N, 2) points, as text."""
    return [exact(value) for value in points.ravel()]
