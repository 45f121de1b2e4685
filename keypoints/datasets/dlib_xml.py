"""Dlib's lists of faces, read and written.

``dataset > images > image[@file] > box[@left @top @width @height] > part[@name @x @y]``. Coordinates
are whole pixels, 0-based. Nothing here trusts a list: it may come from anywhere.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from keypoints.datasets import values
from keypoints.errors import DataError, one_line, shortened
from keypoints.geometry import Box, FloatArray
from keypoints.inputs import MOST_LIST, read_unpacked, why_not_regular

_ESCAPES = {"'": "&apos;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_MOST_NAME = 1024
"""Characters of a name in a message."""
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


def read_entries(
    path: Path, count: int | None, root: Path | None = None, *, missing_ok: bool = False
) -> Iterator[Entry | DataError]:
    """The faces of the list ``path``, in its order, with ``count`` points each or none.

    A face that is not what it should be, or whose picture is missing or lies outside the pictures'
    folder, comes as the error in its place; the message names the list, and the image by number and
    file. Boxes marked ``ignore='1'`` are no faces. Pictures are not opened.

    Args:
        count: of the points; ``None`` takes as many as a face has.
        root: the folder of the pictures; ``None`` is the list's own.
        missing_ok: whether a face without its picture is a face none the less.

    Raises:
        DataError: if the list itself cannot be read: cut off, no XML, not dlib's, without an image,
            or with a document type, in which entities could be hidden.
    """
    folder = (path.parent if root is None else root).resolve()
    for number, image in enumerate(_images(path), start=1):
        where = f"{path}: image {number} ({shortened(image.get('file', 'no file'), _MOST_NAME)})"
        try:
            file, size, boxes = (
                _file(folder, image, where, missing_ok),
                _size(image, where),
                _boxes(image, where),
            )
        except DataError as error:
            yield error
            continue
        for place, box in enumerate(boxes, start=1):
            what = where if len(boxes) == 1 else f"{where}: box {place}"
            try:
                yield Entry(file, _box(box, what), _points(box, count, what), size)
            except DataError as error:
                yield error


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


def _file(folder: Path, image: Element, where: str, missing_ok: bool) -> str:
    """The picture's path from ``folder``, inside of it; it is there, unless it may be missing."""
    file = image.get("file")
    if not file:
        raise DataError(f"{where}: does not name its file")
    try:
        picture = (folder / file).resolve()
        inside = (
            picture.is_relative_to(folder) and ".." not in Path(file).parts and not Path(file).is_absolute()
        )
        why = why_not_regular(picture)
    except (OSError, RuntimeError, ValueError) as error:  # too long a name, links in a circle
        raise DataError(f"{where}: no such name can be looked up ({one_line(error)})") from error
    if not inside:
        raise DataError(
            f"{where}: lies outside the pictures' folder, or is a link out of it; only pictures below "
            f"{folder} are read"
        )
    if not (why is None or missing_ok):
        raise DataError(f"{where}: the picture {why}")
    return file


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


def _boxes(image: Element, where: str) -> list[Element]:
    boxes = [box for box in image.iterfind("box") if box.get("ignore") != "1"]
    if not boxes:
        raise DataError(f"{where}: has no box; give it one, or take it out of the list")
    return boxes


def _box(element: Element, where: str) -> Box:
    left, top, width, height = (_number(element, key, where) for key in ("left", "top", "width", "height"))
    try:
        return values.box(left, top, width, height)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error


def _points(box: Element, count: int | None, where: str) -> FloatArray | None:
    """The parts, by their names and not by their order; ``None`` if there are none."""
    if count is None:
        count = len(box.findall("part"))
    places = {f"{number:02}": number for number in range(count)}
    points: dict[int, tuple[float, float]] = {}
    for part in box.iterfind("part"):
        name = part.get("name", "")
        if name not in places:
            raise DataError(
                f"{where}: has a part {values.quoted(name)}; parts are named '00' to '{count - 1:02}'"
            )
        if places[name] in points:
            raise DataError(f"{where}: has the part {name!r} twice")
        point = f"{where}: part {name!r}"
        points[places[name]] = (_number(part, "x", point), _number(part, "y", point))
    if not points:
        return None
    if len(points) != count:
        missing = next(name for name, place in places.items() if place not in points)
        raise DataError(f"{where}: has {len(points)} points instead of {count}; {missing!r} is missing")
    return np.array([points[place] for place in range(count)])


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
        f"      <part name='{number:02}' x='{x}' y='{y}'/>"
        for number, (x, y) in enumerate(np.rint(points).astype(int).tolist())
    ]
    return [f"{place}>", *parts, "    </box>"]


def _quoted(text: str) -> str:
    """The text in single quotes, escaped."""
    if _NOT_XML.search(text):
        raise DataError(f"{text!r}: this name cannot stand in an XML list; rename the file")
    return f"'{escape(text, _ESCAPES)}'"
