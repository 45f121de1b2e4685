"""Tables of measured faces, a row a face, of :func:`keypoints.measure.face_table`. Imports no torch."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from keypoints.errors import DataError, one_line
from keypoints.geometry import FloatArray


def tags_of(faces: pd.DataFrame) -> list[str]:
    """The names of the tags in such a table."""
    names = [str(name) for name in faces.columns]
    return names[1 : names.index("mse")]


def points_of(faces: pd.DataFrame, kind: str) -> FloatArray:
    """The ``truth`` or ``predicted`` points of such a table, (N, K, 2) pixels of the photos."""
    return faces.filter(regex=rf"^{kind}_[xy]\d+$").to_numpy(np.float64).reshape(len(faces), -1, 2)


def read_faces(path: Path) -> pd.DataFrame:
    """A table of :func:`keypoints.measure.face_table` that was written as CSV.

    Raises:
        DataError: if it is missing or is no such table.
    """
    try:
        faces = pd.read_csv(path, dtype={"person": str, "view": str})
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({one_line(error)})") from error
    if not {"photo", "error_px", "truth_x0", "predicted_x0"} <= set(faces):
        raise DataError(f"{path}: is no table of measured faces")
    return faces


def in_common(faces: pd.DataFrame, words: Mapping[str, Mapping[str, str]], share: float = 0.25) -> list[str]:
    """What the tags say of the worst ``share`` of the faces: sentences, the most telling first.

    A tag's value is named where it stands at least half again as often among the worst as among
    all, and for three faces or more.

    Args:
        faces: a table of :func:`keypoints.measure.face_table`.
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
