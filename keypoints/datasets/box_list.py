"""Lists of photos to predict, with the boxes of their faces where there are any; points are not needed.

``image,left,top,width,height`` as in ``own_csv.py``, a row a face, or dlib's XML. Coordinates are pixels
of the upright photo. Columns and parts besides are passed over, so a list of labelled photos serves too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from keypoints.datasets import dlib_list
from keypoints.datasets.dlib_xml import read_entries
from keypoints.datasets.lists import OpenList, beginning, cells_by_name, columns, name_below, table
from keypoints.datasets.own_csv import box_of, check_columns
from keypoints.errors import DataError
from keypoints.geometry import Box


class ListedPhoto(NamedTuple):
    """A photo of a list."""

    path: Path
    """It may be missing: nothing is opened here."""
    boxes: tuple[Box, ...]
    """Of its faces, in the list's order; none where they are to be looked for."""


def read_box_list(path: Path, root: Path | None = None) -> list[ListedPhoto]:
    """The photos of the list, each once, in the order in which it first names them.

    Args:
        path: the list; its format is told by what it holds.
        root: the folder that its names start from; ``None`` is the list's own. None leads out of it.

    Raises:
        DataError: if it cannot be read, is in neither format, or a row cannot be used; the message names
            the list and the row.
    """
    reading = OpenList(path, path.parent if root is None else root, None, strict=True)
    boxes: dict[str, list[Box]] = {}
    rows = _dlib(reading) if dlib_list.recognises(beginning(path)) else _csv(reading)
    for name, box in rows:
        boxes.setdefault(name, []).extend([] if box is None else [box])
    if not boxes:
        raise DataError(f"{path}: lists no photo")
    return [ListedPhoto(reading.root / name, tuple(own)) for name, own in boxes.items()]


def _dlib(reading: OpenList) -> Iterator[tuple[str, Box]]:
    for entry in read_entries(reading.path, None, reading.root, missing_ok=True):
        if isinstance(entry, DataError):
            raise entry
        yield entry.file, entry.box


def _csv(reading: OpenList) -> Iterator[tuple[str, Box | None]]:
    text = reading.text()
    names = columns(reading.path, text)
    if "image" not in names:
        raise DataError(
            f"{reading.path}: is no list of photos: neither dlib's XML nor a CSV with a column 'image' "
            "(image,left,top,width,height; the box may be left out)"
        )
    check_columns(reading.path, names)
    for line, cells in table(reading.path, text):
        with reading.row(f"line {line}"):
            row = cells_by_name(names, cells)
            yield name_below(reading.root, row["image"]), box_of(row)
