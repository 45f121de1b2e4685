"""Plan of a compact copy of a data set: the pictures to write, their names and annotations."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from keypoints.data.compact_copy import surroundings
from keypoints.data.formats.dlib_xml import Entry, read_entries
from keypoints.data.formats.pts import format_pts
from keypoints.data.readers import ibug300w
from keypoints.data.readers.imm import format_asf, read_imm
from keypoints.errors import DataError
from keypoints.geometry import Affine, Box, FloatArray
from keypoints.schemes import IBUG68


@dataclass(frozen=True, eq=False)
class Piece:
    """One picture of the copy.

    Args:
        file: original picture; a path relative to the data set's folder.
        name: file name in the copy; a path relative to the copy's folder.
        box: box of the face, or ``None`` to keep the uncropped picture.
        points: (N, 2) landmarks that the crop has to contain, in pixels of ``file``; may be ``None``.
        exact: landmarks of the annotation file, with decimals, or ``None`` if there is no such file.
    """

    file: str
    name: str
    box: Box | None
    points: FloatArray | None
    exact: FloatArray | None


class Cut(NamedTuple):
    """Region of the original picture that a piece shows, and the sizes of both."""

    region: Box
    size: tuple[int, int]
    """Width and height of the piece, in pixels."""
    whole: tuple[int, int]
    """Width and height of the original picture, in pixels."""

    @property
    def affine(self) -> Affine:
        """Affine map from pixels of the original picture to pixels of the piece."""
        return Affine.between(self.region, Box.of_image(self.size))

    @property
    def back(self) -> Affine:
        """Affine map from pixels of the piece to pixels of the original picture."""
        return Affine.between(Box.of_image(self.size), self.region)


class Plan(NamedTuple):
    """Contents of a copy."""

    pieces: list[Piece]
    lists: Mapping[str, Sequence[tuple[Entry, Piece]]]
    """Entries of each list by its name, each with the piece that shows it."""
    annotate: Callable[[Piece, Cut], tuple[str, str]]
    """Function that returns the name and the text of a piece's annotation file."""


def kept_part(piece: Piece, whole: tuple[int, int], context: float, root: Path) -> tuple[Box, float]:
    """Return the region of a picture to keep, and the length that is scaled to ``side``.

    That length is the longer side of the face's box, or of the picture if it is kept uncropped.

    Args:
        piece: the picture of the copy.
        whole: width and height of the original picture, in pixels.
        context: factor by which the box is enlarged to give the region.
        root: folder of the data set, for messages.

    Raises:
        DataError: if the face lies outside the picture.
    """
    if piece.box is None:
        return Box.of_image(whole), max(whole)
    try:
        part = surroundings(whole, piece.box, piece.points, context)
    except ValueError as error:
        raise DataError(f"{root / piece.file}: {error}") from error
    return part, max(piece.box.width, piece.box.height)


def plan_imm(root: Path) -> Plan:
    """Plan a copy of the IMM Face Database: every picture, uncropped.

    Raises:
        DataError: as for :func:`read_imm`.
    """
    pieces = [
        Piece(face.photo.path.name, face.photo.path.name, None, None, face.landmarks())
        for face in read_imm(root)
    ]

    def annotate(piece: Piece, found: Cut) -> tuple[str, str]:
        assert piece.exact is not None
        name = PurePosixPath(piece.name)
        return str(name.with_suffix(".asf")), format_asf(found.affine(piece.exact), found.size, name.name)

    return Plan(pieces, {}, annotate)


def plan_ibug(root: Path) -> Plan:
    """Plan a copy of 300-W: every face in a list or with a ``.pts`` file, each in a picture of its own.

    Raises:
        DataError: if a list or a ``.pts`` file is invalid, or there are none.
    """
    exact: dict[str, FloatArray] = {}
    if any(root.rglob("*.pts")):
        for face in ibug300w.read_ibug_folder(root).faces:
            exact[face.photo.path.relative_to(root).as_posix()] = face.landmarks()
    lists = {
        path.name: list(_raise_errors(read_entries(path, len(IBUG68)))) for path in sorted(root.glob("*.xml"))
    }
    known: dict[tuple[str, Box], list[FloatArray]] = {}
    for entry in (entry for entries in lists.values() for entry in entries):
        known.setdefault((entry.file, entry.box), []).extend([] if entry.points is None else [entry.points])
    listed = {file for file, _ in known}
    for file, own in exact.items():
        if file not in listed:
            known[file, ibug300w.detector_box(own)] = [own]
    if not known:
        raise DataError(f"{root}: holds neither a list (*.xml) nor .pts files; is it 300-W?")
    times = Counter(file for file, _ in known)
    pieces = {}
    for name, (file, box) in zip(_names([file for file, _ in known]), known, strict=True):
        listed_points = known[file, box]
        own_points = _own_points(exact.get(file), listed_points, alone=times[file] == 1)
        points = [*listed_points, *([] if own_points is None else [own_points])]
        pieces[file, box] = Piece(file, name, box, np.concatenate(points) if points else None, own_points)

    def annotate(piece: Piece, cut_out: Cut) -> tuple[str, str]:
        assert piece.exact is not None
        return str(PurePosixPath(piece.name).with_suffix(".pts")), format_pts(cut_out.affine(piece.exact))

    with_pieces = {
        name: [(entry, pieces[entry.file, entry.box]) for entry in entries] for name, entries in lists.items()
    }
    return Plan(list(pieces.values()), with_pieces, annotate)


def _raise_errors(entries: Iterable[Entry | DataError]) -> Iterator[Entry]:
    for entry in entries:
        if isinstance(entry, DataError):
            raise entry
        yield entry


def _own_points(exact: FloatArray | None, known: Sequence[FloatArray], *, alone: bool) -> FloatArray | None:
    """Return the points of a picture's ``.pts`` file if they belong to this face, else ``None``."""
    if exact is None or alone:
        return exact
    return exact if any(np.abs(points - exact).max() <= 1 for points in known) else None


def _names(files: Sequence[str]) -> list[str]:
    """Return a unique, safe name for each face's JPEG; a picture's second face is ``NAME_2.jpg``."""
    taken: set[str] = set()
    names = []
    for file in files:
        path = PurePosixPath(re.sub(r"[^A-Za-z0-9._/-]+", "-", file))
        mirror = "_mirror" if path.stem.endswith("_mirror") else ""
        stem, number = path.stem.removesuffix("_mirror"), 1
        name = path.with_name(f"{stem}{mirror}.jpg")
        while str(name).lower() in taken:
            number += 1
            name = path.with_name(f"{stem}_{number}{mirror}.jpg")
        taken.add(str(name).lower())
        names.append(str(name))
    return names
