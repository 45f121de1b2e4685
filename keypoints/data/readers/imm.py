"""The IMM Face Database: 40 persons, 6 views each, 58 points; ``NN-V{m,f}.jpg`` and ``.asf``.

M. M. Nordstrøm, M. Larsen, J. Sierakowski, M. B. Stegmann: The IMM Face Database, an annotated
dataset of 240 face images. DTU, 2004. Free for education and research with that citation.
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from keypoints.data.face import Face
from keypoints.data.formats.values import number, quoted, whole_number
from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.formatting import counted
from keypoints.geometry import FloatArray
from keypoints.input_files import MISSING, MOST_ANNOTATION, read_text, why_not_regular
from keypoints.schemes import IMM58

VIEWS = {
    "1": "frontal, neutral",
    "2": "frontal, happy",
    "3": "turned to the person's right",
    "4": "turned to the person's left",
    "5": "spotlight from the person's left",
    "6": "joker",
}
"""Descriptions of the six pictures of each person."""

SOURCE = "http://www2.imm.dtu.dk/~aam/datasets/imm_face_db.zip"

_NAME = re.compile(r"(?P<person>[0-9]+)-(?P<view>[0-9])(?P<gender>[mf])")
_COLUMNS = 7
"""path#, type, x, y, point#, connects from, connects to; some files have three more."""

_FAR = 1.0
"""Largest distance of a point from the picture, as a fraction of its size; more is an annotation error."""


def read_imm(root: str | Path) -> list[Face]:
    """Return the faces in ``root``, sorted by person and view.

    The group of a face is the person; its tags are ``person``, ``view`` and ``gender``.

    Raises:
        DataError: if the folder is missing or empty, or a file in it is invalid; the message names the file
            and, if possible, the line.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(
            f"{root}: no such folder; get the IMM Face Database ({SOURCE}): keypoints data download imm, "
            "or say where it lies: KEYPOINTS_DATA=<folder that holds imm_face_db> or paths.data=<folder>"
        )
    annotations = sorted(root.glob("*.asf"))
    if not annotations:
        raise DataError(f"{root}: holds no .asf file; the IMM Face Database has 240 ({SOURCE})")
    return sorted(map(read_imm_face, annotations), key=lambda face: (int(face.group), face.name))


def read_imm_face(path: str | Path) -> Face:
    """Return the face of one ``.asf`` file, with the picture next to it.

    Raises:
        DataError: see :func:`read_imm`.
    """
    path = Path(path)
    name = _NAME.fullmatch(path.stem)
    if name is None:
        raise DataError(f"{path}: the name is not of the form NN-Vm.asf or NN-Vf.asf")
    ratios, image_name = read_asf(path)
    if len(ratios) != len(IMM58):
        raise DataError(f"{path}: has {counted(len(ratios), 'point')}; IMM's annotation has {len(IMM58)}")
    image = path.with_name(image_name)
    if (why := why_not_regular(image)) is not None:
        where = " from the folder" if why == MISSING else ""
        raise DataError(f"{path}: its picture {image.name} {why}{where}")
    photo = Photo(image)
    return Face(photo, None, ratios * photo.size, group=name["person"], tags=name.groupdict())


def read_asf(path: str | Path) -> tuple[FloatArray, str]:
    """Return the points of an ``.asf`` file, (N, 2) as fractions of the picture, and the picture's name.

    A pixel coordinate is the fraction times width or height.

    Raises:
        DataError: if the file is not in the format, or a point lies far outside the picture.
    """
    path = Path(path)
    text = read_text(path, MOST_ANNOTATION, "latin-1")
    lines = [
        (number, line.strip())
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    try:
        count = whole_number(lines[0][1] if lines else "")
    except ValueError as error:
        raise DataError(
            f"{path}: does not begin with the number of points; it is no .asf file, or cut off"
        ) from error
    rows, rest = lines[1 : 1 + count], lines[1 + count :]
    if len(rest) != 1 or len(rest[0][1].split()) != 1:
        found = sum(len(line.split()) >= _COLUMNS for _, line in lines)
        raise DataError(
            f"{path}: announces {counted(count, 'point')} and the picture's name, but has "
            f"{counted(found, 'row')} of points and {counted(len(lines) - 1 - found, 'other line')}"
        )
    image_name = rest[0][1]
    if Path(image_name).name != image_name:
        raise DataError(f"{path}: line {rest[0][0]}: {quoted(image_name)} is not a name in the same folder")
    points = np.empty((count, 2))
    for place, (line_number, line) in enumerate(rows):
        index, point = _read_row(path, line_number, line)
        if index != place:
            raise DataError(f"{path}: line {line_number}: point {index} stands where point {place} should")
        points[place] = point
    return points, image_name


def _read_row(path: Path, line_number: int, line: str) -> tuple[int, tuple[float, float]]:
    """Return the index and the two fractions of one row."""
    columns = line.split()
    if len(columns) < _COLUMNS:
        raise DataError(
            f"{path}: line {line_number}: {len(columns)} columns instead of {_COLUMNS} or more: "
            f"{quoted(line)}"
        )
    try:
        x, y, index = number(columns[2]), number(columns[3]), whole_number(columns[4])
    except ValueError as error:
        raise DataError(f"{path}: line {line_number}: not a number: {quoted(line)}") from error
    if not (-_FAR <= x <= 1 + _FAR and -_FAR <= y <= 1 + _FAR):
        raise DataError(
            f"{path}: line {line_number}: ({x:g}, {y:g}) lies far outside the picture; "
            "coordinates are fractions of its size"
        )
    return index, (x, y)


def format_asf(points: npt.ArrayLike, size: tuple[int, int], image_name: str) -> str:
    """Return the text of the ``.asf`` file for (58, 2) pixels of a picture of ``size`` (width, height)."""
    ratios = np.asarray(points, np.float64) / size
    before, after = list(range(len(IMM58))), list(range(len(IMM58)))
    for start, end in IMM58.skeleton:
        before[end], after[start] = start, end
    parts = {index: path for path, part in enumerate(IMM58.parts.values()) for index in part}
    rows = []
    for i, (x, y) in enumerate(ratios):
        kind = 4 if i in (before[i], after[i]) else 0
        rows.append(f"{parts[i]}\t{kind}\t{x:.8f}\t{y:.8f}\t{i}\t{before[i]}\t{after[i]}")
    return "\n".join(
        [
            "#",
            "# <path#> <type> <x rel.> <y rel.> <point#> <connects from> <connects to>",
            "#",
            str(len(rows)),
            *rows,
            "#",
            "# host image",
            "#",
            image_name,
            "",
        ]
    )
