"""Lists of photos to predict, with the boxes of their faces where there are any; points are not needed.

``image,left,top,width,height`` as in ``data/formats/own_csv.py``, a row a face, or any format of
``data/readers/labelled.py``. Coordinates are pixels of the upright photo. What a list holds besides is passed
over, so a list of labelled photos serves too.
"""

from pathlib import Path
from typing import NamedTuple

from keypoints.data.formats import own_csv
from keypoints.data.formats.lists import ListedBox, OpenList, beginning
from keypoints.data.readers.labelled import FORMATS
from keypoints.errors import DataError
from keypoints.geometry import Box


class ListedPhoto(NamedTuple):
    """A photo of a list."""

    path: Path
    """It may be missing: nothing is opened here."""
    boxes: tuple[Box, ...]
    """Of its faces, in the list's order; none where they are to be looked for."""
    size: tuple[int, int] | None = None
    """Width and height of the photo, where the list tells them."""


def read_box_list(path: str | Path, root: str | Path | None = None) -> list[ListedPhoto]:
    """The photos of the list, each once, in the order in which it first names them.

    Args:
        path: the list; its format is told by what it holds.
        root: the folder that its names start from; ``None`` is the list's own. None leads out of it.

    Raises:
        DataError: if it cannot be read, is in no format known here, or a row cannot be used; the message
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
