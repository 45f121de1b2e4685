"""Which predicted face is which true one: by its photo, and within a photo by its box or its points."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keypoints.datasets.face import Face
from keypoints.geometry import FloatArray
from keypoints.prediction_lists import Prediction

_SAME = 0.3
"""Intersection over union from which on two boxes in a photo are of the same face."""
_NEAR = 1.0
"""Mean distance of two faces' points, over the true face's size, up to which they may be the same face."""


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


def match(
    truth: Sequence[Face], landmarks: Sequence[int], predictions: Sequence[Prediction], folder: Path
) -> Matches:
    """Match predictions with true faces, each with one at most.

    A photo is the file that a table names from its own folder, or else the one whose path has the longest end
    in common with the name, if that is one photo. The only prediction of a photo's only face is of it,
    however far off it is. Of several faces, first those with the most common boxes are matched, then those
    with the nearest points, as long as they are near.

    Args:
        truth: with points.
        landmarks: which of their points are predicted.
        predictions: with as many points.
        folder: that of the table.
    """
    photos = list(dict.fromkeys(face.photo.path for face in truth))
    found, ambiguous = _find_photos(photos, list(dict.fromkeys(each.photo for each in predictions)), folder)
    faces_of: dict[Path, list[int]] = defaultdict(list)
    for place, face in enumerate(truth):
        faces_of[face.photo.path].append(place)
    predicted_of: dict[Path, list[int]] = defaultdict(list)
    for place, each in enumerate(predictions):
        if (photo := found.get(each.photo)) is not None:
            predicted_of[photo].append(place)
    partner: dict[int, int] = {}
    for photo, places in faces_of.items():
        partner |= _within_photo(truth, landmarks, predictions, places, predicted_of[photo])
    used = set(partner.values())
    return Matches(
        sorted(partner.items()),
        [place for place in range(len(truth)) if place not in partner],
        [place for place in range(len(predictions)) if place not in used],
        ambiguous,
    )


def _find_photos(
    photos: Sequence[Path], names: Sequence[str], folder: Path
) -> tuple[dict[str, Path], list[str]]:
    """Return the photos that names in a table stand for, and what is ambiguous."""
    resolved = {photo.resolve(): photo for photo in photos}
    ends: dict[tuple[str, ...], set[Path]] = defaultdict(set)
    for photo in photos:
        parts = _parts(str(photo.absolute()))
        for start in range(len(parts)):
            ends[parts[start:]].add(photo)
    found: dict[str, tuple[float, Path]] = {}
    ambiguous = []
    for name in names:
        file, parts = _resolved(folder, name), _parts(name)
        starts = [start for start in range(len(parts)) if parts[start:] in ends]
        if file in resolved:
            found[name] = (np.inf, resolved[file])
            continue
        if not starts:
            continue
        start = starts[0]
        candidates = ends[parts[start:]]
        if len(candidates) > 1:
            ambiguous.append(f"{name} may be any of {len(candidates)} photos, such as {min(candidates)}")
        else:
            found[name] = (len(parts) - start, next(iter(candidates)))
    return _one_each(found, ambiguous)


def _one_each(
    found: Mapping[str, tuple[float, Path]], ambiguous: list[str]
) -> tuple[dict[str, Path], list[str]]:
    """Leave each photo to the name that has most in common with it."""
    claims: dict[Path, list[tuple[float, str]]] = defaultdict(list)
    for name, (length, photo) in found.items():
        claims[photo].append((length, name))
    chosen = {}
    for photo, claimed in claims.items():
        longest = max(length for length, _ in claimed)
        names = [name for length, name in claimed if length == longest]
        if len(names) > 1:
            ambiguous.append(f"{photo} may be any of {len(names)} photos of the table, such as {names[0]}")
        else:
            chosen[names[0]] = photo
    return chosen, ambiguous


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a path, as they are spelt anywhere."""
    plain = unicodedata.normalize("NFC", name)
    plain = plain if "/" in plain else plain.replace("\\", "/")
    return tuple(part for part in plain.split("/") if part not in ("", "."))


def _resolved(folder: Path, name: str) -> Path:
    try:
        return (folder / name).resolve()
    except (OSError, ValueError, RuntimeError):  # no name of a file
        return folder


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
    by_box, by_points = [], []
    for face in faces:
        points = truth[face].landmarks()[list(landmarks)]
        size = _size(truth[face].landmarks())
        for place in found:
            box, other = truth[face].box, predictions[place].box
            overlap = 0.0 if box is None or other is None else box.overlap(other)
            distance = float(np.linalg.norm(predictions[place].points - points, axis=1).mean()) / size
            # Boxes that are the same were given: then points tell nothing that boxes do not.
            by_box.append((-overlap, distance, face, place))
            by_points.append((distance, face, place))
    partner = _greedily(
        ((face, place) for negative, _, face, place in sorted(by_box) if negative <= -_SAME), {}
    )
    return _greedily(
        ((face, place) for distance, face, place in sorted(by_points) if distance <= _NEAR), partner
    )


def _greedily(candidates: Iterable[tuple[int, int]], partner: dict[int, int]) -> dict[int, int]:
    """Take the candidates in turn whose both sides are free."""
    for face, place in candidates:
        if face not in partner and place not in partner.values():
            partner[face] = place
    return partner


def _size(points: FloatArray) -> float:
    """Return the square root of the area of the box round a face's points; 1 pixel at least."""
    sides = np.maximum(points.max(axis=0) - points.min(axis=0), 1.0)
    return float(np.sqrt(sides.prod()))
