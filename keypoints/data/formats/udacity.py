"""Udacity's lists of facial keypoints: ``,0,1,…,135``, one row per picture.

The first column has no name and holds the picture's file; then x and y of 68 points in 300-W's order. The
pictures are frames of YouTube Faces (L. Wolf, T. Hassner, I. Maoz, Face recognition in unconstrained videos
with matched background similarity, CVPR 2011) in the MIT-licensed project P1_Facial_Keypoints, whose points
were predicted by a program and rounded. They lie one pixel to the right of and below 300-W's convention, so 1
is subtracted here: pixel (0, 0) has its centre at (0, 0). Pictures of one person have the same group: the
file's name before its last ``_NN``.
"""

import re
from collections.abc import Iterator, Sequence

from keypoints.data.formats.lists import ListedBox, OpenList, columns, header, table
from keypoints.data.formats.values import coordinate
from keypoints.errors import DataError

_POINTS = 68
_COLUMNS = ["", *(str(number) for number in range(2 * _POINTS))]
_OFFSET = 1
"""Pixels by which the points lie right of and below 300-W's convention."""


def recognises(beginning: str) -> bool:
    """Return whether the first line of a file is of this format."""
    return header(beginning)[:3] == _COLUMNS[:3]


def read(reading: OpenList) -> None:
    """Add the faces of the list to ``reading``.

    Raises:
        DataError: if the columns do not match the format, or a row cannot be used.
    """
    text = _checked_text(reading)
    reading.check_count(_POINTS)
    for line, cells in table(reading.path, text):
        with reading.row(f"line {line}"):
            if len(cells) != len(_COLUMNS):
                raise ValueError(f"has {len(cells)} cells; the first line names {len(_COLUMNS)}")
            reading.add(cells[0], None, _points(cells[1:]), group=person_of(cells[0]))


def read_boxes(reading: OpenList) -> Iterator[ListedBox]:
    """Yield the picture of each row; there are no boxes.

    Raises:
        DataError: if the columns do not match the format, or a row cannot be used.
    """
    for line, cells in table(reading.path, _checked_text(reading)):
        with reading.row(f"line {line}"):
            yield reading.listed(cells[0], None)


def _checked_text(reading: OpenList) -> str:
    """Return the text of a list.

    Raises:
        DataError: if its columns do not match the format.
    """
    text = reading.text()
    if columns(reading.path, text) != _COLUMNS:
        raise DataError(f"{reading.path}: Udacity's columns are an empty name and 0 to {2 * _POINTS - 1}")
    return text


def _points(cells: Sequence[str]) -> list[tuple[float, float]]:
    values = [coordinate(cell) - _OFFSET for cell in cells]
    return list(zip(values[::2], values[1::2], strict=True))


def person_of(name: str) -> str:
    """Return the person that a picture shows: its name without folder, suffix and last number.

    >>> person_of("training/Luis_Fonsi_21.jpg")
    'Luis_Fonsi'
    """
    stem = name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] or name
    return re.sub(r"_\d+$", "", stem)
