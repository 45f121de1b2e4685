"""Dlib's lists of faces, read and written.

``dataset > images > image[@file] > box[@left @top @width @height] > part[@name @x @y]``. Coordinates
are whole pixels, 0-based. Nothing here trusts a list: it may come from anywhere.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from keypoints.data.formats import values
from keypoints.data.photo_names import PhotoNames
from keypoints.errors import DataError, one_line, shortened
from keypoints.geometry import Box, FloatArray
from keypoints.input_files import MOST_LIST, read_unpacked

_ESCAPES = {"'": "&apos;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_MOST_NAME = 1024
"""Characters of a name in a message."""
_MOST_DIGITS = 10
"""Of a part's name that is a number."""
FLAGS = ("difficult", "occluded", "truncated")
"""What imglab marks of a box, or leaves out."""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Entry(NamedTuple):
    """One face of a list."""

    file: str
    """The picture's path from the list's folder."""
    box: Box
    """May stick out of the picture."""
    points: FloatArray | None
    """(N, 2) pixels, or ``None`` where the list has none for this face."""
    size: tuple[int, int] | None = None
    """Width and height of the picture, where the list tells them."""
    tags: Mapping[str, str] = MappingProxyType({})
    """What imglab says of the box besides, such as ``{"occluded": "1", "label": "face"}``."""


class ListedImage(NamedTuple):
    """One picture of a list, with its faces."""

    file: str
    """Its path from the list's folder."""
    size: tuple[int, int] | None
    """Width and height, where the list tells them."""
    faces: list[Entry | DataError]
    """Each, or what is wrong with it; none where nobody marked one."""
    where: str
    """What messages call it."""


def read_entries(
    path: Path, count: int | None, root: Path | None = None, *, missing_ok: bool = False
) -> Iterator[Entry | DataError]:
    """The faces of the list ``path``, in its order, with all of its points or none.

    A face that is not what it should be, or whose picture is missing or lies outside the pictures'
    folder, comes as the error in its place, as does a picture without a face.

    Args:
        path, count, root, missing_ok: as of :func:`read_images`.

    Raises:
        DataError: as :func:`read_images`.
    """
    for image in read_images(path, count, root, missing_ok=missing_ok):
        if isinstance(image, DataError):
            yield image
        elif image.faces:
            yield from image.faces
        else:
            yield DataError(f"{image.where}: has no box; give it one, or take it out of the list")


def read_images(
    path: Path,
    count: int | None,
    root: Path | None = None,
    *,
    missing_ok: bool = False,
    boxes_alone: bool = False,
) -> Iterator[ListedImage | DataError]:
    """The pictures of the list ``path``, in its order, with their faces.

    What is not as it should be comes as the error in its place; the message names the list, and the image by
    number and file. Boxes that are marked ``ignore`` are no faces. Pictures are not opened.

    Args:
        path: the list.
        count: of the points, which are named by their numbers from 0 up; ``None`` takes the parts that most
            faces have, in the order of their numbers, or of their names as dlib does.
        root: the folder of the pictures; ``None`` is the list's own.
        missing_ok: whether a picture need not be there.
        boxes_alone: whether the parts are passed over.

    Raises:
        DataError: if the list itself cannot be read: cut off, no XML, not dlib's, without an image,
            or with a document type, in which entities could be hidden.
    """
    photos = PhotoNames(path.parent if root is None else root)
    images = _images(path)
    parts = None if boxes_alone else _Parts.of(images) if count is None else _Parts.numbered(count)
    for number, image in enumerate(images, start=1):
        where = f"{path}: image {number} ({shortened(image.get('file', 'no file'), _MOST_NAME)})"
        try:
            file, size = _file(photos, image, where, missing_ok), _size(image, where)
        except DataError as error:
            yield error
            continue
        boxes = _boxes(image)
        names = [where] if len(boxes) == 1 else [f"{where}: box {place + 1}" for place in range(len(boxes))]
        faces = [_entry(file, size, box, parts, what) for box, what in zip(boxes, names, strict=True)]
        yield ListedImage(file, size, faces, where)


def _entry(
    file: str, size: tuple[int, int] | None, box: Element, parts: "_Parts | None", where: str
) -> Entry | DataError:
    try:
        points = None if parts is None else parts.points(box, where)
        return Entry(file, _box(box, where), points, size, _tags(box))
    except DataError as error:
        return error


def _images(path: Path) -> list[Element]:
    try:
        root = fromstring(read_unpacked(path, MOST_LIST), forbid_dtd=True)
    except DefusedXmlException as error:
        raise DataError(
            f"{path}: declares a document type or entities, which no list of dlib's does"
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise DataError(f"{path}: is no XML, damaged or cut off ({one_line(error)})") from error
    images = root.findall("images/image") if root is not None and root.tag == "dataset" else []
    if not images:
        raise DataError(f"{path}: lists no image; dlib's lists have dataset > images > image")
    return images


def _file(photos: PhotoNames, image: Element, where: str, missing_ok: bool) -> str:
    """The picture's path from the folder, inside of it; it is there, unless it may be missing."""
    file = image.get("file")
    if not file:
        raise DataError(f"{where}: does not name its file")
    try:
        return photos.find(file, missing_ok=missing_ok)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error


def _number(element: Element, key: str, where: str) -> float:
    text = element.get(key)
    try:
        return values.coordinate(text or "")
    except ValueError as error:
        found = f"no {key}" if text is None else f"{key}={values.quoted(text)}"
        raise DataError(
            f"{where}: its {element.tag} has {found}; a number of pixels belongs there, "
            f"no more than {values.MOST_PIXELS:,.0f}"
        ) from error


def _size(image: Element, where: str) -> tuple[int, int] | None:
    if image.get("width") is None and image.get("height") is None:
        return None
    return int(_number(image, "width", where)), int(_number(image, "height", where))


def _boxes(image: Element) -> list[Element]:
    return [box for box in image.iterfind("box") if not _is_set(box.get("ignore", ""))]


def _is_set(text: str) -> bool:
    """Whether a switch of a box is on, as dlib reads it."""
    return text.strip().lower() in ("1", "true")


def _tags(box: Element) -> dict[str, str]:
    """What imglab says of a box besides its place."""
    tags = {
        name: "1" if name in FLAGS and _is_set(text) else "0" if name in FLAGS else text
        for name, text in box.attrib.items()
        if name not in ("left", "top", "width", "height", "ignore") and text.strip()
    }
    label = (box.findtext("label") or "").strip()
    return {**tags, "label": label} if label else tags


def _box(element: Element, where: str) -> Box:
    left, top, width, height = (_number(element, key, where) for key in ("left", "top", "width", "height"))
    try:
        return values.box(left, top, width, height)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error


class _Parts(NamedTuple):
    """The parts that each face of a list has."""

    names: Mapping[str, str]
    """How each is called, in the order of the points, by the form in which names are compared."""
    only: str
    """What a message says of them."""

    @classmethod
    def numbered(cls, count: int) -> "_Parts":
        """The numbers from 0 up."""
        names = {str(number): part_name(number, count) for number in range(count)}
        return cls(names, f"parts are named {part_name(0, count)!r} to {part_name(count - 1, count)!r}")

    @classmethod
    def of(cls, images: Iterable[Element]) -> "_Parts":
        """Those that most faces of a list have."""
        spelt: dict[str, str] = {}
        times: Counter[frozenset[str]] = Counter()
        for image in images:
            for box in _boxes(image):
                own = [part.get("name", "") for part in box.iterfind("part")]
                for name in own:
                    spelt.setdefault(_plain(name), name)
                if own:
                    times[frozenset(map(_plain, own))] += 1
        if not times:
            return cls({}, "")
        ((chosen, most),) = times.most_common(1)
        numbers = all(name.isdigit() and name.isascii() for name in chosen)
        ordered = sorted(chosen, key=int) if numbers else sorted(chosen)
        agree = f"{most} of the list's {times.total()} faces with parts have the same {len(chosen)} others"
        return cls({name: spelt[name] for name in ordered}, agree)

    def points(self, box: Element, where: str) -> FloatArray | None:
        """The parts of a box, by their names and not by their order; ``None`` if there are none."""
        points: dict[str, tuple[float, float]] = {}
        for part in box.iterfind("part"):
            name = part.get("name", "")
            plain = _plain(name)
            if plain not in self.names:
                raise DataError(f"{where}: has a part {values.quoted(name)}; {self.only}")
            if plain in points:
                raise DataError(f"{where}: has the part {name!r} twice")
            point = f"{where}: part {name!r}"
            points[plain] = (_number(part, "x", point), _number(part, "y", point))
        if not points:
            return None
        if len(points) != len(self.names):
            missing = next(name for plain, name in self.names.items() if plain not in points)
            raise DataError(
                f"{where}: has {len(points)} points instead of {len(self.names)}; {missing!r} is missing"
            )
        return np.array([points[plain] for plain in self.names])


def _plain(name: str) -> str:
    """The form in which names of parts are compared: 7, 07 and 007 are the same."""
    return str(int(name)) if name.isascii() and name.isdigit() and len(name) < _MOST_DIGITS else name


def part_name(number: int, count: int) -> str:
    """What the part of this number is called, so that dlib, which sorts by name, has ``count`` in order.

    >>> part_name(7, 68), part_name(7, 106)
    ('07', '007')
    """
    return f"{number:0{max(2, len(str(count - 1)))}}"


def format_dlib_xml(entries: Iterable[Entry], name: str) -> str:
    """The text of dlib's list of ``entries``, titled ``name``, in pure ASCII.

    Boxes and points are rounded to whole pixels, as dlib does. Neighbours of the same file become
    boxes of one image.

    Raises:
        DataError: if a name holds a character that XML cannot.
    """
    lines = [
        "<?xml version='1.0' encoding='ISO-8859-1'?>",
        "<?xml-stylesheet type='text/xsl' href='image_metadata_stylesheet.xsl'?>",
        "<dataset>",
        f"<name>{_quoted(name)[1:-1]}</name>",
        "<images>",
    ]
    for (file, size), faces in groupby(entries, key=lambda entry: (entry.file, entry.size)):
        extent = "" if size is None else f" width='{size[0]}' height='{size[1]}'"
        lines.append(f"  <image file={_quoted(file)}{extent}>")
        for face in faces:
            lines += _format_box(face.box, face.points)
        lines.append("  </image>")
    lines += ["</images>", "</dataset>", ""]
    return "\n".join(lines).encode("ascii", "xmlcharrefreplace").decode("ascii")


def _format_box(box: Box, points: FloatArray | None) -> list[str]:
    left, top, width, height = map(round, (box.left, box.top, box.width, box.height))
    place = f"    <box top='{top}' left='{left}' width='{max(width, 1)}' height='{max(height, 1)}'"
    if points is None:
        return [f"{place}/>"]
    parts = [
        f"      <part name='{part_name(number, len(points))}' x='{x}' y='{y}'/>"
        for number, (x, y) in enumerate(np.rint(points).astype(int).tolist())
    ]
    return [f"{place}>", *parts, "    </box>"]


def _quoted(text: str) -> str:
    """The text in single quotes, escaped."""
    if _NOT_XML.search(text):
        raise DataError(f"{text!r}: this name cannot stand in an XML list; rename the file")
    return f"'{escape(text, _ESCAPES)}'"
