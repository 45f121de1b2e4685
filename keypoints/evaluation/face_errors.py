"""Errors of runs on the same validation faces, from their tables of faces. Imports no torch."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from keypoints.errors import DataError
from keypoints.evaluation.comparison import Errors
from keypoints.evaluation.face_tables import points_of
from keypoints.geometry import FloatArray
from keypoints.landmarks import LandmarkScheme

MEASURES = {"nme": "nme", "mse": "mse", "mae_px": "mae_px", "distance_px": "error_px"}
"""Columns of a table of faces, by the names of the errors."""


_SHAPE_TOLERANCE = 0.02
"""Largest difference of a true point of one face in two tables, over the face's size."""

_PIXEL_TOLERANCE = 1.0
"""The same in pixels, for faces with a single labelled point, which have no size."""


@dataclass(frozen=True)
class FaceErrors:
    """Errors of one run on N faces.

    Args:
        photos: photo of each face, as the table names it.
        groups: group of each face, such as the person or the photo.
        errors: (N,) errors by name, see :data:`MEASURES`; NaN for a face without the labels that one needs.
        truth: (N, K, 2) true points in pixels, NaN if unlabelled; ``None`` if they are unknown.
    """

    photos: Sequence[str]
    groups: Sequence[str]
    errors: Mapping[str, FloatArray]
    truth: FloatArray | None = None


def face_errors(table: pd.DataFrame, scheme: LandmarkScheme | None) -> FaceErrors:
    """Return the errors in a run's table of faces.

    Args:
        table: table of faces, see :func:`keypoints.evaluation.face_tables.read_faces`. An older table has no
            groups: a face then belongs to its person, if the table tells it, or to its photo.
        scheme: landmarks of the run, for the normalised error; ``None`` if they are unknown.
    """
    errors = {
        name: table[column].to_numpy(np.float64) for name, column in MEASURES.items() if column in table
    }
    truth = points_of(table, "truth")
    pair = None if scheme is None else scheme.normalizing_points
    if "nme" not in errors and pair is not None:
        scale = np.linalg.norm(truth[:, pair[0]] - truth[:, pair[1]], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            errors["nme"] = table["error_px"].to_numpy(np.float64) / scale
    column = next((each for each in ("group", "person") if each in table and table[each].notna().all()), None)
    groups = list(map(str, table["photo" if column is None else column]))
    return FaceErrors(list(map(str, table["photo"])), groups, errors, truth)


def names_of(photos: Sequence[str]) -> list[str]:
    """Return names of faces that do not depend on where the data are: photo, and number in the photo.

    Args:
        photos: photo of each face. Names are relative to the folder that contains all photos, so that only
            names of the same set of photos can be compared.
    """
    parents = [str(Path(photo).parent) for photo in photos]
    shared = os.path.commonpath(parents) if len({Path(each).is_absolute() for each in parents}) == 1 else ""
    seen: dict[str, count[int]] = {}
    names = []
    for photo in photos:
        name = Path(os.path.relpath(photo, shared) if shared else photo).as_posix()
        names.append(f"{name}#{next(seen.setdefault(name, count()))}")
    return names


class _Face(NamedTuple):
    """Error of one run on one face, with what tells the face from others."""

    error: float
    group: str
    truth: FloatArray | None


def joined(settings: Mapping[str, Sequence[Sequence[FaceErrors]]], measure: str) -> Errors:
    """Return the errors of settings on the same faces: those of the same names and the same true points.

    Args:
        settings: for each setting its seeds, and for each seed the errors of its folds, or of its only run.
        measure: one of :data:`MEASURES`. Faces for which it is unknown are left out.

    Raises:
        DataError: if the faces are not the same, or the measure is known for none.
    """
    rows = {name: [_faces_of(folds, measure) for folds in seeds] for name, seeds in settings.items()}
    reference = next(iter(rows))
    first = rows[reference][0]
    for name, seeds in rows.items():
        for seed in seeds:
            if seed.keys() != first.keys():
                than = reference if name != reference else "in its first run"
                raise DataError(f"{name}: validates on other faces than {than}, so errors are not compared")
            other = next((face for face in first if not _is_same(seed[face].truth, first[face].truth)), None)
            if other is not None:
                raise DataError(
                    f"{name}: has other true points than {reference} in {other.partition('#')[0]}, so errors "
                    "are not compared"
                )
    faces = [
        face
        for face in first
        if all(np.isfinite(seed[face].error) for seeds in rows.values() for seed in seeds)
    ]
    if not faces:
        raise DataError(f"{reference}: {measure} is known for no face of all runs")
    errors = {
        name: np.asarray([[seed[face].error for face in faces] for seed in seeds])
        for name, seeds in rows.items()
    }
    return Errors(errors, [first[face].group for face in faces])


def _faces_of(folds: Sequence[FaceErrors], measure: str) -> dict[str, _Face]:
    """Return each face of all folds, by its name among the photos of all folds."""
    faces: list[_Face] = []
    for fold in folds:
        errors = fold.errors.get(measure, np.full(len(fold.photos), np.nan))
        truth = [None] * len(fold.photos) if fold.truth is None else list(fold.truth)
        faces += map(_Face, map(float, errors), fold.groups, truth)
    names = names_of([photo for fold in folds for photo in fold.photos])
    return dict(zip(names, faces, strict=True))


def _is_same(some: FloatArray | None, others: FloatArray | None) -> bool:
    """Return whether (K, 2) true points are of the same face, in photos that may be scaled or cropped copies.

    Args:
        some: points of one table; ``None`` if they are unknown.
        others: points of another table.
    """
    if some is None or others is None:
        return True
    known = np.isfinite(some).all(axis=1)
    if some.shape != others.shape or (known != np.isfinite(others).all(axis=1)).any():
        return False
    if known.sum() < 2:
        return bool((np.abs(some - others)[known] <= _PIXEL_TOLERANCE).all())
    return bool((np.abs(_shape(some[known]) - _shape(others[known])) <= _SHAPE_TOLERANCE).all())


def _shape(points: FloatArray) -> FloatArray:
    """Return points about their mean, in units of their standard deviation; zeros for equal points."""
    centred = points - points.mean(axis=0)
    size = float(np.sqrt((centred**2).sum(axis=1).mean()))
    return np.asarray(centred / (size or 1.0))
