"""Checks of data sets: boxes, points, photo sizes, mirrored copies and duplicates."""

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
from keypoints.schemes import IBUG68

_NEAR = 0.25
"""Largest distance of a point from its picture, as a fraction of the face's longer side."""

_LEAST = 0.1
"""Smallest assumed side of a face, as a fraction of the picture's longer side."""

_RATIO = 1.5
"""If no coordinate of a face is larger than this, they are taken for fractions of the photo's sides."""

_OVERLAP = 0.2
"""Smallest overlap (IoU) of a face's box and the tight box of its points; in 300-W the smallest is 0.44."""

_OUTLINE = 20
"""Fewest labelled points whose tight box has about the size of the face: five points span a fifth of it."""

_ROUNDING = 2.0
"""Tolerance for coordinates that a list or a mirrored copy rounds to integers, in pixels."""


class Finding(NamedTuple):
    """Finding about one file."""

    file: str
    what: str
    wrong: bool = True
    """``True`` for an error, ``False`` for a remark."""


class Count(NamedTuple):
    """Number of items of one kind."""

    what: str
    found: int
    published: int | None
    """Number that the data set's authors state; ``None`` for other data."""


class Seen(NamedTuple):
    """Size and digest of a decoded picture."""

    size: tuple[int, int]
    digest: bytes
    """Digest of the pixels."""


def look(path: Path) -> Seen | DataError:
    """Decode a picture in full; return its size and digest, or the error."""
    photo = Photo(path)
    try:
        pixels = photo.decode(3)
    except DataError as error:
        return error
    return Seen(photo.size, hashlib.blake2b(pixels.tobytes(), digest_size=16).digest())


def finding(error: DataError, *, wrong: bool = True) -> Finding:
    """Return the finding for an error whose message begins with the file."""
    file, _, what = str(error).partition(": ")
    return Finding(file, what, wrong)


def check_face(face: Face, size: tuple[int, int]) -> Iterator[str]:
    """Yield the errors of a face's box and points in its picture of ``size`` (width, height)."""
    if (misses := _misses(face.box, size)) is not None:
        yield misses
    if face.points is None:
        return
    if (far := far_points(face, size)) is not None:
        yield far
    points = face.labelled_points()
    if face.box is not None and not _surrounds(face.box, points):
        reach = _describe_range(points)
        yield f"{_describe_box(face.box)} does not surround the points, which reach {reach}"


def check_size(stated: tuple[int, int] | None, size: tuple[int, int]) -> None:
    """Check that a list states the size of a photo correctly.

    Args:
        stated: width and height in the list; ``None`` or zeros if the list does not state them.
        size: width and height of the upright photo.

    Raises:
        ValueError: if they differ: the list's boxes and points would be misplaced.
    """
    if stated is None or 0 in stated or stated == size:
        return
    why = (
        "its list was made before the photo was turned upright" if stated == size[::-1] else "was it resized?"
    )
    raise ValueError(
        f"the list says {_size(stated)} pixels, and the photo has {_size(size)} ({why}): make the list again"
    )


def check_pixels(face: Face, size: tuple[int, int]) -> None:
    """Check that a face's box and points are plausible pixels of its picture.

    Args:
        face: face, with or without box and points.
        size: width and height of the upright picture.

    Raises:
        ValueError: if the box misses the picture, the points look like fractions of the photo's sides, or
            most points lie far outside the picture.
    """
    if (misses := _misses(face.box, size)) is not None:
        raise ValueError(misses)
    if face.points is None:
        return
    points = face.labelled_points()
    if len(points) > 1 and np.abs(points).max() <= _RATIO:
        raise ValueError("its points lie within a pixel: give them in pixels, not as fractions of the photo")
    if 2 * _are_far(face, size).sum() > len(points):
        raise ValueError(
            f"its points reach {_describe_range(points)}, and the photo has {_size(size)} pixels"
        )


def far_points(face: Face, size: tuple[int, int]) -> str | None:
    """Return a message about points that lie far outside the picture; ``None`` if there are none.

    Args:
        face: face with points.
        size: width and height of the upright picture.
    """
    far = np.flatnonzero(_are_far(face, size))
    if not len(far):
        return None
    points = face.landmarks()[far]
    outside = float(np.maximum(-points, points - np.subtract(size, 1)).max())
    others = f", as do {len(far) - 1} more" if len(far) > 1 else ""
    return f"point {far[0]} lies {outside:.0f} px outside the picture of {_size(size)}{others}"


def _are_far(face: Face, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return (N,) flags of points that lie farther outside the picture than a cut-off face explains."""
    points = face.landmarks()
    outside: FloatArray = np.maximum(-points, points - np.subtract(size, 1)).max(axis=1)
    if not (outside > 0).any():  # nearly all faces, in a quarter of the time
        return np.zeros(len(points), bool)
    sides = [0.0] if face.box is None else [face.box.width, face.box.height]
    reach = _NEAR * max(*sides, *np.ptp(face.labelled_points(), axis=0), _LEAST * max(size))
    return np.asarray(outside > reach)


def _misses(box: Box | None, size: tuple[int, int]) -> str | None:
    """Return a message if a box does not overlap the picture, else ``None``."""
    if box is None or (-box.width < box.left < size[0] and -box.height < box.top < size[1]):
        return None
    return f"{_describe_box(box)} misses the picture of {_size(size)}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"


def _describe_range(points: FloatArray) -> str:
    return f"from {_describe_point(points.min(axis=0))} to {_describe_point(points.max(axis=0))}"


def _describe_box(box: Box) -> str:
    return f"the box at ({box.left:g}, {box.top:g}) of {box.width:g} × {box.height:g}"


def _describe_point(point: FloatArray) -> str:
    return f"({point[0]:.0f}, {point[1]:.0f})"


def _surrounds(box: Box, points: FloatArray) -> bool:
    """Return whether a box belongs to points: it overlaps with many points, or contains half of a few."""
    if len(points) >= _OUTLINE:
        return _overlap(box, points) >= _OVERLAP
    corner = np.array([box.left, box.top]) - 0.5
    sides = np.array([box.width, box.height])
    inside = ((points >= corner) & (points <= corner + sides)).all(axis=1)
    return bool(2 * inside.sum() >= len(points))


def _overlap(box: Box, points: FloatArray) -> float:
    """Return the intersection over union of a box and the tight box of points."""
    corner, sides = np.array([box.left, box.top]), np.array([box.width, box.height])
    low, high = points.min(axis=0), points.max(axis=0)
    common = np.maximum(np.minimum(corner + sides, high) - np.maximum(corner, low), 0).prod()
    return float(common / (sides.prod() + (high - low).prod() - common))


def check_mirrored_copy(
    face: Face, copy: Face, size: tuple[int, int], copy_size: tuple[int, int]
) -> Iterator[str]:
    """Yield the errors of a 300-W face's mirrored copy, given both pictures' sizes."""
    width = size[0]
    if np.abs(np.subtract(size, copy_size)).max() > _ROUNDING:
        yield f"differs in size from {face.photo.path.name}, of which it is the mirrored copy"
        return
    if face.box is not None and copy.box is not None:
        left = width - face.box.width - face.box.left
        expected = (left, face.box.top, face.box.width, face.box.height)
        found = (copy.box.left, copy.box.top, copy.box.width, copy.box.height)
        if np.abs(np.subtract(expected, found)).max() > _ROUNDING:
            yield f"{_describe_box(copy.box)} does not mirror the box of {face.photo.path.name}"
    if face.points is not None and copy.points is not None:
        mirrored = face.points[list(IBUG68.flip_indices or ())] * (-1, 1) + (width - 1, 0)
        off = float(np.abs(mirrored - copy.points).max())
        if off > _ROUNDING:
            yield f"its points are up to {off:.0f} px off the mirrored points of {face.photo.path.name}"


def check_rounded(listed: Face, exact: FloatArray) -> Iterator[str]:
    """Yield an error if a list's points are not the rounded points of the ``.pts`` file."""
    off = float(np.abs(listed.landmarks() - exact).max())
    if off > _ROUNDING:
        yield f"its points are up to {off:.0f} px off the points of its .pts file"


def repeated(groups: Mapping[Path, str], seen: Mapping[Path, Seen | DataError]) -> Iterator[list[Path]]:
    """Yield the sets of identical pictures that belong to different groups."""
    same: dict[bytes, list[Path]] = {}
    for path, what in seen.items():
        if isinstance(what, Seen) and path in groups:
            same.setdefault(what.digest, []).append(path)
    for paths in same.values():
        if len({groups[path] for path in paths}) > 1:
            yield paths


def shared_groups(first: Iterable[Face], second: Iterable[Face]) -> set[str]:
    """Return the groups that have faces in both collections."""
    return {face.group for face in first} & {face.group for face in second}
