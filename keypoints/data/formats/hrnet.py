"""HRNet's CSV: ``image_name,scale,center_w,center_h,original_0_x,original_0_y,…``, one row per face.

Coordinates are 0-based pixels, and pixel (0, 0) has its centre at (0, 0), as in HRNet's own code
(``lib/datasets`` of HRNet-Facial-Landmark-Detection), whatever source its lists were made from. The centre
uses the same coordinates. The box is the square with side ``scale`` × 200 around the centre. HRNet enlarges
it by 1.25 when it crops; here the crop's margin does that.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from keypoints.data.face import Face
from keypoints.data.formats.lists import (
    ListedBox,
    OpenList,
    box_round,
    cells_by_name,
    centre_of,
    columns,
    exact,
    format_table,
    header,
    numbers,
    point,
    scale_of,
    table,
)
from keypoints.data.formats.values import number
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.landmarks import LandmarkScheme

_FIRST = ["image_name", "scale", "center_w", "center_h"]
_BESIDES = "box_size"
"""Column of HRNet's AFLW list with the length that normalises errors; it is ignored here."""
_NAMES = ("image_name", "image_path")


def recognises(beginning: str) -> bool:
    """Return whether the first line of a file is of this format."""
    names = header(beginning)
    return names[:1] != [] and names[0] in _NAMES and set(_FIRST[1:]) <= set(names)


def _columns(count: int) -> list[str]:
    return [*_FIRST, *(f"original_{index}_{axis}" for index in range(count) for axis in "xy")]


def read(reading: OpenList) -> None:
    """Add the faces of the list to ``reading``.

    Raises:
        DataError: if the columns do not match the format, or a row cannot be used.
    """
    text = reading.text()
    names, count = _check_columns(reading, text)
    reading.check_count(count)
    for line, cells in table(reading.path, text):
        with reading.row(f"line {line}"):
            row = cells_by_name(names, cells)
            points = [point(row, f"original_{index}_x", f"original_{index}_y") for index in range(count)]
            reading.add(row[_FIRST[0]], _box(row), points)


def read_boxes(reading: OpenList) -> Iterator[ListedBox]:
    """Yield the photo and the box of each row.

    Raises:
        DataError: if the columns do not match the format, or a row cannot be used.
    """
    text = reading.text()
    names, _ = _check_columns(reading, text)
    for line, cells in table(reading.path, text):
        with reading.row(f"line {line}"):
            row = cells_by_name(names, cells)
            yield reading.listed(row[_FIRST[0]], _box(row))


def _check_columns(reading: OpenList, text: str) -> tuple[list[str], int]:
    """Check the columns; return their names and the number of points."""
    names = columns(reading.path, text)
    if names[0] in _NAMES:
        names = [_FIRST[0], *names[1:]]
    count = sum(re.fullmatch(r"original_[0-9]+_x", name) is not None for name in names)
    own = [name for name in names if name != _BESIDES]
    if count == 0 or own != _columns(count) or len(names) > len(own) + 1:
        raise DataError(
            f"{reading.path}: HRNet's columns are {','.join(_columns(1))},… and no others, in that order"
        )
    return names, count


def _box(row: Mapping[str, str]) -> Box:
    scale = number(row["scale"])
    return box_round((number(row["center_w"]), number(row["center_h"])), (scale, scale))


def write(faces: Sequence[Face], names: Sequence[str], scheme: LandmarkScheme | None) -> str:  # noqa: ARG001
    """Return the list's text; ``names`` are the photos' names in the list.

    A box becomes the square of its longer side. The format has no groups and tags.

    Raises:
        DataError: if a face has no box, or a point without a label.
    """
    rows = [_columns(len(faces[0].landmarks()))]
    for face, name in zip(faces, names, strict=True):
        if face.box is None:
            raise DataError(f"{name}: has no box, and HRNet's list needs one; give it one, or use format=csv")
        if not face.labelled().all():
            raise DataError(f"{name}: has points without a label, and HRNet's list needs all; use format=csv")
        place = map(exact, (scale_of(face.box), *centre_of(face.box)))
        rows.append([name, *place, *numbers(face.landmarks())])
    return format_table(rows)
