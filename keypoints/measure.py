"""Face by face: what a task predicts, and how far off it is."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from keypoints.datamodules.base import FaceDataset, whole
from keypoints.errors import DataError, one_line
from keypoints.geometry import FloatArray
from keypoints.tasks.base import Task

_BATCH = 64


def measure_faces(task: Task, dataset: FaceDataset) -> pd.DataFrame:
    """A row a face, in the dataset's order.

    Columns: ``photo``, the file; a column a tag; ``mse`` in the course's units; ``mae_px``, the mean
    absolute error of a coordinate, and ``error_px``, the mean distance of a point, in pixels of the
    photo; then ``truth_x0, truth_y0, …`` and ``predicted_x0, …`` in pixels of the photo.
    """
    truth, predicted, sizes = [], [], []
    with torch.inference_mode():
        for start in range(0, len(dataset), _BATCH):
            batch = whole(dataset, range(start, min(start + _BATCH, len(dataset))))
            ratios = task(batch.images.to(task.device)).cpu()
            predicted.append(task.to_photo(ratios, batch).numpy())
            truth.append(task.to_photo(batch.targets, batch).numpy())
            sizes.append(batch.photo_sizes.numpy())
    true, found = np.concatenate(truth).astype(np.float64), np.concatenate(predicted).astype(np.float64)
    errors = found - true
    columns = {
        "photo": [str(face.photo.path) for face in dataset.faces],
        **{tag: [face.tags.get(tag) for face in dataset.faces] for tag in dataset.faces[0].tags},
        "mse": np.square(errors / np.concatenate(sizes)[:, None]).mean(axis=(1, 2)),
        "mae_px": np.abs(errors).mean(axis=(1, 2)),
        "error_px": np.linalg.norm(errors, axis=2).mean(axis=1),
    }
    for kind, points in (("truth", true), ("predicted", found)):
        for index in range(points.shape[1]):
            columns[f"{kind}_x{index}"] = points[:, index, 0]
            columns[f"{kind}_y{index}"] = points[:, index, 1]
    return pd.DataFrame(columns)


def points_of(faces: pd.DataFrame, kind: str) -> FloatArray:
    """The ``truth`` or ``predicted`` points of such a table, (N, K, 2) pixels of the photos."""
    return faces.filter(regex=rf"^{kind}_[xy]\d+$").to_numpy(np.float64).reshape(len(faces), -1, 2)


def read_faces(path: Path) -> pd.DataFrame:
    """A table of :func:`measure_faces` that was written as CSV.

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
