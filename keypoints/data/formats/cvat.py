"""CVAT's own export, "CVAT for images 1.1": ``annotations > image > points`` or ``skeleton``, in XML.

A face is one shape ``points`` with all its points in order, or one ``skeleton``, whose points are in
the order of the scheme that is set, or of their numbers, or of the task's labels. A skeleton's point with
``outside="1"`` is not labelled; ``occluded="1"`` means labelled and hidden. The face's box is the ``box`` of
its ``group_id``, or the only box of a photo with one face. The shape's attributes become tags.

Coordinates are read as they are, with pixel (0, 0) centred at (0, 0): CVAT's exports in XML and as COCO have
the same numbers, and so give the same faces. Photos are below the list's folder, or in its ``images/``, where
CVAT puts them. Lists are untrusted input. The layout is that of https://docs.cvat.ai/docs/other/xml_format.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from keypoints.data.face import HIDDEN, UNLABELLED, VISIBLE
from keypoints.data.formats.lists import ListedBox, OpenList
from keypoints.data.formats.untrusted_xml import xml_root
from keypoints.data.formats.values import box, coordinate, number, quoted
from keypoints.errors import DataError, shortened
from keypoints.formatting import counted, pluralised
from keypoints.geometry import Box
from keypoints.schemes import scheme_of_category

_BEGINNING = re.compile(r"<annotations[\s/>]")
_SHAPES = ("points", "skeleton")
"""Elements that are a face."""
_MOST_SHOWN = 255
"""Longest name in a message, in characters."""


def recognises(beginning: str) -> bool:
    """Return whether a file begins like XML with CVAT's root element."""
    return beginning.lstrip().startswith("<") and _BEGINNING.search(beginning) is not None


class _Point(NamedTuple):
    """Point with its state, as in :class:`Face`."""

    x: float
    y: float
    state: int


_MISSING = _Point(math.nan, math.nan, UNLABELLED)


def read(reading: OpenList) -> None:
    """Add the faces of the list to ``reading``, and the names of a skeleton's points.

    Raises:
        DataError: if the list is not in the format, or a shape cannot be used.
    """
    root, images = _images(reading)
    kinds = Counter(_kind(shape) for image in images for shape in _shapes(image))
    face = kinds.most_common(1)[0][0] if kinds else ("", "")
    labels = _labels(reading, root, images, face[1]) if face[0] == "skeleton" else []
    if labels and not all(map(_is_number, labels)):
        scheme = scheme_of_category({"name": face[1], "keypoints": labels}, reading.path)
        if scheme is not None:
            reading.describe(scheme)
    for image in images:
        shapes = _shapes(image)
        for place, shape in enumerate(shapes, start=1):
            where = _where(image) + (f": shape {place}" if len(shapes) > 1 else "")
            with reading.row(where):
                _check_kind(shape, kinds)
                points = _skeleton(shape, labels) if shape.tag == "skeleton" else _points(shape)
                reading.add(
                    _name(reading, image),
                    _box_of(shape, image, alone=len(shapes) == 1),
                    [(point.x, point.y) for point in points],
                    tags=_tags(shape),
                    size=_size(image),
                    states=[point.state for point in points],
                )


def read_boxes(reading: OpenList) -> Iterator[ListedBox]:
    """Yield the boxes of each photo, or the photo alone if it has no box.

    Raises:
        DataError: if the list is not in the format, or a box cannot be used.
    """
    _, images = _images(reading)
    for image in images:
        with reading.row(_where(image)):
            boxes: list[Box | None] = [_box(each) for each in image.iterfind("box")]
            for each in boxes or [None]:
                yield reading.listed(_name(reading, image), each, _size(image))


def _images(reading: OpenList) -> tuple[Element, list[Element]]:
    """Return the root element and the photos of the list."""
    root = xml_root(reading.path, "CVAT's")
    images = root.findall("image") if root.tag == "annotations" else []
    if not images:
        way_out = "; it is an export for video" if root.find("track") is not None else ""
        raise DataError(
            f"{reading.path}: lists no image{way_out}; export it from CVAT as CVAT for images 1.1"
        )
    return root, images


def _shapes(image: Element) -> list[Element]:
    """Return the shapes of a photo that are faces."""
    return [each for each in image if each.tag in _SHAPES and each.get("outside") != "1"]


def _kind(shape: Element) -> tuple[str, str]:
    return shape.tag, shape.get("label", "")


def _check_kind(shape: Element, kinds: Counter[tuple[str, str]]) -> None:
    """Check that a shape is of the kind and label that most have."""
    ((most, count),) = kinds.most_common(1)
    if _kind(shape) != most:
        tag, label = _kind(shape)
        raise ValueError(
            f"has {tag} of the label {quoted(label)}, and {count} of {counted(kinds.total(), 'shape')} "
            f"{pluralised(count, 'is', 'are')} {most[0]} of "
            f"the label {quoted(most[1])}; a face is one shape with all its points, or one skeleton"
        )


def _labels(reading: OpenList, root: Element, images: Sequence[Element], face: str) -> list[str]:
    """Return the labels of the points of the skeletons that are labelled ``face``, in the points' order."""
    found = {
        point.get("label", "")
        for image in images
        for skeleton in image.iterfind("skeleton")
        if skeleton.get("label") == face
        for point in skeleton.iterfind("points")
    }
    stated = [
        label.findtext("name", "")
        for label in root.iterfind("meta//labels/label")
        if label.findtext("parent") == face
    ]
    return reading.order_names(found, [] if all(map(_is_number, found)) else stated)


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdigit() and len(label) < 10


def _where(image: Element) -> str:
    name = shortened(image.get("name", "no name"), _MOST_SHOWN)
    return f"image {shortened(image.get('id', '?'), 60)} ({name})"


def _name(reading: OpenList, image: Element) -> str:
    """Return the name of a photo relative to the root, which may be in the folder of CVAT's archives."""
    name = image.get("name")
    if not name:
        raise ValueError("does not name its file")
    packed = [f"images/{name}", f"images/{image.get('subset', 'default')}/{name}"]
    there = (each for each in [name, *packed] if (reading.root / each).is_file())
    return next(there, name)


def _size(image: Element) -> tuple[int, int] | None:
    try:
        width, height = number(image.get("width")), number(image.get("height"))
    except ValueError:
        return None
    return int(width), int(height)


def _state(shape: Element) -> int:
    return HIDDEN if shape.get("occluded") == "1" else VISIBLE


def _pairs(shape: Element) -> list[tuple[float, float]]:
    """Return the coordinates of a shape, which are written as ``x,y;x,y``."""
    text = shape.get("points", "")
    pairs = [pair.split(",") for pair in text.split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"points are written as x,y;x,y;…, not {quoted(text)}")
    return [(coordinate(x), coordinate(y)) for x, y in pairs]


def _points(shape: Element) -> list[_Point]:
    return [_Point(x, y, _state(shape)) for x, y in _pairs(shape)]


def _skeleton(skeleton: Element, labels: Sequence[str]) -> list[_Point]:
    """Return the points of a skeleton in the order of the labels; a missing one is not labelled."""
    found: dict[str, _Point] = {}
    for point in skeleton.iterfind("points"):
        label = point.get("label", "")
        if label in found:
            raise ValueError(f"has the point {quoted(label)} twice")
        if point.get("outside") == "1":
            found[label] = _MISSING
            continue
        pairs = _pairs(point)
        if len(pairs) != 1:
            raise ValueError(f"its point {quoted(label)} has {len(pairs)} positions instead of one")
        found[label] = _Point(*pairs[0], _state(point))
    return [found.get(label, _MISSING) for label in labels]


def _box_of(shape: Element, image: Element, *, alone: bool) -> Box | None:
    """Return the box of a face: of its group, or else the only one of the photo, if the face is alone."""
    boxes = image.findall("box")
    group = shape.get("group_id")
    own = [each for each in boxes if group not in (None, "", "0") and each.get("group_id") == group]
    chosen = own or (boxes if alone else [])
    return _box(chosen[0]) if len(chosen) == 1 else None


def _box(element: Element) -> Box:
    if number(element.get("rotation", "0")) != 0:
        raise ValueError("has a rotated box; draw it upright")
    left, top, right, bottom = (coordinate(element.get(side)) for side in ("xtl", "ytl", "xbr", "ybr"))
    return box(left, top, right - left, bottom - top)


def _tags(shape: Element) -> Mapping[str, str]:
    """Return the attributes of a shape, without empty ones."""
    found = {each.get("name", ""): (each.text or "").strip() for each in shape.iterfind("attribute")}
    return {name: value for name, value in found.items() if name and value}
