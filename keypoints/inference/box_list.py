"""Lists of photos to predict, optionally with the boxes of their faces; landmarks are not needed.

``image,left,top,width,height`` as in ``data/formats/own_csv.py``, one row per face, or any format of
``data/readers/labelled.py``. Coordinates are pixels of the upright photo. Other contents of a list are
ignored, so a list of labelled photos can be used too.
"""

from pathlib import Path
from typing import NamedTuple

from keypoints.data.formats import own_csv
from keypoints.data.formats.lists import ListedBox, OpenList, beginning
from keypoints.data.readers.labelled import FORMATS
from keypoints.errors import DataError
from keypoints.geometry import Box


class ListedPhoto(NamedTuple):
    """Photo of a list."""

    path: Path
    """Path of the photo, which may be missing: no photo is opened here."""
    boxes: tuple[Box, ...]
    """Boxes of its faces, in the list's order; empty if the faces are to be detected."""
    size: tuple[int, int] | None = None
    """Width and height of the photo in pixels; ``None`` if the list does not state them."""


def has_list_format(path: Path) -> bool:
    """Return whether the contents of a file are in a format of lists.

    Raises:
        DataError: if the file cannot be read.
    """
    begins = beginning(path)
    return any(known.recognises(begins) for known in FORMATS.values())


def read_box_list(path: str | Path, root: str | Path | None = None) -> list[ListedPhoto]:
    """Return the photos of a list, each once, in the order of their first rows.

    Args:
        path: the list; its format is recognised from its contents.
        root: folder that its names are relative to and stay in; ``None`` for the list's own folder.

    Raises:
        DataError: if the list cannot be read, its format is unknown, or a row cannot be used; the message
            names the list and the row.
    """
    path = Path(path)
    reading = OpenList(path, path.parent if root is None else Path(root), None, strict=True)
    begins = beginning(path)
    read_boxes = next(
        (known.read_boxes for known in FORMATS.values() if known.read_boxes and known.recognises(begins)),
        own_csv.read_boxes,
    )
    rows: dict[str, list[ListedBox]] = {}
    for row in read_boxes(reading):
        rows.setdefault(row.name, []).append(row)
    if not rows:
        raise DataError(f"{path}: lists no photo")
    return [
        ListedPhoto(
            reading.root / name,
            tuple(row.box for row in own if row.box is not None),
            next((row.size for row in own if row.size is not None), None),
        )
        for name, own in rows.items()
    ]
