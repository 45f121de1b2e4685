"""Dlib's lists as a format of labelled photos: any number of points, the pictures in any folder."""

from collections.abc import Sequence

from keypoints.datasets.dlib_xml import Entry, format_dlib_xml, read_entries
from keypoints.datasets.face import Face
from keypoints.datasets.ibug import original_name, photo_in_300w, photo_of
from keypoints.datasets.lists import OpenList
from keypoints.datasets.photos import Photo
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.landmarks import IBUG68, LandmarkScheme


def recognises(beginning: str) -> bool:
    """Whether it is XML with dlib's outermost element."""
    return beginning.lstrip().startswith("<") and "<dataset" in beginning


def read(reading: OpenList) -> None:
    """Read the list.

    Of 68 points, it is grouped as 300-W is: see :func:`photo_of`; else mirror images go with their originals.

    Raises:
        DataError: if it cannot be read, or a face cannot be used.
    """
    for number, entry in enumerate(read_entries(reading.path, None, reading.root), start=1):
        if isinstance(entry, DataError):
            if reading.strict:
                raise entry
            reading.skipped.append(str(entry))
            continue
        with reading.row(f"face {number} ({entry.file})"):
            if entry.points is None:
                raise ValueError("has no points")
            reading.check_count(len(entry.points))
            points = [(x, y) for x, y in entry.points.tolist()]
            named = photo_of(entry.file) if len(points) == len(IBUG68) else original_name(entry.file)
            group = photo_in_300w(reading.root.resolve() / entry.file) or named
            reading.add(entry.file, entry.box, points, group)


def write(faces: Sequence[Face], names: Sequence[str], scheme: LandmarkScheme | None) -> str:
    """The list's text; a face without a box gets that of the whole photo.

    Raises:
        DataError: if a name cannot stand in it, or a photo cannot be read.
    """
    entries = [
        Entry(
            name,
            Box.whole(size) if face.box is None else face.box,
            face.landmarks(),
            size,
        )
        for face, name in zip(faces, names, strict=True)
        for size in [Photo(face.photo.path).size]  # the face's own photo would keep its bytes
    ]
    return format_dlib_xml(entries, "labelled photos" if scheme is None else scheme.name)
