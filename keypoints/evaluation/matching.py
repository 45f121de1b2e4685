"""Which predicted face is which true one: by its photo, and within a photo by its box or its points."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np

from keypoints.data.face import Face
from keypoints.data.photo_facts import look_at_photos
from keypoints.data.photo_names import PhotoNames, composed
from keypoints.data.readers.ibug300w import NAMING
from keypoints.errors import DataError, shortened
from keypoints.evaluation.prediction_lists import Prediction
from keypoints.geometry import FloatArray
from keypoints.input_files import why_not_regular

_SAME = 0.3
"""Intersection over union from which on two boxes in a photo are of the same face."""
_NEAR = 1.0
"""Mean distance of two faces' points, over the true face's size, up to which they may be the same face."""
_MOST_SHOWN = 80
"""Characters of a path in a sentence that may have three."""


class Matches(NamedTuple):
    """What belongs together."""

    pairs: list[tuple[int, int]]
    """Places of true faces, in their order, and of the predictions of them."""
    missing: list[int]
    """Places of true faces without a prediction."""
    without_truth: list[int]
    """Places of predictions without a true face."""
    ambiguous: list[str]
    """Photos of the table that might be several of the truth's, or are several for one: sentences."""
    unknown: list[str]
    """Why other names in the table stand for no photo of the truth: sentences."""


def match(
    truth: Sequence[Face], landmarks: Sequence[int], predictions: Sequence[Prediction], folder: Path
) -> Matches:
    """Match predictions with true faces, each with one at most.

    If the file that a table names from its own folder exists, it is the truth's photo that is the same file,
    or has the same file name and contents; otherwise it is none of them. If it does not exist, a relative
    name has to be the whole end of a photo's path. An absolute one is of another machine: the photo is the
    one whose path has the longest end in common with it.

    The only prediction of a photo's only face is of it, however far off it is. Otherwise predictions choose
    in the order of their scores, the highest first, or in that of the table. Each takes the free face with
    the most common box, or else the one with the nearest points, as long as they are near.

    Args:
        truth: with points.
        landmarks: which of their points are predicted.
        predictions: with as many points.
        folder: that of the table.
    """
    photos = list(dict.fromkeys(face.photo.path for face in truth))
    found = _find_photos(photos, list(dict.fromkeys(each.photo for each in predictions)), folder)
    faces_of: dict[Path, list[int]] = defaultdict(list)
    for place, face in enumerate(truth):
        faces_of[face.photo.path].append(place)
    predicted_of: dict[Path, list[int]] = defaultdict(list)
    for place, each in enumerate(predictions):
        if (photo := found.by_name.get(each.photo)) is not None:
            predicted_of[photo].append(place)
    partner: dict[int, int] = {}
    for photo, places in faces_of.items():
        partner |= _within_photo(truth, landmarks, predictions, places, predicted_of[photo])
    used = set(partner.values())
    return Matches(
        sorted(partner.items()),
        [place for place in range(len(truth)) if place not in partner],
        [place for place in range(len(predictions)) if place not in used],
        found.ambiguous,
        found.unknown,
    )


class _Photos(NamedTuple):
    """The true photos that a table's names stand for."""

    by_name: dict[str, Path]
    ambiguous: list[str]
    unknown: list[str]


class _Claim(NamedTuple):
    """A name in the table that may stand for a true photo."""

    common: float
    """Parts of the path that they have in common; infinite if the name leads to the photo or a copy."""
    key: tuple[str, ...]
    """Names with the same key stand for the same photo."""
    name: str


def _find_photos(photos: Sequence[Path], names: Sequence[str], folder: Path) -> _Photos:
    """Return the photos that names in a table stand for, and why others stand for none."""
    if not photos:
        return _Photos({}, [], [])
    inside = PhotoNames(folder)
    files = {name: file for name in names if (file := _file(inside, name)) is not None}
    same = _same_photos(photos, list(dict.fromkeys(files.values())))
    ends: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for photo in photos:
        parts = _parts(str(photo.absolute()))
        for start in range(len(parts)):
            ends[parts[start:]].append(photo)
    claims: dict[Path, list[_Claim]] = defaultdict(list)
    ambiguous, unknown = [], []
    for name in names:
        parts = _parts(name)
        if (file := files.get(name)) is not None:
            candidates, claim = same[file], _Claim(np.inf, (), name)
        else:
            starts = range(len(parts)) if PureWindowsPath(name).root else range(min(len(parts), 1))
            start = next((start for start in starts if parts[start:] in ends), len(parts))
            candidates, claim = ends.get(parts[start:], []), _Claim(len(parts) - start, parts, name)
        if len(candidates) == 1:
            claims[candidates[0]].append(claim)
        elif candidates:
            ambiguous.append(
                f"{_shown(name)} may be any of {len(candidates)} photos, such as {_shown(min(candidates))}"
            )
        else:
            example = (ends.get(parts[-1:]) or photos)[0]
            unknown.append(_why_unknown(name, example, exists=file is not None))
    by_name, contested = _one_each(claims)
    return _Photos(by_name, ambiguous + contested, unknown)


def _one_each(claims: Mapping[Path, Sequence[_Claim]]) -> tuple[dict[str, Path], list[str]]:
    """Leave each photo to the name that has most in common with it; return also what is ambiguous."""
    by_name: dict[str, Path] = {}
    ambiguous = []
    for photo, claimed in claims.items():
        most = max(claim.common for claim in claimed)
        longest = [claim for claim in claimed if claim.common == most]
        keys = {claim.key for claim in longest}
        if len(keys) > 1:
            ambiguous.append(
                f"{_shown(photo)} may be any of {len(keys)} photos of the table, "
                f"such as {_shown(longest[0].name)}"
            )
        else:
            by_name.update((claim.name, photo) for claim in longest)
    return by_name, ambiguous


def _file(names: PhotoNames, name: str) -> Path | None:
    """Return the file that a table names from its own folder, if it exists."""
    if why_not_regular(names.root / name) is None:
        return names.root / name
    try:
        return names.root / names.find(name)  # with backslashes, or in another form of Unicode
    except ValueError:
        return None


def _same_photos(photos: Sequence[Path], files: Sequence[Path]) -> dict[Path, list[Path]]:
    """Return the true photos that files are: the same file, or else one of the same name and contents.

    Of several, those are returned whose paths have the longest end in common with the file's. Only files that
    are no true photo are read, and the photos of their names.
    """
    resolved: dict[Path, list[Path]] = defaultdict(list)
    for photo in photos:
        resolved[photo.resolve()].append(photo)
    same = {file: resolved.get(file.resolve(), []) for file in files}
    called = {composed(photo.name) for photo in photos}
    others = [file for file in files if not same[file] and composed(file.name) in called]
    asked = {composed(file.name) for file in others}
    facts = look_at_photos([*others, *(photo for photo in photos if composed(photo.name) in asked)], NAMING)
    # A photo and its mirror image have the same id, but not the same name. A group would not do: 300-W's are
    # told by folder and name alone, whatever the file holds.
    keys = {
        path: (composed(path.name), seen.photo_id)
        for path, seen in facts.items()
        if not isinstance(seen, DataError)
    }
    copies: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for photo in photos:
        if photo in keys:
            copies[keys[photo]].append(photo)
    same |= {file: copies.get(keys[file], []) for file in others if file in keys}
    return {file: _most_alike(file, candidates) for file, candidates in same.items()}


def _most_alike(file: Path, photos: Sequence[Path]) -> list[Path]:
    """Return the photos whose paths have the longest end in common with a file's."""
    common = {photo: _common(_parts(str(file.absolute())), _parts(str(photo.absolute()))) for photo in photos}
    most = max(common.values(), default=0)
    return [photo for photo in photos if common[photo] == most]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many parts at the ends of two paths are the same."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _why_unknown(name: str, photo: Path, *, exists: bool) -> str:
    """Return why a name stands for no true photo.

    Args:
        name: in the table.
        photo: a true one, of the same file name if there is one.
        exists: whether the name leads to a file.
    """
    if exists:
        return f"{_shown(name)} exists, and is another photo than the true ones, such as {_shown(photo)}"
    return f"no true photo's path ends as {_shown(name)} does; one is {_shown(photo)}"


def _shown(name: str | Path) -> str:
    return shortened(str(name), _MOST_SHOWN)


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a path, as they are spelt anywhere, without steps up."""
    plain = composed(name)
    plain = plain if "/" in plain else plain.replace("\\", "/")
    parts: list[str] = []
    for part in plain.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


def _within_photo(
    truth: Sequence[Face],
    landmarks: Sequence[int],
    predictions: Sequence[Prediction],
    faces: Sequence[int],
    found: Sequence[int],
) -> dict[int, int]:
    """Return the predictions of a photo's faces, by the places of the faces."""
    if len(faces) == len(found) == 1:
        return {faces[0]: found[0]}
    partner: dict[int, int] = {}
    for place in sorted(found, key=lambda place: _turn(predictions[place])):
        free = [face for face in faces if face not in partner]
        chosen = _choose([truth[face] for face in free], landmarks, predictions[place])
        if chosen is not None:
            partner[free[chosen]] = place
    return partner


def _turn(prediction: Prediction) -> float:
    """Return a number to sort predictions by: the highest score first, and last those without one."""
    return np.inf if prediction.score is None else -prediction.score


def _choose(faces: Sequence[Face], landmarks: Sequence[int], prediction: Prediction) -> int | None:
    """Return the place of the face with the most common box, or else the nearest points, if near."""
    by_box, by_points = [], []
    for place, face in enumerate(faces):
        points = face.landmarks()
        offsets = prediction.points - points[list(landmarks)]
        distance = float(np.linalg.norm(offsets, axis=1).mean()) / _size(points)
        boxes = face.box, prediction.box
        overlap = 0.0 if boxes[0] is None or boxes[1] is None else boxes[0].overlap(boxes[1])
        if overlap >= _SAME:
            by_box.append((-overlap, distance, place))
        if distance <= _NEAR:
            by_points.append((distance, place))
    if by_box:
        return min(by_box)[-1]
    return min(by_points)[-1] if by_points else None


def _size(points: FloatArray) -> float:
    """Return the square root of the area of the box round a face's points; 1 pixel at least."""
    sides = np.maximum(points.max(axis=0) - points.min(axis=0), 1.0)
    return float(np.sqrt(sides.prod()))
