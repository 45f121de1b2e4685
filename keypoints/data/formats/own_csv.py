"""This project's own CSV: ``image,left,top,width,height,x0,y0,x1,y1,…``, one row per face.

Coordinates are pixels, and pixel (0, 0) has its centre at (0, 0). The four columns of the box may be
empty or left out. Empty cells of x and y mean that the point is not labelled. Columns ``v0,v1,…`` may state
that a point is hidden (1) or visible (2), as in COCO. Faces with the same ``group`` stay in the same split.
Any further column is a tag.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from keypoints.data.face import UNLABELLED, VISIBLE, Face
from keypoints.data.formats.lists import (
    ListedBox,
    OpenList,
    cells_by_name,
    columns,
    exact,
    format_table,
    header,
    numbers,
    points_or_nan,
    table,
)
from keypoints.data.formats.values import given_box, quoted
from keypoints.data.photo_facts import named_group
from keypoints.errors import DataError, some_of
from keypoints.geometry import Box
from keypoints.landmarks import LandmarkScheme

BOX = ("left", "top", "width", "height")
_POINT = re.compile(r"[xy][0-9]+")


def recognises(beginning: str) -> bool:
    """Return whether the first line of a file names a photo and a first point."""
    return {"image", "x0"} <= set(header(beginning))


def read(reading: OpenList) -> None:
    """Add the faces of the list to ``reading``.

    Raises:
        DataError: if the columns contradict each other, or a row cannot be used.
    """
    text = reading.text()
    names = columns(reading.path, text)
    count = _check(reading, names)
    coordinates = [f"{axis}{index}" for index in range(count) for axis in "xy"]
    tags = [name for name in names if not _is_ours(name)]
    for line, cells in table(reading.path, text):
        with reading.row(f"line {line}"):
            row = cells_by_name(names, cells)
            points = points_or_nan(row, coordinates)
            states = [_state(row, index, points[index]) for index in range(count)] if "v0" in names else None
            kept = {name: row[name] for name in tags if row[name]}
            reading.add(row["image"], box_of(row), points, row.get("group", ""), kept, states=states)


def _state(row: Mapping[str, str], index: int, point: tuple[float, float]) -> int:
    """Return the state of a point, which its column v and its coordinates agree on.

    Raises:
        ValueError: if they do not.
    """
    text, labelled = row[f"v{index}"], not math.isnan(point[0])
    if text not in ("", "0", "1", "2"):
        raise ValueError(f"v{index} is 0 (not labelled), 1 (hidden) or 2 (visible), not {quoted(text)}")
    state = int(text) if text else VISIBLE if labelled else UNLABELLED
    if (state != UNLABELLED) != labelled:
        raise ValueError(f"v{index} is {state}, and its x and y are {'given' if labelled else 'empty'}")
    return state


def _is_ours(name: str) -> bool:
    """Return whether a column name is reserved, so that it cannot be a tag."""
    return name in ("image", "group", *BOX) or _POINT.fullmatch(name) is not None or _is_state(name)


def _is_state(name: str) -> bool:
    return re.fullmatch(r"v[0-9]+", name) is not None


def _check(reading: OpenList, names: Sequence[str]) -> int:
    """Check the columns; return the number of points."""
    check_columns(reading.path, names)
    found = [name for name in names if _POINT.fullmatch(name)]
    count = (len(found) + 1) // 2
    wanted = [f"{axis}{index}" for index in range(count) for axis in "xy"]
    if missing := sorted(set(wanted) - set(found)):
        raise DataError(
            f"{reading.path}: has {len(found)} columns of points, but no {missing[0]}; "
            f"they are x0,y0 … x{count - 1},y{count - 1}"
        )
    stated = [name for name in names if _is_state(name)]
    if stated and set(stated) != {f"v{index}" for index in range(count)}:
        raise DataError(f"{reading.path}: the columns of states are v0 … v{count - 1}, or left out")
    reading.check_count(count)
    return count


def read_boxes(reading: OpenList) -> Iterator[ListedBox]:
    """Yield the photo and the box of each row; the box may be left out, and other columns are ignored.

    Raises:
        DataError: if the file is not in this format, or a row cannot be used.
    """
    text = reading.text()
    names = columns(reading.path, text)
    if "image" not in names:
        raise DataError(
            f"{reading.path}: is no list of photos: neither a CSV with a column 'image' "
            "(image,left,top,width,height; the box may be left out) nor in another of the formats"
        )
    check_columns(reading.path, names)
    for line, cells in table(reading.path, text):
        with reading.row(f"line {line}"):
            row = cells_by_name(names, cells)
            yield reading.listed(row["image"], box_of(row))


def check_columns(path: Path, names: Sequence[str]) -> None:
    """Check that the columns have distinct names, and that the columns of the box are complete or absent.

    Raises:
        DataError: if a name is missing or repeated, or the columns of the box are incomplete.
    """
    wrong = [quoted(name) for name, times in Counter(names).items() if times > 1 or not name]
    if wrong:
        raise DataError(f"{path}: a column has no name, or a name that occurs twice: {some_of(wrong, 3)}")
    if 0 < len(given := set(names) & set(BOX)) < len(BOX):
        only = ", ".join(sorted(given))
        raise DataError(f"{path}: the columns of the box are {', '.join(BOX)}; it has only {only}")


def box_of(row: dict[str, str]) -> Box | None:
    """Return the box of a row, given by column; ``None`` if it is empty or left out.

    Raises:
        ValueError: if the box is impossible in a photo.
    """
    given = [row.get(name, "") for name in BOX]
    if not any(given):
        return None
    return given_box(*given)


def write(faces: Sequence[Face], names: Sequence[str], scheme: LandmarkScheme | None) -> str:  # noqa: ARG001
    """Return the list's text; ``names`` are the photos' names in the list.

    Raises:
        DataError: if a tag has a reserved column name.
    """
    tags = sorted({tag for face in faces for tag in face.tags})
    for tag in tags:
        if not tag or _is_ours(tag):
            raise DataError(
                f"{names[0]}: a tag cannot be called {tag!r} in this format: a column of that name is no "
                "tag; take format=coco, which has a place for tags"
            )
    count = len(faces[0].landmarks())
    states = any(face.states is not None for face in faces)
    columns = ["image", *BOX, *(f"{axis}{index}" for index in range(count) for axis in "xy")]
    columns += [*(f"v{index}" for index in range(count if states else 0)), "group", *tags]
    rows = [_row(face, name, tags, states=states) for face, name in zip(faces, names, strict=True)]
    return format_table([columns, *rows])


def _row(face: Face, name: str, tags: Sequence[str], *, states: bool) -> list[str]:
    box = [""] * len(BOX) if face.box is None else [exact(getattr(face.box, side)) for side in BOX]
    return [
        name,
        *box,
        *numbers(face.landmarks()),
        *(str(state) for state in (face.visibility().tolist() if states else ())),
        named_group(face.group),
        *(face.tags.get(tag, "") for tag in tags),
    ]
