"""What can be wrong with a data set, and what is worth knowing about it."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keypoints.datasets.face import Face
from keypoints.datasets.photos import Photo
from keypoints.errors import DataError
from keypoints.geometry import Box, FloatArray
from keypoints.landmarks import IBUG68

_NEAR = 0.25
"""How far outside its picture a point may lie, in parts of the face's longer side."""

_OVERLAP = 0.2
"""A face's box and the tight box of its points overlap by more than this; those of 300-W by 0.44."""

_ROUNDING = 2.0
"""Whole pixels of a mirror image or of a list may be this far from where they belong."""


class Finding(NamedTuple):
    """One thing about one file."""

    file: str
    what: str
    wrong: bool = True
    """Or only worth knowing."""


class Count(NamedTuple):
    """How many there are of something."""

    what: str
    found: int
    published: int


class Seen(NamedTuple):
    """What is remembered of a picture that was decoded."""

    size: tuple[int, int]
    digest: bytes
    """Of its pixels."""


def look(path: Path) -> Seen | DataError:
    """Decode a picture, whole."""
    photo = Photo(path)
    try:
        pixels = photo.decode(3)
    except DataError as error:
        return error
    return Seen(photo.size, hashlib.blake2b(pixels.tobytes(), digest_size=16).digest())


def finding(error: DataError, *, wrong: bool = True) -> Finding:
    """The finding of an error whose message begins with the file."""
    file, _, what = str(error).partition(": ")
    return Finding(file, what, wrong)


def check_face(face: Face, size: tuple[int, int]) -> Iterator[str]:
    """What is wrong with a face's box and points in its picture of ``size`` (width, height)."""
    width, height = size
    box = face.box
    if box is not None and not (-box.width < box.left < width and -box.height < box.top < height):
        yield f"{_shown(box)} misses the picture of {width} × {height}"
    if face.points is None:
        return
    low, high = face.points.min(axis=0), face.points.max(axis=0)
    outside = float(max((-low).max(), (high - (width - 1, height - 1)).max()))
    if outside > _NEAR * float((high - low).max()):
        yield f"a point lies {outside:.0f} px outside the picture of {width} × {height}"
    if box is not None and _overlap(box, face.points) < _OVERLAP:
        yield f"{_shown(box)} is not round the points, which reach from {_point(low)} to {_point(high)}"


def _shown(box: Box) -> str:
    return f"the box at ({box.left:g}, {box.top:g}) of {box.width:g} × {box.height:g}"


def _point(point: FloatArray) -> str:
    return f"({point[0]:.0f}, {point[1]:.0f})"


def _overlap(box: Box, points: FloatArray) -> float:
    """Intersection over union of a box and the tight box of points."""
    corner, sides = np.array([box.left, box.top]), np.array([box.width, box.height])
    low, high = points.min(axis=0), points.max(axis=0)
    common = np.maximum(np.minimum(corner + sides, high) - np.maximum(corner, low), 0).prod()
    return float(common / (sides.prod() + (high - low).prod() - common))


def check_twin(face: Face, twin: Face, size: tuple[int, int], twin_size: tuple[int, int]) -> Iterator[str]:
    """What is wrong with ``twin`` as the mirror image of a 300-W face, given their pictures' sizes."""
    width = size[0]
    if np.abs(np.subtract(size, twin_size)).max() > _ROUNDING:
        yield f"is not of the size of {face.photo.path.name}, whose mirror image it is"
        return
    if face.box is not None and twin.box is not None:
        left = width - face.box.width - face.box.left
        expected = (left, face.box.top, face.box.width, face.box.height)
        found = (twin.box.left, twin.box.top, twin.box.width, twin.box.height)
        if np.abs(np.subtract(expected, found)).max() > _ROUNDING:
            yield f"{_shown(twin.box)} does not mirror that of {face.photo.path.name}"
    if face.points is not None and twin.points is not None:
        mirrored = face.points[list(IBUG68.flip or ())] * (-1, 1) + (width - 1, 0)
        off = float(np.abs(mirrored - twin.points).max())
        if off > _ROUNDING:
            yield f"its points are up to {off:.0f} px off the mirrored points of {face.photo.path.name}"


def check_rounded(listed: Face, exact: FloatArray) -> Iterator[str]:
    """Whether a list's points are those of the ``.pts`` file, rounded."""
    off = float(np.abs(listed.landmarks() - exact).max())
    if off > _ROUNDING:
        yield f"its points are up to {off:.0f} px off those of its .pts file"


def repeated(groups: Mapping[Path, str], seen: Mapping[Path, Seen | DataError]) -> Iterator[list[Path]]:
    """Pictures that show the same and are of different groups."""
    same: dict[bytes, list[Path]] = {}
    for path, what in seen.items():
        if isinstance(what, Seen) and path in groups:
            same.setdefault(what.digest, []).append(path)
    for paths in same.values():
        if len({groups[path] for path in paths}) > 1:
            yield paths


def shared_groups(first: Iterable[Face], second: Iterable[Face]) -> set[str]:
    """The groups that have faces in both."""
    return {face.group for face in first} & {face.group for face in second}
