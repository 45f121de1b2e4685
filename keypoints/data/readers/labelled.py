"""Lists of a user's own labelled photos, read and written in one of several formats.

To add a format, write a module in ``data/formats`` with ``recognises``, ``read`` and ``write`` as in
``own_csv.py``, and add it to :data:`FORMATS`. A format may lack ``read`` or ``write``.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from keypoints.data.face import Face, Reading
from keypoints.data.formats import (
    coco,
    cofw,
    cvat,
    dlib_list,
    hrnet,
    kaggle15,
    label_studio,
    own_csv,
    predictions,
    udacity,
    wflw,
)
from keypoints.data.formats.lists import ListedBox, OpenList, beginning
from keypoints.data.photo_facts import PLAIN, Naming
from keypoints.errors import ConfigError, DataError
from keypoints.files import write_atomically
from keypoints.formatting import counted
from keypoints.input_files import MOST_LIST, read_unpacked_text
from keypoints.landmarks import LandmarkScheme


@dataclass(frozen=True)
class Format:
    """Format of lists.

    Args:
        what: short description, for messages.
        recognises: returns whether a file with a given beginning is in the format.
        read: adds a list's faces to an :class:`OpenList`.
        read_boxes: yields a list's boxes alone; points and photos may be missing.
        write: returns the list's text for faces, the names of their photos, and their scheme.
        loses: sentence about the properties of a face that the format cannot store.
    """

    what: str
    recognises: Callable[[str], bool]
    read: Callable[[OpenList], None] | None = None
    read_boxes: Callable[[OpenList], Iterator[ListedBox]] | None = None
    write: Callable[[Sequence[Face], Sequence[str], LandmarkScheme | None], str] | None = None
    loses: str = ""


FORMATS: Mapping[str, Format] = {
    "csv": Format(
        "our CSV (image,left,top,width,height,x0,y0,…)",
        own_csv.recognises,
        own_csv.read,
        own_csv.read_boxes,
        own_csv.write,
    ),
    "hrnet": Format(
        "HRNet's CSV (image_name,scale,center_w,center_h,original_0_x,…)",
        hrnet.recognises,
        hrnet.read,
        hrnet.read_boxes,
        hrnet.write,
        loses="groups, tags and which points are hidden are left out, and a box becomes the square of its "
        "longer side",
    ),
    "predictions": Format("predictions.json of keypoints predict", predictions.recognises, predictions.read),
    "coco": Format("COCO's keypoints (JSON)", coco.recognises, coco.read, coco.read_boxes, coco.write),
    "dlib": Format(
        "dlib's list (XML)",
        dlib_list.recognises,
        dlib_list.read,
        dlib_list.read_boxes,
        dlib_list.write,
        loses="groups, tags and which points are hidden are left out, and boxes and points are rounded to "
        "whole pixels",
    ),
    "cvat": Format("CVAT's export for images (XML)", cvat.recognises, cvat.read, cvat.read_boxes),
    "label_studio": Format(
        "Label Studio's export (JSON)",
        label_studio.recognises,
        label_studio.read,
        label_studio.read_boxes,
    ),
    "wflw": Format("WFLW's list (98 points, box, attributes)", wflw.recognises, wflw.read, wflw.read_boxes),
    "udacity": Format(
        "Udacity's list of keypoints (,0,1,…,135)", udacity.recognises, udacity.read, udacity.read_boxes
    ),
    "kaggle15": Format(
        "Kaggle's list with pictures (left_eye_center_x,…,Image)",
        kaggle15.recognises,
        kaggle15.read,
        kaggle15.read_boxes,
    ),
    "cofw": Format("COFW's file with pictures (MATLAB)", cofw.recognises, cofw.read, cofw.read_boxes),
}
"""Formats by their names in commands."""


def read_labelled(
    path: str | Path,
    *,
    root: str | Path | None = None,
    scheme: LandmarkScheme | None = None,
    strict: bool = True,
    naming: Naming = PLAIN,
) -> Reading:
    """Return the faces of a list, in its order; the format is detected from its content.

    See :func:`read_list`.

    Args:
        path: see :func:`read_list`.
        root: see :func:`read_list`.
        scheme: see :func:`read_list`.
        strict: see :func:`read_list`.
        naming: see :func:`read_list`.

    Raises:
        DataError: see :func:`read_list`.
    """
    faces, skipped, _ = read_list(path, root=root, scheme=scheme, strict=strict, naming=naming)
    return Reading(faces, skipped)


class LabelledList(NamedTuple):
    """Contents of a list of labelled photos."""

    faces: list[Face]
    skipped: list[str]
    """Reason for each skipped row: a line that names the list and the row."""
    scheme: LandmarkScheme | None
    """Landmarks that the list itself describes; ``None`` if it does not name its points."""


def read_list(
    path: str | Path,
    *,
    root: str | Path | None = None,
    scheme: LandmarkScheme | None = None,
    strict: bool = True,
    naming: Naming = PLAIN,
) -> LabelledList:
    """Return the contents of a list: faces in its order, and the scheme of its points if it names them.

    Faces are grouped by photo unless the list states a group. A photo's group does not depend on the list or
    the folder, see :func:`read_photo_facts`. Sizes, boxes and points are compared with the photos.

    Args:
        path: the list.
        root: the folder that the photos' names are relative to; ``None`` for the folder of the list.
        scheme: the landmarks that each face must have; ``None`` requires only the same number for all.
        strict: whether a row that cannot be used is an error; if not, it is left out and reported.
        naming: naming convention of the data set whose photos may be in the list, for their groups.

    Raises:
        DataError: if the list is missing, of unknown format, has no face or another number of points, or a
            row cannot be used: its photo is missing or outside ``root``, a point is not labelled, or a value
            is no number or contradicts other rows or the photo. The message names the list and the row.
    """
    path = Path(path)
    chosen = FORMATS[detect_format(path)]
    reading = OpenList(
        path, path.parent if root is None else Path(root), scheme, strict=strict, naming=naming
    )
    if chosen.read is None:
        raise DataError(f"{path}: is {chosen.what}, which can only be written")
    chosen.read(reading)
    faces, skipped = reading.finish()
    return LabelledList(faces, skipped, reading.described)


def detect_format(path: Path) -> str:
    """Return the name of a file's format, detected from its beginning.

    Raises:
        DataError: if the file cannot be read, or is in no known format.
    """
    begins = beginning(path)
    if begins.startswith("\ufffd\ufffd"):
        read_unpacked_text(path, MOST_LIST)  # raises the error: the file is UTF-16, or no text
    for name, known in FORMATS.items():
        if known.recognises(begins):
            return name
    whats = ", ".join(known.what for known in FORMATS.values())
    raise DataError(f"{path}: is in no format known here: {whats}")


def write_labelled(
    faces: Sequence[Face],
    path: Path,
    format_name: str,
    *,
    root: Path | None = None,
    scheme: LandmarkScheme | None = None,
) -> None:
    """Write the list of ``faces`` to ``path``, atomically.

    Args:
        faces: see :func:`format_labelled`.
        path: see :func:`format_labelled`.
        format_name: see :func:`format_labelled`.
        root: see :func:`format_labelled`.
        scheme: see :func:`format_labelled`.

    Raises:
        ConfigError: if the format is unknown.
        DataError: see :func:`format_labelled` and :func:`write_list`.
    """
    write_list(path, format_labelled(faces, path, format_name, root=root, scheme=scheme))


def format_labelled(
    faces: Sequence[Face],
    path: Path,
    format_name: str,
    *,
    root: Path | None = None,
    scheme: LandmarkScheme | None = None,
) -> str:
    """Return the text of a list of ``faces`` that is to be written to ``path``.

    Args:
        faces: one face or more, all with the same number of points.
        path: the list.
        format_name: one of :data:`FORMATS`.
        root: the folder that the photos' names are relative to; ``None`` for the folder of the list.
        scheme: the landmarks, whose names are written if the format allows it.

    Returns:
        The list's text.

    Raises:
        ConfigError: if the format is unknown.
        DataError: if a face cannot be written in the format, or its photo is not below ``root``.
    """
    write = FORMATS[format_name].write if format_name in FORMATS else None
    if write is None:
        known = ", ".join(name for name, known in FORMATS.items() if known.write is not None)
        raise ConfigError(f"format is one of {known}, not {format_name!r}")
    counts = {0 if face.points is None else len(face.points) for face in faces}
    if len(counts) != 1 or 0 in counts or (scheme is not None and counts != {len(scheme)}):
        wanted = (
            "as many points each"
            if scheme is None
            else f"the {counted(len(scheme), 'point')} of {scheme.name}"
        )
        raise DataError(f"{path}: a list needs faces with {wanted}")
    folder = path.parent if root is None else root
    return write(faces, [_name(face.photo.path, folder) for face in faces], scheme)


def write_list(path: Path, text: str) -> None:
    """Write a list, atomically.

    Args:
        path: the list.
        text: result of :func:`format_labelled`.

    Raises:
        DataError: if the file cannot be written.
    """
    try:
        write_atomically(path, text)
    except UnicodeEncodeError as error:
        raise DataError(f"{path}: a photo's name is no Unicode text: {error.object!r:.80}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error


def _name(photo: Path, root: Path) -> str:
    """Return the name of a photo relative to ``root``."""
    inside = Path(os.path.relpath(photo, root))
    if inside.parts[0] == "..":
        raise DataError(
            f"{photo}: is not below {root}, to which the list's names are relative; "
            "write the list to a folder above the photos, or name one: root=<folder>"
        )
    return inside.as_posix()
