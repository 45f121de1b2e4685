"""dlib's lists as a format of labelled photos, with any number of points and any folder of photos."""

import logging
from collections.abc import Iterator, Sequence

from keypoints.data.face import Face
from keypoints.data.formats.dlib_xml import FLAGS, Entry, ListedImage, format_dlib_xml, read_images
from keypoints.data.formats.lists import ListedBox, OpenList
from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.formatting import counted
from keypoints.geometry import Box
from keypoints.landmarks import LandmarkScheme
from keypoints.schemes import scheme_of_category

log = logging.getLogger(__name__)


def recognises(beginning: str) -> bool:
    """Return whether a file begins like XML with dlib's root element."""
    return beginning.lstrip().startswith("<") and "<dataset" in beginning


def read(reading: OpenList) -> None:
    """Add the faces of the list to ``reading``, and the names of its parts if they are no numbers.

    A picture whose boxes are all ignored has no face.
    imglab's other attributes of a box become tags. If some faces have one of imglab's flags, the others have
    the tag with the value 0.

    Raises:
        DataError: if the list cannot be read, or a face cannot be used.
    """
    images = list(read_images(reading.path, None, reading.root, scheme=reading.scheme))
    names = next((image.names for image in images if isinstance(image, ListedImage)), ())
    described = scheme_of_category({"name": "face", "keypoints": [*names]}, reading.path) if names else None
    if described is not None:
        reading.describe(described)
    entries = [
        each for image in images for each in ([image] if isinstance(image, DataError) else image.faces)
    ]
    if empty := sum(isinstance(image, ListedImage) and not image.faces for image in images):
        pictures = counted(f"{empty} of {len(images)}", "picture")
        log.info("%s: %s without a box, so without a face", reading.path, pictures)
    marked = {tag for entry in entries if isinstance(entry, Entry) for tag in entry.tags if tag in FLAGS}
    for number, entry in enumerate(entries, start=1):
        if isinstance(entry, DataError):
            reading.refuse(entry)
            continue
        with reading.row(f"face {number} ({entry.file})"):
            if entry.points is None:
                raise ValueError("has no points")
            points = [(x, y) for x, y in entry.points.tolist()]
            tags = {**dict.fromkeys(marked, "0"), **entry.tags}
            reading.add(entry.file, entry.box, points, tags=tags, size=entry.size)


def read_boxes(reading: OpenList) -> Iterator[ListedBox]:
    """Yield the boxes of each picture, or the picture alone if it has no box.

    Raises:
        DataError: if the list cannot be read, or a box cannot be used.
    """
    for image in read_images(reading.path, None, reading.root, missing_ok=True, boxes_alone=True):
        if isinstance(image, DataError):
            raise image
        if not image.faces:
            yield ListedBox(image.file, None, image.size)
        for entry in image.faces:
            if isinstance(entry, DataError):
                raise entry
            yield ListedBox(image.file, entry.box, image.size)


def write(faces: Sequence[Face], names: Sequence[str], scheme: LandmarkScheme | None) -> str:
    """Return the list's text; a face without a box gets the box of the full photo.

    Raises:
        DataError: if a name contains characters that XML forbids, or a photo cannot be read.
    """
    entries = [
        Entry(
            name,
            Box.of_image(size) if face.box is None else face.box,
            face.landmarks(),
            size,
        )
        for face, name in zip(faces, names, strict=True)
        for size in [Photo(face.photo.path).size]  # face.photo would keep the file's bytes
    ]
    return format_dlib_xml(entries, "labelled photos" if scheme is None else scheme.name)
