"""Reading and writing of dlib's XML lists of faces.

``dataset > images > image[@file] > box[@left @top @width @height] > part[@name @x @y]``. Coordinates
are integer pixels, 0-based. Lists are untrusted input.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

import numpy as np

from keypoints.data.formats import values
from keypoints.data.formats.untrusted_xml import xml_root
from keypoints.data.photo_names import PhotoNames
from keypoints.errors import DataError, shortened
from keypoints.formatting import counted
from keypoints.geometry import Box, FloatArray
from keypoints.landmarks import LandmarkScheme

_ESCAPES = {"'": "&apos;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_MOST_NAME = 1024
"""Longest name in a message, in characters."""
_MOST_DIGITS = 10
"""Number of characters from which a part's name is not read as a number."""
FLAGS = ("difficult", "occluded", "truncated")
"""imglab's flags of a box, which are missing if they are not set."""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Entry(NamedTuple):
    """One face of a list."""

    file: str
    """Path of the picture, relative to the folder of the pictures."""
    box: Box
    """Box of the face, which may extend beyond the picture."""
    points: FloatArray | None
    """(N, 2) pixels; ``None`` if the list has no points for this face."""
    size: tuple[int, int] | None = None
    """Width and height of the picture, if the list states them."""
    tags: Mapping[str, str] = MappingProxyType({})
    """imglab's other attributes of the box, such as ``{"occluded": "1", "label": "face"}``."""


class ListedImage(NamedTuple):
    """One picture of a list, with its faces."""

    file: str
    """Path of the picture, relative to the folder of the pictures."""
    size: tuple[int, int] | None
    """Width and height, if the list states them."""
    faces: list[Entry | DataError]
    """Each face, or the error that prevents its use; empty if the picture has no box."""
    where: str
    """List, number and file of the picture, for messages."""
    names: tuple[str, ...] = ()
    """Names of the list's parts, in the order of the points; empty if they are numbers."""


def read_entries(
    path: Path, count: int | None, root: Path | None = None, *, missing_ok: bool = False
) -> Iterator[Entry | DataError]:
    """Yield the faces of a list, in its order, each with all points or none.

    An invalid face, a picture without a face, and a picture that is missing or outside the pictures' folder
    are yielded as errors, in their places.

    Args:
        path: see :func:`read_images`.
        count: see :func:`read_images`.
        root: see :func:`read_images`.
        missing_ok: see :func:`read_images`.

    Raises:
        DataError: see :func:`read_images`.
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
    scheme: LandmarkScheme | None = None,
) -> Iterator[ListedImage | DataError]:
    """Yield the pictures of a list, in its order, with their faces.

    Invalid pictures and faces are yielded as errors, in their places; the message names the list, and the
    image by number and file. Boxes with the flag ``ignore`` are left out. Pictures are not opened.

    Args:
        path: the list.
        count: number of points, whose parts are named by numbers from 0 up; ``None`` takes the parts that
            most faces have, in the order of their numbers, or else of their names, as in dlib; or the points
            of ``scheme``, if the parts are named or numbered as these are.
        root: the folder of the pictures; ``None`` for the folder of the list.
        missing_ok: whether pictures may be missing.
        boxes_alone: whether to ignore the parts.
        scheme: the landmarks that each face must have, if they are known.

    Raises:
        DataError: if the list itself cannot be read: it is truncated, is no XML, not dlib's, has no image, or
            declares a document type, which could define entities.
    """
    photos = PhotoNames(path.parent if root is None else root)
    images = _images(path)
    parts = None if boxes_alone else _Parts.of(images, scheme) if count is None else _Parts.numbered(count)
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
        yield ListedImage(file, size, faces, where, () if parts is None else parts.words())


def _entry(
    file: str, size: tuple[int, int] | None, box: Element, parts: "_Parts | None", where: str
) -> Entry | DataError:
    try:
        points = None if parts is None else parts.points(box, where)
        return Entry(file, _box(box, where), points, size, _tags(box))
    except DataError as error:
        return error


def _images(path: Path) -> list[Element]:
    root = xml_root(path, "dlib's")
    images = root.findall("images/image") if root.tag == "dataset" else []
    if not images:
        raise DataError(f"{path}: lists no image; dlib's lists have dataset > images > image")
    return images


def _file(photos: PhotoNames, image: Element, where: str, missing_ok: bool) -> str:
    """Return the picture's path relative to the folder; refuse a path outside and a missing picture."""
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
    """Return whether a flag of a box is set, by dlib's rules."""
    return text.strip().lower() in ("1", "true")


def _tags(box: Element) -> dict[str, str]:
    """Return imglab's attributes of a box other than its coordinates."""
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
    """Names of the parts that each face of a list must have."""

    names: Mapping[str, str]
    """Names in the order of the points, by their normal form."""
    only: str
    """Description of the expected parts, for messages."""
    complete: bool = False
    """Flag: each face needs all parts; else a missing part is a point without a label."""

    @classmethod
    def numbered(cls, count: int) -> "_Parts":
        """Return parts that are named by numbers from 0 up."""
        names = {str(number): part_name(number, count) for number in range(count)}
        only = f"parts are named {part_name(0, count)!r} to {part_name(count - 1, count)!r}"
        return cls(names, only, complete=True)

    @classmethod
    def of(cls, images: Iterable[Element], scheme: LandmarkScheme | None) -> "_Parts":
        """Return the parts of the scheme, else those that at least half of a list's faces with parts have."""
        spelt: dict[str, str] = {}
        times: Counter[str] = Counter()
        total = 0
        for image in images:
            for box in _boxes(image):
                own = [part.get("name", "") for part in box.iterfind("part")]
                for name in own:
                    spelt.setdefault(_normal_name(name), name)
                times.update(set(map(_normal_name, own)))
                total += bool(own)
        if not times:
            return cls({}, "")
        if scheme is not None and (own_names := _names_in(scheme, times)):
            return cls(
                {name: spelt.get(name, name) for name in own_names}, f"{scheme.name} has no such point"
            )
        chosen = [name for name, count in times.items() if 2 * count >= total]
        numbers = all(name.isdigit() and name.isascii() for name in chosen)
        ordered = sorted(chosen, key=int) if numbers else sorted(chosen)
        agree = (
            f"at least half of the list's {counted(total, 'face')} with parts have "
            f"{counted(len(chosen), 'part')} without it; take it out, or give the scheme of the points"
        )
        return cls({name: spelt[name] for name in ordered}, agree)

    def words(self) -> tuple[str, ...]:
        """Return the names in the order of the points; empty if they are numbers."""
        numbers = all(name.isdigit() and name.isascii() for name in self.names)
        return () if numbers else tuple(self.names.values())

    def points(self, box: Element, where: str) -> FloatArray | None:
        """Return the points of a box in the order of the names, (N, 2); ``None`` if it has no parts.

        A missing part of a list that names its parts itself is NaN.
        """
        points: dict[str, tuple[float, float]] = {}
        for part in box.iterfind("part"):
            name = part.get("name", "")
            plain = _normal_name(name)
            if plain not in self.names:
                raise DataError(f"{where}: has a part {values.quoted(name)}; {self.only}")
            if plain in points:
                raise DataError(f"{where}: has the part {name!r} twice")
            point = f"{where}: part {name!r}"
            points[plain] = (_number(part, "x", point), _number(part, "y", point))
        if not points:
            return None
        if self.complete and len(points) != len(self.names):
            missing = next(name for plain, name in self.names.items() if plain not in points)
            raise DataError(
                f"{where}: has {counted(len(points), 'point')} instead of {len(self.names)}; {missing!r} "
                "is missing"
            )
        missing_point = (np.nan, np.nan)
        return np.array([points.get(plain, missing_point) for plain in self.names])


def _names_in(scheme: LandmarkScheme, found: Collection[str]) -> list[str]:
    """Return the names of a scheme's points in a list, in the order of the scheme.

    Args:
        scheme: the landmarks.
        found: names of the list's parts, in normal form.

    Returns:
        The scheme's names if a part has one of them, or numbers from 0 or 1 up if the first or the last point
        tells from which; empty if the parts do not tell which points they are.
    """
    if not {*scheme.names}.isdisjoint(found):
        return [_normal_name(name) for name in scheme.names]
    count = len(scheme)
    for first, sure in ((0, 0), (1, count)):
        numbered = [str(first + place) for place in range(count)]
        if str(sure) in found and {*found} <= {*numbered}:
            return numbered
    return []


def _normal_name(name: str) -> str:
    """Return a part's name in normal form, in which 7, 07 and 007 are equal."""
    return str(int(name)) if name.isascii() and name.isdigit() and len(name) < _MOST_DIGITS else name


def part_name(number: int, count: int) -> str:
    """Return the name of a part, padded with zeros so that dlib, which sorts names, keeps ``count`` in order.

    >>> part_name(7, 68), part_name(7, 106)
    ('07', '007')
    """
    return f"{number:0{max(2, len(str(count - 1)))}}"


def format_dlib_xml(entries: Iterable[Entry], name: str) -> str:
    """Return the text of dlib's list of ``entries``, titled ``name``, in pure ASCII.

    Boxes and points are rounded to integer pixels, as in dlib. Consecutive entries of the same file become
    boxes of one image.

    Raises:
        DataError: if a name contains a character that XML forbids.
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
        for number, (x, y) in enumerate(np.rint(np.nan_to_num(points)).astype(int).tolist())
        if np.isfinite(points[number]).all()
    ]
    return [f"{place}>", *parts, "    </box>"]


def _quoted(text: str) -> str:
    """Return the text in single quotes, escaped."""
    if _NOT_XML.search(text):
        raise DataError(f"{text!r}: this name cannot stand in an XML list; rename the file")
    return f"'{escape(text, _ESCAPES)}'"
