"""Code that the list formats of labelled photos share; ``data/readers/labelled.py`` combines the formats."""

import csv
import io
import logging
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from keypoints.data.checks import check_pixels, check_size, far_points
from keypoints.data.face import HIDDEN, Face, Reading
from keypoints.data.formats.values import box, coordinate, plain_coordinates, quoted
from keypoints.data.photo_facts import PLAIN, Naming, read_photo_facts
from keypoints.data.photo_names import PhotoNames
from keypoints.data.photos import Photo
from keypoints.errors import DataError, one_line
from keypoints.formatting import counted, pluralised
from keypoints.geometry import Box, FloatArray
from keypoints.input_files import MOST_LIST, read_beginning, read_unpacked_text
from keypoints.landmarks import LandmarkScheme, first_moved
from keypoints.logs import log_some
from keypoints.schemes import scheme_with_names

log = logging.getLogger(__name__)

SIDE = 200.0
"""HRNet's and MMPose's unit of ``scale``, in pixels of the photo."""

_MOST_DIGITS = 10
"""Number of characters from which a point's name is not read as a number."""

_MOST_ROW = 1 << 20
"""Longest row of a CSV, in characters: 10,000 points take 400,000."""


class ListedBox(NamedTuple):
    """Row of a list of photos: one box, or a photo in which faces are to be detected."""

    name: str
    """Path of the photo, relative to the root."""
    box: Box | None
    size: tuple[int, int] | None = None
    """Width and height of the photo, if the list states them."""


class OpenList:
    """List that is being read: the folder of its photos, its faces and its skipped rows so far.

    Args:
        path: the list.
        root: the folder that the names in the list are relative to; names outside it are refused.
        scheme: the landmarks that each face must have; ``None`` takes the number that most faces have.
        strict: whether a row that cannot be used is an error; if not, it is left out.
        naming: naming convention of the data set whose photos may be in the list.

    Attributes:
        scheme: see above.
        described: the landmarks that the list itself describes; ``None`` if it does not.
    """

    def __init__(
        self, path: Path, root: Path, scheme: LandmarkScheme | None, *, strict: bool, naming: Naming = PLAIN
    ) -> None:
        self.path = path
        self.root = root
        self.strict = strict
        self._naming = naming
        self.skipped: list[str] = []
        self._photos = PhotoNames(root)
        self._faces: list[tuple[Face, tuple[int, int] | None]] = []
        self._row = ""
        self.scheme = scheme
        self.described: LandmarkScheme | None = None

    def text(self) -> str:
        """Return the full text of the file, with its original line ends.

        Raises:
            DataError: see :func:`keypoints.input_files.read_unpacked_text`.
        """
        return read_unpacked_text(self.path, MOST_LIST)

    @contextmanager
    def row(self, where: str) -> Iterator[None]:
        """Return a context in which one row is read; a ``ValueError`` in it skips the row.

        Raises:
            DataError: instead, if the reading is strict; the message names the file and ``where``.
        """
        with self._checking(f"{self.path}: {where}"):
            yield

    @contextmanager
    def _checking(self, row: str) -> Iterator[None]:
        self._row = row
        try:
            yield
        except ValueError as error:
            problem = DataError(f"{row}: {one_line(error)}")
            if self.strict:
                raise problem from error
            self.skipped.append(str(problem))

    def refuse(self, problem: DataError) -> None:
        """Skip an entry that cannot be read.

        Args:
            problem: the error of the entry.

        Raises:
            DataError: ``problem``, if the reading is strict.
        """
        if self.strict:
            raise problem
        self.skipped.append(str(problem))

    def describe(self, scheme: LandmarkScheme) -> None:
        """Set the scheme that the list itself describes.

        Args:
            scheme: the points as the list names them.

        Raises:
            DataError: if they are the points of the requested scheme in another order.
        """
        if self.scheme is not None and (place := first_moved(scheme, self.scheme)) is not None:
            raise DataError(
                f"{self.path}: has the points of {self.scheme.name} in another order: point {place} is "
                f"{scheme.names[place]}, not {self.scheme.names[place]}; leave out the scheme, or give one "
                "in the list's order"
            )
        self.described = scheme

    def order_names(self, found: Collection[str], stated: Sequence[str] = ()) -> list[str]:
        """Return the names of a list's points in the order of the points, for a list that gives each by name.

        It is the order of the requested scheme, else of the list, else of the package's scheme with these
        names, else of their numbers, else alphabetical.

        Args:
            found: names of the points in the list.
            stated: names in the order that the list states; empty if it states none.

        Raises:
            DataError: if the requested scheme has other names.
        """
        numbered = all(name.isascii() and name.isdigit() and len(name) < _MOST_DIGITS for name in found)
        asked = () if self.scheme is None else self.scheme.names
        if self.scheme is not None and asked and not numbered and (others := {*found} - {*asked}):
            raise DataError(
                f"{self.path}: names the point {quoted(min(others))}, which {self.scheme.name} does not "
                "have; leave out the scheme, or rename the point"
            )
        for names in (asked, stated):
            if names and {*found} <= {*names}:
                return list(names)
        if (known := scheme_with_names(found)) is not None:
            return list(known.names)
        return sorted(found, key=int) if numbered else sorted(found)

    def check_count(self, points: int) -> None:
        """Check the number of points that all faces of the list have.

        Raises:
            DataError: if it differs from the scheme's.
        """
        if self.scheme is not None and points != len(self.scheme):
            raise DataError(
                f"{self.path}: has {counted(points, 'point')}, not the {len(self.scheme)} of "
                f"{self.scheme.name}"
            )

    def add(
        self,
        name: str,
        box: Box | None,
        points: Sequence[tuple[float, float]],
        group: str = "",
        tags: Mapping[str, str] | None = None,
        size: tuple[int, int] | None = None,
        states: Sequence[int] | None = None,
    ) -> None:
        """Add a face to the list's faces.

        Args:
            name: name of the photo.
            box: box of the face.
            points: (N, 2) pixels of the upright photo; NaN for points that are not labelled.
            group: group of the face, as stated by the list; if empty, the photo is the group.
            tags: attributes by which results are grouped.
            size: width and height of the photo, as stated by the list.
            states: (N,) states of the points, see :class:`Face`; ``None`` if the labelled ones are visible.

        Raises:
            ValueError: if no point is labelled, or the photo is missing, is no regular file, or is not below
                the root.
        """
        photo = Photo(self.root / self.find(name))
        own = None if states is None or HIDDEN not in states else np.array(states, np.uint8)
        face = Face(photo, box, np.array(points), group, tags or {}, self._row, states=own)
        if not face.labelled().any():
            raise ValueError(f"none of its {counted(len(points), 'point')} is labelled")
        self._faces.append((face, size))

    def listed(self, name: str, box: Box | None, size: tuple[int, int] | None = None) -> ListedBox:
        """Return a row of a list of photos; the photo may be missing.

        Args:
            name: name of the photo, as stated by the list.
            box: box of a face, if the row has one.
            size: width and height of the photo, as stated by the list.

        Raises:
            ValueError: if the photo is no regular file, or is not below the root.
        """
        return ListedBox(self.find(name, missing_ok=True), box, size)

    def find(self, name: str, *, missing_ok: bool = False) -> str:
        """Return a photo's path relative to the root, see :meth:`PhotoNames.find`.

        Args:
            name: name of the photo, as stated by the list.
            missing_ok: whether the photo may be missing.

        Raises:
            ValueError: see :meth:`PhotoNames.find`.
        """
        return self._photos.find(name, missing_ok=missing_ok)

    def finish(self) -> Reading:
        """Return the faces that agree with each other and their photos; warn about points far outside.

        Raises:
            DataError: if a face does not agree and the reading is strict, or if no face is left.
        """
        rows = len(self._faces) + len(self.skipped)
        counts = Counter(len(face.landmarks()) for face, _ in self._faces)
        facts = read_photo_facts((face.photo.path for face, _ in self._faces), self._naming)
        faces, remarks = [], []
        for face, stated_size in self._faces:
            with self._checking(face.source):
                self._check_same_count(len(face.landmarks()), counts)
                found = facts[face.photo.path]
                if isinstance(found, DataError):
                    raise ValueError(str(found))  # noqa: TRY004 - the row is wrong, no type
                if found.size is not None:
                    check_size(stated_size, found.size)
                    check_pixels(face, found.size)
                    if (far := far_points(face, found.size)) is not None:
                        remarks.append(f"{face.source}: {far}")
                faces.append(replace(face, group=face.group or found.group, photo_id=found.photo_id))
        if not faces:
            reason = (
                f"none of its {counted(rows, 'row')} can be used; {self.skipped[0]}"
                if rows
                else "holds no face"
            )
            raise DataError(f"{self.path}: {reason}")
        log_some(log, "check this face", remarks)
        return Reading(faces, self.skipped)

    def _check_same_count(self, points: int, counts: Counter[int]) -> None:
        """Check that a face has as many points as the scheme, or as most faces of the list."""
        if self.scheme is not None:
            if points != len(self.scheme):
                raise ValueError(
                    f"has {counted(points, 'point')}, not the {len(self.scheme)} of {self.scheme.name}"
                )
            return
        ((most, faces),) = counts.most_common(1)
        if points != most:
            raise ValueError(
                f"has {counted(points, 'point')}, but {faces} of the list's "
                f"{counted(counts.total(), 'face')} {pluralised(faces, 'has', 'have')} {most}"
            )


def beginning(path: Path) -> str:
    """Return the beginning of a list, long enough for a first line with thousands of points.

    Raises:
        DataError: if the file cannot be read.
    """
    return read_beginning(path, 1 << 16).decode("utf-8-sig", errors="replace")


def box_round(centre: tuple[float, float], scale: tuple[float, float]) -> Box:
    """Return HRNet's and MMPose's box: ``scale`` × 200 pixels wide and high, around a point of the photo.

    Raises:
        ValueError: if the box is impossible in a photo.
    """
    width, height = scale[0] * SIDE, scale[1] * SIDE
    return box(centre[0] + 0.5 - width / 2, centre[1] + 0.5 - height / 2, width, height)


def centre_of(box: Box) -> tuple[float, float]:
    """Return the point of the photo in the middle of ``box``."""
    return box.left - 0.5 + box.width / 2, box.top - 0.5 + box.height / 2


def scale_of(box: Box) -> float:
    """Return HRNet's scale: the longer side of ``box``, in units of 200 pixels."""
    return max(box.width, box.height) / SIDE


_LINE_END = re.compile("\r\n|\r|\n")
_QUOTED = re.compile('"[^"]*"')
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+(?:e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)


class _Dialect(NamedTuple):
    """Separator of the cells of a CSV."""

    delimiter: str
    """Comma; or semicolon or tab, which programs write if the comma is the decimal separator."""
    blanks: bool
    """Flag: a blank follows each delimiter, and is not part of the cell."""

    @classmethod
    def of(cls, text: str) -> "_Dialect":
        """Detect the dialect of a text from its first line."""
        first = _QUOTED.sub("", _LINE_END.split(text, maxsplit=1)[0])
        found = re.search("[,;\t]", first)
        delimiter = found[0] if found else ","
        return cls(delimiter, 0 < first.count(delimiter) == first.count(f"{delimiter} "))

    def cells(self, row: list[str]) -> list[str]:
        """Return the cells of a row without the dialect's blanks and decimal commas."""
        if self.blanks:
            row = [cell.strip() for cell in row]
        if self.delimiter != ",":
            row = [cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell for cell in row]
        return row


def _count_named(cells: Sequence[str]) -> int:
    """Return the number of cells up to the last one that is not empty."""
    return max((place for place, cell in enumerate(cells, start=1) if cell), default=0)


def header(begins: str) -> list[str]:
    """Return the cells of the first line, by which formats are recognised; empty if it is no CSV."""
    dialect = _Dialect.of(begins)
    try:
        first = next(
            csv.reader(
                [_LINE_END.split(begins, maxsplit=1)[0]],
                delimiter=dialect.delimiter,
                skipinitialspace=dialect.blanks,
            ),
            [],
        )
    except csv.Error:
        return []
    cells = dialect.cells(first)
    return cells[: _count_named(cells)]


def rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield all rows of a CSV, with the header and empty rows, and the number of the line on which each ends.

    Lines may end as on Windows or on an old Mac. The delimiter is a comma, semicolon or tab, whichever
    occurs first; if it is not the comma, numbers may have a decimal comma. Empty cells after the last named
    column are removed.

    Args:
        path: the file, for messages.
        text: content of the file.

    Raises:
        DataError: if the text is no CSV, or a row is too long.
    """
    dialect, lines = _Dialect.of(text), _Lines(text)
    read = csv.reader(lines, delimiter=dialect.delimiter, skipinitialspace=dialect.blanks, strict=True)
    try:
        width = None
        for row in read:
            lines.begin_row()
            cells = dialect.cells(row)
            if width is None:  # some programs pad all lines to the number of separators of the longest
                width = _count_named(cells)
            yield lines.number, cells if any(cells[width:]) else cells[:width]
    except (csv.Error, _TooLongError) as error:
        raise DataError(f"{path}: line {lines.number}: is no CSV ({one_line(error)})") from error


class _TooLongError(Exception):
    """Row beyond the limit of length."""


class _Lines:
    """Iterator over the lines of a text, with a limit on the length of a row."""

    def __init__(self, text: str) -> None:
        self.number = 0
        self._text = text
        self._end = self._row = 0

    def begin_row(self) -> None:
        """Start to measure the next row."""
        self._row = self._end

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._end >= len(self._text):
            raise StopIteration
        end = _LINE_END.search(self._text, self._end)
        start, self._end = self._end, len(self._text) if end is None else end.end()
        self.number += 1
        if self._end - self._row > _MOST_ROW:
            raise _TooLongError(f"the row is longer than {_MOST_ROW:,} characters")
        return self._text[start : self._end]


def columns(path: Path, text: str) -> list[str]:
    """Return the names in the first row of a CSV.

    Args:
        path: the file, for messages.
        text: content of the file.

    Raises:
        DataError: see :func:`rows`.
    """
    _, names = next(rows(path, text), (1, []))
    return names


def table(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Return the non-empty rows below the header of a CSV, with the number of the line on which each ends.

    Args:
        path: the file, for messages.
        text: content of the file.

    Raises:
        DataError: see :func:`rows`.
    """
    below = rows(path, text)
    next(below, None)
    return ((line, cells) for line, cells in below if any(cell.strip() for cell in cells))


def cells_by_name(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Return a row's cells by their columns.

    Raises:
        ValueError: if the numbers of cells and columns differ.
    """
    if len(cells) != len(names):
        raise ValueError(f"has {len(cells)} cells; the first line names {len(names)}")
    return dict(zip(names, cells, strict=True))


def point(cells: Mapping[str, str], x: str, y: str) -> tuple[float, float]:
    """Return a row's point from the columns ``x`` and ``y``.

    Raises:
        ValueError: if the point is not labelled, or a cell is no coordinate.
    """
    if not (cells[x] and cells[y]):
        raise ValueError(f"{x}, {y} is empty; this format needs every point of a face")
    return coordinate(cells[x]), coordinate(cells[y])


def point_or_nan(cells: Mapping[str, str], x: str, y: str) -> tuple[float, float]:
    """Return a row's point from the columns ``x`` and ``y``; NaN, for not labelled, if both are empty.

    Raises:
        ValueError: if only one of the cells is empty, or one is no coordinate.
    """
    if bool(cells[x]) != bool(cells[y]):
        raise ValueError(f"only one of {x} and {y} is empty; a point that is not labelled has neither")
    return point(cells, x, y) if cells[x] else (math.nan, math.nan)


def points_or_nan(cells: Mapping[str, str], columns: Sequence[str]) -> list[tuple[float, float]]:
    """Return a row's points, each as :func:`point_or_nan` returns it.

    Args:
        cells: cells of the row, by column.
        columns: names of the columns, x and y of each point in turn.

    Raises:
        ValueError: see :func:`point_or_nan`.
    """
    values = plain_coordinates([cells[name] for name in columns])
    if values is not None:
        return list(zip(values[::2], values[1::2], strict=True))
    return [point_or_nan(cells, x, y) for x, y in zip(columns[::2], columns[1::2], strict=True)]


def format_table(cells: Sequence[Sequence[str]]) -> str:
    """Return the text of a CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(cells)
    return text.getvalue()


def exact(value: npt.ArrayLike) -> str:
    """Return the shortest text that reads back as the same number."""
    return repr(float(np.asarray(value)))


def numbers(points: FloatArray) -> list[str]:
    """Return x0, y0, x1, y1, … of (N, 2) points, as text; empty for a point that is not labelled."""
    return ["" if np.isnan(value) else exact(value) for value in points.ravel()]
