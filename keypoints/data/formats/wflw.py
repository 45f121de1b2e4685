"""WFLW's lists, ``list_98pt_rect_attr_train.txt`` and its test list: a row per face, blanks between values.

W. Wu et al., Look at boundary: a boundary-aware face alignment algorithm, CVPR 2018. A row has x and y of 98
points, a detector's box (left, top, right, bottom), six attributes that are 0 or 1, and the photo's name
below ``WFLW_images``. The attributes become tags, so that an evaluation measures its subsets: pose,
expression, illumination, make-up, occlusion, blur. Pixel (0, 0) has its centre at (0, 0). NME is normalised
by the distance of the outer eye corners, points 60 and 72; failure rate and AUC are reported at 0.1.
"""

from collections.abc import Iterator, Sequence

from keypoints.data.formats.lists import ListedBox, OpenList
from keypoints.data.formats.values import coordinate, given_box, quoted
from keypoints.formatting import counted
from keypoints.geometry import Box

ATTRIBUTES = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")
_POINTS = 98
_BOX = 2 * _POINTS
_TAGS = _BOX + 4
_NAME = _TAGS + len(ATTRIBUTES)


def recognises(beginning: str) -> bool:
    """Return whether the first line of a file has the number of values of this format."""
    cells = beginning.partition("\n")[0].split()
    return len(cells) == _NAME + 1 and "," not in cells[0]


def read(reading: OpenList) -> None:
    """Add the faces of the list to ``reading``.

    Raises:
        DataError: if a row cannot be used.
    """
    reading.check_count(_POINTS)
    for line, cells in _rows(reading):
        with reading.row(f"line {line}"):
            _check(cells)
            values = [coordinate(cell) for cell in cells[:_BOX]]
            points = list(zip(values[::2], values[1::2], strict=True))
            tags = dict(zip(ATTRIBUTES, cells[_TAGS:_NAME], strict=True))
            reading.add(cells[_NAME], _box(cells), points, tags=tags)


def read_boxes(reading: OpenList) -> Iterator[ListedBox]:
    """Yield the photo and the box of each row.

    Raises:
        DataError: if a row cannot be used.
    """
    for line, cells in _rows(reading):
        with reading.row(f"line {line}"):
            _check(cells)
            yield reading.listed(cells[_NAME], _box(cells))


def _rows(reading: OpenList) -> Iterator[tuple[int, list[str]]]:
    for number, text in enumerate(reading.text().splitlines(), start=1):
        if text.strip():
            yield number, text.split(maxsplit=_NAME)


def _check(cells: Sequence[str]) -> None:
    """Check the number of values and the attributes of a row.

    Raises:
        ValueError: if there are fewer values, or an attribute is neither 0 nor 1.
    """
    if len(cells) != _NAME + 1:
        raise ValueError(f"has {counted(len(cells), 'value')}; WFLW's rows have {_NAME + 1}")
    for name, value in zip(ATTRIBUTES, cells[_TAGS:_NAME], strict=True):
        if value not in ("0", "1"):
            raise ValueError(f"{name} is 0 or 1, not {quoted(value)}")


def _box(cells: Sequence[str]) -> Box | None:
    left, top, right, bottom = (coordinate(cell) for cell in cells[_BOX:_TAGS])
    return given_box(left, top, right - left, bottom - top)
