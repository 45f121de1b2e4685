"""Tables of :func:`keypoints.evaluation.per_face.face_table`, a row a face. Imports no torch."""

import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from keypoints.errors import DataError, one_line
from keypoints.geometry import FloatArray
from keypoints.structured_files import MOST_TABLE_BYTES, read_text


def tags_of(faces: pd.DataFrame) -> list[str]:
    """The names of the tags in such a table."""
    names = [str(name) for name in faces.columns]
    return names[1 : names.index("mse")]


def points_of(faces: pd.DataFrame, kind: str) -> FloatArray:
    """The ``truth`` or ``predicted`` points of such a table, (N, K, 2) pixels of the photos."""
    return faces.filter(regex=rf"^{kind}_[xy]\d+$").to_numpy(np.float64).reshape(len(faces), -1, 2)


def read_faces(path: Path) -> pd.DataFrame:
    """A table of :func:`keypoints.evaluation.per_face.face_table` that was written as CSV.

    Raises:
        DataError: if it is missing or is no such table; the message names the column.
    """
    try:
        text = read_text(path, MOST_TABLE_BYTES)
        faces = pd.read_csv(io.StringIO(text), dtype={"photo": str, "person": str, "view": str})
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
    for name in ("mse", "error_px", *numbers):
        if faces[name].dtype.kind not in "iuf" or not np.isfinite(faces[name]).all():
            raise DataError(f"{path}: its column {name!r} holds something else than numbers")
    return faces


def in_common(faces: pd.DataFrame, words: Mapping[str, Mapping[str, str]], share: float = 0.25) -> list[str]:
    """What the tags say of the worst ``share`` of the faces: sentences, the most telling first.

    A tag's value is named where it stands at least half again as often among the worst as among
    all, and for three faces or more.

    Args:
        faces: a table of :func:`keypoints.evaluation.per_face.face_table`.
        words: what a tag's values mean, by tag.
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
                text = f"{name}: {times} of the {count} worst faces, {in_all} of all {len(faces)}"
                found.append((factor, text))
    return [text for _, text in sorted(found, reverse=True)]
