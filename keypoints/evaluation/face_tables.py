"""Reading of tables of :func:`keypoints.evaluation.per_face.face_table`. Imports no torch."""

import io
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keypoints.data.face import HIDDEN, UNLABELLED, VISIBLE
from keypoints.errors import DataError, one_line
from keypoints.formatting import counted
from keypoints.geometry import FlagArray, FloatArray
from keypoints.structured_files import MOST_TABLE_BYTES, read_text


def tags_of(faces: pd.DataFrame) -> list[str]:
    """Return the names of the tags in a table of faces."""
    names = [str(name) for name in faces.columns]
    return names[1 : names.index("mse")]


def points_of(faces: pd.DataFrame, kind: str) -> FloatArray:
    """Return the ``truth`` or ``predicted`` points of a table of faces, (N, K, 2) pixels of the photos."""
    return faces.filter(regex=rf"^{kind}_[xy]\d+$").to_numpy(np.float64).reshape(len(faces), -1, 2)


def hidden_of(faces: pd.DataFrame) -> FlagArray:
    """Return which true points of a table of faces are hidden, (N, K); none in a table without states."""
    states = faces.filter(regex=r"^truth_v\d+$").to_numpy(np.float64)
    if not states.size:
        return np.zeros(points_of(faces, "truth").shape[:2], bool)
    return np.asarray(states == HIDDEN)


def are_labelled(truth: FloatArray) -> FlagArray:
    """Return which of (N, K, 2) true points are labelled, (N, K)."""
    return np.asarray(np.isfinite(truth).all(axis=2))


def over_labelled(
    values: FloatArray, known: FlagArray, axis: int | tuple[int, ...], statistic: Callable[..., Any] = np.mean
) -> Any:
    """Return a statistic of values over the labelled points only.

    Args:
        values: (N, K) or (N, K, 2) values of N faces; NaN from broken predictions is not left out.
        known: (N, K) flags of the labelled points.
        axis: as of the statistic.
        statistic: numpy's ``mean`` or ``std``.

    Returns:
        The statistic; NaN where no point is labelled.
    """
    if known.all():
        return statistic(values, axis=axis)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy warns where no point is labelled
        return statistic(values, axis=axis, where=known if values.ndim == 2 else known[..., None])


def by_error(faces: pd.DataFrame) -> pd.DataFrame:
    """Return the faces that have a labelled point, the smallest mean distance per point first."""
    return faces.iloc[np.flatnonzero(are_labelled(points_of(faces, "truth")).any(axis=1))].sort_values(
        "error_px", ignore_index=True
    )


def read_faces(path: Path) -> pd.DataFrame:
    """Return a table of faces from a CSV file.

    Raises:
        DataError: if the file is missing, or is no table of faces; the message names the column.
    """
    try:
        text = read_text(path, MOST_TABLE_BYTES)
        faces = pd.read_csv(io.StringIO(text), dtype={"photo": str, "person": str, "view": str, "group": str})
    except FileNotFoundError as error:
        raise DataError(f"{path}: is missing") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({one_line(error)[:200]})") from error
    if not text.endswith("\n"):
        raise DataError(f"{path}: its last line has no end: the file was cut off")
    names = list(map(str, faces))
    points = sum(re.fullmatch(r"truth_x\d+", name) is not None for name in names)
    numbers = [
        f"{kind}_{axis}{k}" for kind in ("truth", "predicted") for k in range(points or 1) for axis in "xy"
    ]
    for name in ("photo", "mse", "error_px", *numbers):
        if name not in names:
            raise DataError(f"{path}: is no table of measured faces: it has no column {name!r}")
    if faces.empty:
        raise DataError(f"{path}: holds no faces")
    if faces["photo"].isna().any():
        raise DataError(f"{path}: its column 'photo' has empty places")
    for name in numbers:
        _check_numbers(path, name, faces[name].dropna() if name.startswith("truth_") else faces[name])
    labelled = np.asarray(are_labelled(points_of(faces, "truth")).any(axis=1))
    for name in ("mse", "error_px"):
        _check_numbers(path, name, faces.loc[labelled, name])  # a face without a label has no error
    for name in (name for name in numbers if name.startswith("truth_x")):
        if (faces[name].isna() != faces[name.replace("_x", "_y")].isna()).any():
            raise DataError(f"{path}: its column {name!r} and its column of y have different empty places")
    _check_states(path, faces, points)
    return faces


def _check_numbers(path: Path, name: str, values: pd.Series) -> None:
    """Check that values of a column are finite numbers.

    Raises:
        DataError: if one is not.
    """
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise DataError(f"{path}: its column {name!r} holds something else than numbers")


def _check_states(path: Path, faces: pd.DataFrame, points: int) -> None:
    """Check the columns ``truth_v0 …``, which a table may lack.

    Raises:
        DataError: if only some are there, or a state is none of COCO's.
    """
    names = [f"truth_v{k}" for k in range(points)]
    given = [name for name in map(str, faces) if re.fullmatch(r"truth_v\d+", name)]
    if given and given != names:
        raise DataError(f"{path}: its columns of states are not truth_v0 … truth_v{points - 1}")
    for name in given:
        if not faces[name].isin([UNLABELLED, HIDDEN, VISIBLE]).all():
            raise DataError(f"{path}: its column {name!r} holds something else than 0, 1 and 2")


def in_common(faces: pd.DataFrame, words: Mapping[str, Mapping[str, str]], share: float = 0.25) -> list[str]:
    """Return the values of tags that are frequent among the worst faces, in sentences, strongest first.

    A value is named if at least three of the worst faces have it, and if it is at least 1.5 times as frequent
    among the worst faces as among all.

    Args:
        faces: table of faces.
        words: descriptions of the values, by tag and value.
        share: fraction of the faces that count as the worst.
    """
    count = max(1, round(share * len(faces)))
    worst = faces.nlargest(count, "error_px")
    found = []
    for tag in tags_of(faces):
        for value, times in worst[tag].value_counts().items():
            in_all = int((faces[tag] == value).sum())
            factor = (times / count) / (in_all / len(faces))
            if times >= 3 and factor >= 1.5:
                meaning = words.get(tag, {}).get(str(value))
                name = f"{tag} {value} ({meaning})" if meaning else f"{tag} {value}"
                text = f"{name}: {times} of the {counted(count, 'worst face')}, {in_all} of all {len(faces)}"
                found.append((factor, text))
    return [text for _, text in sorted(found, reverse=True)]
