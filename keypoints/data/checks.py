"""What can be wrong with a data set, and what is worth knowing about it."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.geometry import Box, FloatArray
from keypoints.landmarks import IBUG68

_NEAR = 0.25
"""How far outside its picture a point may lie, in parts of the face's longer side."""

_LEAST = 0.1
"""A face takes at least this part of its picture's longer side, where its points do not say more."""

_RATIO = 1.5
"""Coordinates up to here, all of a face's, are fractions of the photo's sides, and no pixels."""

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
    published: int | None
    """``None`` of data that nobody published."""


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
    if (misses := _misses(face.box, size)) is not None:
        yield misses
    if face.points is None:
        return
    if (far := far_points(face, size)) is not None:
        yield far
    if face.box is not None and _overlap(face.box, face.points) < _OVERLAP:
        yield f"{_shown(face.box)} is not round the points, which reach {_reach(face.points)}"


def check_size(told: tuple[int, int] | None, size: tuple[int, int]) -> None:
    """See that a list has the size of a photo right.

    Args:
        told: width and height by the list; ``None`` or zeros where it does not tell them.
        size: of the upright photo.

    Raises:
        ValueError: if it has not: boxes and points would lie elsewhere.
    """
    if told is None or 0 in told or told == size:
        return
    why = "its list was made before the photo was turned upright" if told == size[::-1] else "was it resized?"
    raise ValueError(
        f"the list says {_size(told)} pixels, and the photo has {_size(size)} ({why}): make the list anew"
    )


def check_pixels(face: Face, size: tuple[int, int]) -> None:
    """See that a face's box and points can be pixels of its picture.

    Args:
        face: it may lack one or the other.
        size: width and height of the upright picture.

    Raises:
        ValueError: if they cannot.
    """
    if (misses := _misses(face.box, size)) is not None:
        raise ValueError(misses)
    if face.points is None:
        return
    if len(face.points) > 1 and np.abs(face.points).max() <= _RATIO:
        raise ValueError("its points lie within a pixel: they are pixels, not fractions of the photo's sides")
    if 2 * _are_far(face, size).sum() > len(face.points):
        raise ValueError(f"its points reach {_reach(face.points)}, and the photo has {_size(size)} pixels")


def far_points(face: Face, size: tuple[int, int]) -> str | None:
    """Return that points lie far outside the picture of ``size`` (width, height), if one does.

    Args:
        face: with points.
        size: of the upright picture.
    """
    far = np.flatnonzero(_are_far(face, size))
    if not len(far):
        return None
    points = face.landmarks()[far]
    outside = float(np.maximum(-points, points - np.subtract(size, 1)).max())
    others = f", as do {len(far) - 1} more" if len(far) > 1 else ""
    return f"point {far[0]} lies {outside:.0f} px outside the picture of {_size(size)}{others}"


def _are_far(face: Face, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(N,) whether each point lies farther outside the picture than a face that is cut off there explains."""
    points = face.landmarks()
    sides = [0.0] if face.box is None else [face.box.width, face.box.height]
    reach = _NEAR * max(*sides, *np.ptp(points, axis=0), _LEAST * max(size))
    found: npt.NDArray[np.bool_] = np.maximum(-points, points - np.subtract(size, 1)).max(axis=1) > reach
    return found


def _misses(box: Box | None, size: tuple[int, int]) -> str | None:
    """Return that a box misses the picture, if it does."""
    if box is None or (-box.width < box.left < size[0] and -box.height < box.top < size[1]):
        return None
    return f"{_shown(box)} misses the picture of {_size(size)}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"


def _reach(points: FloatArray) -> str:
    return f"from {_point(points.min(axis=0))} to {_point(points.max(axis=0))}"


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
        mirrored = face.points[list(IBUG68.flip_indices or ())] * (-1, 1) + (width - 1, 0)
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
