"""300-W: faces in the wild with 68 points, from dlib's lists or from the official ``.pts`` folders.

C. Sagonas, G. Tzimiropoulos, S. Zafeiriou, M. Pantic: 300 Faces in-the-Wild Challenge, ICCV-W 2013;
C. Sagonas, E. Antonakos, G. Tzimiropoulos, S. Zafeiriou, M. Pantic: 300 Faces In-The-Wild Challenge:
database and results, Image and Vision Computing 47, 2016. For research only.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from keypoints.data.face import Face, Reading
from keypoints.data.formats.dlib_xml import Entry, read_entries
from keypoints.data.formats.pts import read_pts
from keypoints.data.formats.values import box
from keypoints.data.photo_facts import Naming
from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.formatting import counted
from keypoints.geometry import Box, FloatArray
from keypoints.schemes import IBUG68

SOURCE = "http://dlib.net/files/data/ibug_300W_large_face_landmark_dataset.tar.gz"

TRAIN_LIST = "labels_ibug_300W_train.xml"
TEST_LIST = "labels_ibug_300W_test.xml"
PARSED_LIST = "labels_ibug_300W_test_parsed.xml"
"""List of the course (UC Berkeley CS 194-26, project 5): dlib's test list without points."""

PROTOCOL = {
    "train": ("afw", "helen/trainset", "lfpw/trainset"),
    "common": ("helen/testset", "lfpw/testset"),
    "challenge": ("ibug",),
}
"""Folders of 300-W's official split; ``full`` is the union of common and challenge."""

PICTURES = (".jpg", ".jpeg", ".png")

_MIRROR = "_mirror"
_ROUNDED = 1.0
"""Largest effect of rounding on a coordinate, in pixels; some lists round .5 up or down, some truncate."""
_FACE_OF_PHOTO = re.compile(r"(?P<photo>.*?\d)(_\d+)+")
_NAME_IN_300W = re.compile(r"(\d{2,}_\d+|image_\d{3,}(_\d+)*)(_\d+)?(_mirror)?")
"""AFW and Helen use numbers as names, LFPW and iBUG ``image_0001``."""
_OFFSET = (-0.045, -0.142)
_SIZE = (1.048, 1.070)


def read_dlib_xml(path: str | Path, *, strict: bool = True, exactly: bool = False) -> Reading:
    """Return the faces of a list in dlib's format, in its order; see :func:`as_face` for groups and tags.

    Boxes may extend beyond the picture. A face without parts has no points.

    Args:
        path: the list; its pictures are below its folder.
        strict: ``False`` skips invalid faces, with a reason for each.
        exactly: whether to read unrounded points, see :func:`exact`.

    Raises:
        DataError: if the list is damaged, or, if ``strict``, a face is invalid; the message names the list
            and the image.
    """
    path = Path(path)
    return _gather(
        (
            entry if isinstance(entry, DataError) else _entry_face(path.parent, entry, exactly=exactly)
            for entry in read_entries(path, len(IBUG68))
        ),
        strict,
    )


def _entry_face(root: Path, entry: Entry, *, exactly: bool) -> Face | DataError:
    face = as_face(root, entry)
    try:
        return exact(face) if exactly else face
    except DataError as error:
        return error


def read_test_list(path: str | Path, root: str | Path) -> list[Face]:
    """Return all faces of a list to be predicted; their pictures may be missing.

    Args:
        path: the list in dlib's format.
        root: the folder of its pictures.

    Raises:
        DataError: if the list is damaged, or the box of a face is missing or invalid.
    """
    path, root = Path(path), Path(root)
    faces = []
    for entry in read_entries(path, len(IBUG68), root, missing_ok=True):
        if isinstance(entry, DataError):
            raise entry
        faces.append(as_face(root, entry))
    return faces


def read_ibug_folder(root: str | Path, *, strict: bool = True) -> Reading:
    """Return the faces of all ``.pts`` files below ``root``, sorted by path, with the pictures next to them.

    These folders contain no detector boxes, so each face gets the box of :func:`detector_box`.

    Args:
        root: the folder that contains ``afw``, ``helen/trainset`` and so on.
        strict: ``False`` skips invalid files, with a reason for each.

    Raises:
        DataError: if there is no ``.pts`` file, or, if ``strict``, one is damaged or has no picture.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; unpack 300-W there ({SOURCE})")
    annotations = sorted(path for path in root.rglob("*.pts") if not path.name.startswith("."))
    if not annotations:
        raise DataError(f"{root}: holds no .pts file, also not in its subfolders; is it 300-W ({SOURCE})?")
    return _gather(_annotated_faces(root, annotations), strict)


def as_face(root: Path, entry: Entry) -> Face:
    """Return the face of a list entry, whose picture is below ``root``.

    The group is the photo, shared with the mirrored copy and the photo's other faces. The tags are
    ``subset``, the folder (such as ``helen/trainset``), and ``mirror``, ``yes`` or ``no``.
    """
    path = PurePosixPath(entry.file)
    mirror = "yes" if path.stem.endswith(_MIRROR) else "no"
    tags = {"subset": str(path.parent), "mirror": mirror}
    return Face(Photo(root / entry.file), entry.box, entry.points, group=photo_of(entry.file), tags=tags)


def photo_of(file: str) -> str:
    """Return the photo that a picture comes from, as folder and name: the group that must not be split.

    AFW and Helen have one picture per face of a photo, distinguished by a last number. In LFPW the only
    number is the photo's own. A mirrored copy belongs to the same photo.

    >>> photo_of("afw/134212_2.jpg"), photo_of("helen/trainset/2005566839_1_mirror.jpg")
    ('afw/134212', 'helen/trainset/2005566839')
    >>> photo_of("lfpw/trainset/image_0457_mirror.jpg"), photo_of("ibug/image_033_2.jpg")
    ('lfpw/trainset/image_0457', 'ibug/image_033')
    """
    path = PurePosixPath(original_name(file))
    numbered = _FACE_OF_PHOTO.fullmatch(path.name)
    return str(path.parent / numbered["photo"]) if numbered else str(path)


def photo_in_300w(path: Path) -> str | None:
    """Return :func:`photo_of` for a picture in one of 300-W's folders; ``None`` for other pictures.

    >>> photo_in_300w(Path("/data/300w/images/helen/trainset/100032540_1.jpg"))
    'helen/trainset/100032540'
    """
    above = path.parts[:-1]
    for folder in chain.from_iterable(PROTOCOL.values()):
        parts = tuple(folder.split("/"))
        if above[-len(parts) :] == parts and _NAME_IN_300W.fullmatch(path.stem):
            return photo_of(f"{folder}/{path.name}")
    return None


def original_name(file: str) -> str:
    """Return a picture's path without its suffix; for a mirrored copy, the original's path.

    >>> original_name("afw/134212_2_mirror.jpg")
    'afw/134212_2'
    """
    path = PurePosixPath(file)
    return str(path.parent / path.stem.removesuffix(_MIRROR))


def original_photo(path: Path) -> Path:
    """Return the original of a mirrored copy if it is in the same folder, else the path itself."""
    stem = Path(original_name(path.name)).name
    if stem != path.stem:
        for suffix in (path.suffix, *PICTURES):
            if (original := path.with_name(stem + suffix)).is_file():
                return original
    return path


NAMING = Naming(original_photo, photo_in_300w)
"""300-W's naming convention of files."""


def detector_box(points: FloatArray) -> Box:
    """Return the box in which dlib's face detector would find a face with these points, (68, 2).

    It is the points' tight box, shifted by (-0.045, -0.142) of its width and height and scaled by
    (1.048, 1.070): the medians of the boxes in dlib's 300-W lists.

    Raises:
        ValueError: if all points have nearly the same x or the same y.
    """
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    left, top = low + extent * _OFFSET
    width, height = extent * _SIZE
    return box(float(left), float(top), float(width), float(height))


def exact(face: Face) -> Face:
    """Return the face with the unrounded points of the ``.pts`` file next to its picture.

    Lists contain integer pixels, but annotations are finer. The face is returned unchanged if there is no
    such file, or its own points are not the rounded points of the file.

    Raises:
        DataError: if the file is damaged.
    """
    path = face.photo.path.with_suffix(".pts")
    if face.points is None or not path.is_file():
        return face
    points = read_pts(path)
    same = points.shape == face.points.shape and np.abs(points - face.points).max() <= _ROUNDED
    return replace(face, points=points) if same else face


def read_annotated(root: str | Path, *, strict: bool = True) -> Reading:
    """Return all faces with points below ``root``: from dlib's lists, and from ``.pts`` files in no list.

    Lists contain the boxes of the detector; a face in no list gets the box of :func:`detector_box`.

    Args:
        root: the folder of the lists, of ``afw``, ``helen`` and so on.
        strict: ``False`` skips invalid faces, with a reason for each.

    Raises:
        DataError: if there is no such face, or, if ``strict``, a face is invalid.
    """
    root = Path(root)
    lists = [root / name for name in (TRAIN_LIST, TEST_LIST) if (root / name).is_file()]
    readings = [read_dlib_xml(path, strict=strict, exactly=True) for path in lists]
    known = {face.photo.path for reading in readings for face in reading.faces}
    if not lists or any(root.rglob("*.pts")):
        unlisted = read_ibug_folder(root, strict=strict)
        faces = [face for face in unlisted.faces if face.photo.path not in known]
        readings.append(Reading(faces, unlisted.skipped))
    return Reading(
        [face for reading in readings for face in reading.faces if face.points is not None],
        [line for reading in readings for line in reading.skipped],
    )


class OfficialSplit(NamedTuple):
    """300-W's official split, by folder."""

    train: list[Face]
    common: list[Face]
    challenge: list[Face]
    absent: tuple[str, ...]
    """Folders of the protocol without a face, which results must mention."""

    @property
    def full(self) -> list[Face]:
        """Common and challenging test faces."""
        return self.common + self.challenge


def split_official(faces: Iterable[Face]) -> OfficialSplit:
    """Split faces by 300-W's protocol, see :data:`PROTOCOL`; their order is kept.

    Mirrored copies are used for training only, because the published test sets contain none.

    Raises:
        DataError: if a face's folder is not in the protocol.
    """
    home = {folder: split for split, folders in PROTOCOL.items() for folder in folders}
    splits: dict[str, list[Face]] = {split: [] for split in PROTOCOL}
    seen = set()
    for face in faces:
        folder = face.tags.get("subset", "")
        if folder not in home:
            raise DataError(
                f"{face.photo.path}: the folder {folder!r} is not in 300-W's protocol; "
                f"its folders are {', '.join(home)}"
            )
        seen.add(folder)
        if home[folder] == "train" or face.tags["mirror"] == "no":
            splits[home[folder]].append(face)
    absent = tuple(folder for folder in home if folder not in seen)
    return OfficialSplit(splits["train"], splits["common"], splits["challenge"], absent)


def _gather(found: Iterable[Face | DataError], strict: bool) -> Reading:
    faces, skipped = [], []
    for face in found:
        if isinstance(face, Face):
            faces.append(face)
        elif strict:
            raise face
        else:
            skipped.append(str(face))
    return Reading(faces, skipped)


def _annotated_faces(root: Path, annotations: Sequence[Path]) -> Iterator[Face | DataError]:
    folder, pictures = None, dict[str, list[Path]]()
    for path in annotations:
        if path.parent != folder:
            folder, pictures = path.parent, _pictures(path.parent)
        try:
            yield _read_face(root, path, pictures.get(path.stem, []))
        except DataError as error:
            yield error


def _pictures(folder: Path) -> dict[str, list[Path]]:
    """Return the pictures in a folder by their names without suffix."""
    pictures: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICTURES:
            pictures.setdefault(path.stem, []).append(path)
    return pictures


def _read_face(root: Path, path: Path, pictures: Sequence[Path]) -> Face:
    points = read_pts(path)
    if len(points) != len(IBUG68):
        raise DataError(f"{path}: has {counted(len(points), 'point')} instead of {len(IBUG68)}")
    if not pictures:
        raise DataError(f"{path}: its picture is missing: no {path.stem}{{{','.join(PICTURES)}}} beside it")
    if len(pictures) > 1:
        names = " and ".join(picture.name for picture in pictures)
        raise DataError(f"{path}: has two pictures beside it, {names}; keep only the annotated one")
    try:
        found = detector_box(points)
    except ValueError as error:
        raise DataError(f"{path}: its points make no face ({error})") from error
    return as_face(root, Entry(pictures[0].relative_to(root).as_posix(), found, points))
