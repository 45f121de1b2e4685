"""Matching of predicted with true faces: by photo, and within a photo by box or points."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np

from keypoints.data.face import Face
from keypoints.data.photo_facts import read_photo_facts
from keypoints.data.photo_names import PhotoNames, composed
from keypoints.data.readers.ibug300w import NAMING
from keypoints.errors import DataError, shortened
from keypoints.evaluation.prediction_lists import Prediction
from keypoints.formatting import counted
from keypoints.geometry import FloatArray
from keypoints.input_files import why_not_regular

_SAME = 0.3
"""Smallest intersection over union of two boxes of the same face."""
_NEAR = 1.0
"""Largest mean distance between the points of the same face, divided by the true face's size."""
_MOST_SHOWN = 80
"""Largest number of characters of a path in a message, which may contain three paths."""


class Matches(NamedTuple):
    """Result of matching predictions with true faces. Faces and predictions are given by their indices."""

    pairs: list[tuple[int, int]]
    """Pairs of a true face and its prediction, in the order of the true faces."""
    missing: list[int]
    """True faces without a prediction."""
    without_truth: list[int]
    """Predictions without a true face."""
    ambiguous: list[str]
    """Messages about names that fit several true photos, and true photos that fit several names."""
    unknown: list[str]
    """Messages about other names in the table, which fit no true photo."""


def match(
    truth: Sequence[Face], landmarks: Sequence[int], predictions: Sequence[Prediction], folder: Path
) -> Matches:
    """Match predictions with true faces; each prediction and each face has at most one partner.

    A name that leads from the table's folder to an existing file fits the true photo that is the same file,
    or has the same file name and contents; it fits no other photo. Any other relative name must be, in full,
    the end of a true photo's path. Any other absolute name is from another machine: it fits the true photo
    whose path shares the longest end with it.

    If a photo has one true face and one prediction, these are partners, however far apart they are. Otherwise
    predictions choose in the order of their scores, the highest first; without scores, in the table's order.
    Each takes the free face whose box overlaps most, or else the face with the nearest points, if these are
    near enough.

    Args:
        truth: true faces, with points.
        landmarks: indices of the true points that are predicted.
        predictions: predicted faces, with as many points as ``landmarks``.
        folder: folder of the table.
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
    """True photos by the names in a table, and messages about the other names."""

    by_name: dict[str, Path]
    ambiguous: list[str]
    unknown: list[str]


class _Claim(NamedTuple):
    """Name in the table that may refer to a true photo."""

    common: float
    """Number of parts that the ends of both paths share; infinite if the name leads to the file or a copy."""
    key: tuple[str, ...]
    """Parts of the name, or empty if it leads to a file: equal for names that refer to the same photo."""
    name: str


def _find_photos(photos: Sequence[Path], names: Sequence[str], folder: Path) -> _Photos:
    """Return the true photos that names in a table refer to, and messages about the other names."""
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
                f"{_shown(name)} may be any of {counted(len(candidates), 'photo')}, such as "
                f"{_shown(min(candidates))}"
            )
        else:
            example = (ends.get(parts[-1:]) or photos)[0]
            unknown.append(_why_unknown(name, example, exists=file is not None))
    by_name, contested = _assign_names(claims)
    return _Photos(by_name, ambiguous + contested, unknown)


def _assign_names(claims: Mapping[Path, Sequence[_Claim]]) -> tuple[dict[str, Path], list[str]]:
    """Assign each photo to the name that shares most with its path; return also the ambiguous photos."""
    by_name: dict[str, Path] = {}
    ambiguous = []
    for photo, claimed in claims.items():
        most = max(claim.common for claim in claimed)
        longest = [claim for claim in claimed if claim.common == most]
        keys = {claim.key for claim in longest}
        if len(keys) > 1:
            ambiguous.append(
                f"{_shown(photo)} may be any of {counted(len(keys), 'photo')} of the table, "
                f"such as {_shown(longest[0].name)}"
            )
        else:
            by_name.update((claim.name, photo) for claim in longest)
    return by_name, ambiguous


def _file(names: PhotoNames, name: str) -> Path | None:
    """Return the file that a name in the table leads to, if it exists."""
    if why_not_regular(names.root / name) is None:
        return names.root / name
    try:
        return names.root / names.find(name)  # with backslashes, or in another form of Unicode
    except ValueError:
        return None


def _same_photos(photos: Sequence[Path], files: Sequence[Path]) -> dict[Path, list[Path]]:
    """Return the true photos of each file: the same file, or else photos with its name and contents.

    If there are several, only those whose paths share the longest end with the file's path are returned. A
    file is read only if it is no true photo but has the name of one; that true photo is then read too.
    """
    resolved: dict[Path, list[Path]] = defaultdict(list)
    for photo in photos:
        resolved[photo.resolve()].append(photo)
    same = {file: resolved.get(file.resolve(), []) for file in files}
    called = {composed(photo.name) for photo in photos}
    others = [file for file in files if not same[file] and composed(file.name) in called]
    asked = {composed(file.name) for file in others}
    facts = read_photo_facts([*others, *(photo for photo in photos if composed(photo.name) in asked)], NAMING)
    # A photo and its mirrored copy have the same id, but different names. The group cannot replace the id:
    # 300-W's groups depend on folder and name only, not on the contents.
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
    """Return the photos whose paths share the longest end with a file's path."""
    common = {
        photo: _common_end(_parts(str(file.absolute())), _parts(str(photo.absolute()))) for photo in photos
    }
    most = max(common.values(), default=0)
    return [photo for photo in photos if common[photo] == most]


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the number of equal parts at the ends of two paths."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _why_unknown(name: str, photo: Path, *, exists: bool) -> str:
    """Return the message about a name that fits no true photo.

    Args:
        name: name in the table.
        photo: true photo as an example, with the same file name if there is one.
        exists: whether the name leads to a file.
    """
    if exists:
        return f"{_shown(name)} exists, but is none of the true photos, such as {_shown(photo)}"
    return f"no true photo's path ends with {_shown(name)}; an example is {_shown(photo)}"


def _shown(name: str | Path) -> str:
    return shortened(str(name), _MOST_SHOWN)


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a path of any operating system, in composed Unicode, with ``..`` resolved."""
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
    predicted: Sequence[int],
) -> dict[int, int]:
    """Return the indices of the predictions of a photo's faces, by the indices of the faces."""
    if len(faces) == len(predicted) == 1:
        return {faces[0]: predicted[0]}
    partner: dict[int, int] = {}
    for place in sorted(predicted, key=lambda place: _rank(predictions[place])):
        free = [face for face in faces if face not in partner]
        chosen = _choose([truth[face] for face in free], landmarks, predictions[place])
        if chosen is not None:
            partner[free[chosen]] = place
    return partner


def _rank(prediction: Prediction) -> float:
    """Return a sort key of a prediction: the highest score first, predictions without a score last."""
    return np.inf if prediction.score is None else -prediction.score


def _choose(faces: Sequence[Face], landmarks: Sequence[int], prediction: Prediction) -> int | None:
    """Return the index of the face whose box overlaps most, or else whose points are nearest, if near."""
    by_box, by_points = [], []
    for place, face in enumerate(faces):
        offsets = prediction.points - face.landmarks()[list(landmarks)]
        distances = np.linalg.norm(offsets[np.isfinite(offsets).all(axis=1)], axis=1)
        distance = float(distances.mean()) / _size(face.labelled_points()) if len(distances) else np.inf
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
    """Return the square root of the area of the points' bounding box, whose sides are at least 1 pixel."""
    sides = np.maximum(points.max(axis=0) - points.min(axis=0), 1.0)
    return float(np.sqrt(sides.prod()))
