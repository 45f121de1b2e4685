"""Errors of runs on the same validation faces, from their tables of faces. Imports no torch."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd

from keypoints.errors import DataError
from keypoints.evaluation.comparison import Errors
from keypoints.evaluation.face_tables import points_of
from keypoints.geometry import FloatArray
from keypoints.landmarks import LandmarkScheme

MEASURES = {"nme": "nme", "mse": "mse", "mae_px": "mae_px", "distance_px": "error_px"}
"""Columns of a table of faces, by the names of the errors."""


@dataclass(frozen=True)
class FaceErrors:
    """Errors of one run on N faces.

    Args:
        faces: names of the faces; equal names in another run are the same faces.
        groups: group of each face, such as the person or the photo.
        errors: (N,) errors by name, see :data:`MEASURES`; NaN for a face without the labels that one needs.
    """

    faces: Sequence[str]
    groups: Sequence[str]
    errors: Mapping[str, FloatArray]


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
    pair = None if scheme is None else scheme.normalizing_points
    if "nme" not in errors and pair is not None:
        truth = points_of(table, "truth")
        scale = np.linalg.norm(truth[:, pair[0]] - truth[:, pair[1]], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            errors["nme"] = table["error_px"].to_numpy(np.float64) / scale
    names = _names(list(map(str, table["photo"])))
    column = next((each for each in ("group", "person") if each in table and table[each].notna().all()), None)
    groups = [name.partition("#")[0] for name in names] if column is None else list(map(str, table[column]))
    return FaceErrors(names, groups, errors)


def _names(photos: Sequence[str]) -> list[str]:
    """Return names of the faces that do not depend on where the data are: photo, and number in the photo."""
    parents = [str(Path(photo).parent) for photo in photos]
    shared = os.path.commonpath(parents) if len({Path(each).is_absolute() for each in parents}) == 1 else ""
    seen: dict[str, count[int]] = {}
    names = []
    for photo in photos:
        name = Path(os.path.relpath(photo, shared) if shared else photo).as_posix()
        names.append(f"{name}#{next(seen.setdefault(name, count()))}")
    return names


def joined(settings: Mapping[str, Sequence[Sequence[FaceErrors]]], measure: str) -> Errors:
    """Return the errors of settings on the same faces.

    Args:
        settings: for each setting its seeds, and for each seed the errors of its folds, or of its only run.
        measure: one of :data:`MEASURES`. Faces for which it is unknown are left out.

    Raises:
        DataError: if the faces are not the same, or the measure is known for none.
    """
    rows = {name: [_one(folds, measure) for folds in seeds] for name, seeds in settings.items()}
    first = next(iter(rows.values()))[0]
    for name, seeds in rows.items():
        for seed in seeds:
            if seed.keys() != first.keys():
                raise DataError(
                    f"{name}: validates on other faces than {next(iter(rows))}, so errors are not compared"
                )
    groups = {
        face: group
        for folds in next(iter(settings.values()))[:1]
        for fold in folds
        for face, group in zip(fold.faces, fold.groups, strict=True)
    }
    faces = [
        face for face in first if all(np.isfinite(seed[face]) for seeds in rows.values() for seed in seeds)
    ]
    if not faces:
        raise DataError(f"{next(iter(rows))}: {measure} is known for no face of all runs")
    errors = {
        name: np.asarray([[seed[face] for face in faces] for seed in seeds]) for name, seeds in rows.items()
    }
    return Errors(errors, [groups[face] for face in faces])


def _one(folds: Sequence[FaceErrors], measure: str) -> dict[str, float]:
    """Return the error of each face of all folds."""
    return {
        face: float(error)
        for fold in folds
        if measure in fold.errors
        for face, error in zip(fold.faces, fold.errors[measure], strict=True)
    }
