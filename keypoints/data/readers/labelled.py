"""Your own labelled photos: a list of them in one of the formats below, read into faces and written again.

To add a format: a module of ``data/formats`` with ``recognises``, ``read`` and ``write`` as in
``own_csv.py``, and a line in :data:`FORMATS`. What can only be read, or only be written, leaves the other
out.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keypoints.data.face import Face, Reading
from keypoints.data.formats import coco, dlib_list, hrnet, own_csv
from keypoints.data.formats.lists import ListedBox, OpenList, beginning
from keypoints.data.photo_facts import PLAIN, Naming
from keypoints.errors import ConfigError, DataError
from keypoints.files import write_whole
from keypoints.input_files import MOST_LIST, read_unpacked_text
from keypoints.landmarks import LandmarkScheme


@dataclass(frozen=True)
class Format:
    """One format of lists.

    Args:
        what: it is, in a few words, for the message that lists them.
        recognises: whether a file that begins so is one.
        read: put a list's faces into the :class:`OpenList`.
        read_boxes: yield a list's boxes alone, of photos that may lack points, or be missing.
        write: the text for faces, the names of their photos, and their scheme.
        loses: what of a face it has no place for, as a sentence.
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
        loses="groups and tags are left out, and a box becomes the square of its longer side",
    ),
    "coco": Format("COCO's keypoints (JSON)", coco.recognises, coco.read, coco.read_boxes, coco.write),
    "dlib": Format(
        "dlib's list (XML)",
        dlib_list.recognises,
        dlib_list.read,
        dlib_list.read_boxes,
        dlib_list.write,
        loses="groups and tags are left out, and boxes and points are rounded to whole pixels",
    ),
}
"""The formats there are, by the names that commands use."""


def read_labelled(
    path: str | Path,
    *,
    root: str | Path | None = None,
    scheme: LandmarkScheme | None = None,
    strict: bool = True,
    naming: Naming = PLAIN,
) -> Reading:
    """The faces of the list at ``path``, in its order; its format is told by what it holds.

    A face goes with its photo into one group unless the list says otherwise. A photo's group is the same by
    whatever list it is found, and wherever its folder lies: see :func:`look_at_photos`. The sizes, boxes and
    points that a list has are compared with the photos.

    Args:
        path: the list.
        root: the folder that its names of photos start from; ``None`` is the list's own.
        scheme: what each face has to have a point for; ``None`` asks only that all have as many.
        strict: whether a row that cannot be used is an error. If not, it is left out and told of.
        naming: of the data set whose photos may be among its own, for their groups.

    Raises:
        DataError: if the list is missing, of no known format, has no face or another number of points,
            or a row cannot be used: its photo is missing or outside ``root``, a point is not labelled,
            a value is no number, or contradicts the other rows or the photo. The message names the list and
            the row.
    """
    path = Path(path)
    chosen = FORMATS[detect_format(path)]
    reading = OpenList(
        path, path.parent if root is None else Path(root), scheme, strict=strict, naming=naming
    )
    if chosen.read is None:
        raise DataError(f"{path}: is {chosen.what}, which can only be written")
    chosen.read(reading)
    return reading.finish()


def detect_format(path: Path) -> str:
    """The name of the format that the file is in, told by how it begins.

    Raises:
        DataError: if it cannot be read, or is in none of them.
    """
    begins = beginning(path)
    if begins.startswith("\ufffd\ufffd"):
        read_unpacked_text(path, MOST_LIST)  # which says what is wrong: it is UTF-16, or no text
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
    """Write the list of ``faces`` to ``path``, whole or not at all.

    Args:
        faces, path, format_name, root, scheme: as of :func:`format_labelled`.

    Raises:
        ConfigError: if there is no such format.
        DataError: as :func:`format_labelled` and :func:`write_list`.
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
    """Return the list of ``faces`` as it is to be written to ``path``.

    Args:
        faces: at least one; all with points, and as many of them.
        path: the list.
        format_name: one of :data:`FORMATS`.
        root: the folder that its names of photos start from; ``None`` is the list's own.
        scheme: names the points, where the format has a place for that.

    Returns:
        The list's text.

    Raises:
        ConfigError: if there is no such format.
        DataError: if a face cannot be written in it, or its photo is not below ``root``.
    """
    write = FORMATS[format_name].write if format_name in FORMATS else None
    if write is None:
        known = ", ".join(name for name, known in FORMATS.items() if known.write is not None)
        raise ConfigError(f"format is one of {known}, not {format_name!r}")
    counts = {0 if face.points is None else len(face.points) for face in faces}
    if len(counts) != 1 or 0 in counts or (scheme is not None and counts != {len(scheme)}):
        wanted = "as many points each" if scheme is None else f"the {len(scheme)} points of {scheme.name}"
        raise DataError(f"{path}: a list needs faces with {wanted}")
    folder = path.parent if root is None else root
    return write(faces, [_name(face.photo.path, folder) for face in faces], scheme)


def write_list(path: Path, text: str) -> None:
    """Write a list, whole or not at all.

    Args:
        path: the list.
        text: of :func:`format_labelled`.

    Raises:
        DataError: if it cannot be written.
    """
    try:
        write_whole(path, text)
    except UnicodeEncodeError as error:
        raise DataError(f"{path}: a photo's name is no Unicode text: {error.object!r:.80}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error


def _name(photo: Path, root: Path) -> str:
    """What a list below ``root`` calls the photo."""
    inside = Path(os.path.relpath(photo, root))
    if inside.parts[0] == "..":
        raise DataError(
            f"{photo}: is not below {root}, where the list's names start; "
            "write the list to a folder above the photos, or name one: root=<folder>"
        )
    return inside.as_posix()
