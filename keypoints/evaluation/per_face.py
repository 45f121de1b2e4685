"""Face by face: what a model predicts, and how far off it is."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torchmetrics import MetricCollection

from keypoints.data.compact_copy import Original
from keypoints.data.dataset import Batch, FaceDataset, whole
from keypoints.data.face import Face
from keypoints.inference.predictor import Model, TaskModel
from keypoints.tasks.base import Task
from keypoints.tasks.metrics import face_scale, normalized_mean_error

BATCH = 64
"""Faces that are predicted at once."""


class Predictions(NamedTuple):
    """What was predicted for N faces, in pixels of their photos."""

    predicted: Tensor
    """(N, K, 2)"""
    truth: Tensor
    """(N, K, 2)"""
    photo_sizes: Tensor
    """(N, 2): width and height."""
    confidence: Tensor | None = None
    """(N, K) from 0 to 1, of models that give it."""

    def of(self, places: Sequence[int]) -> "Predictions":
        """Those of some of the faces."""
        chosen = list(places)
        predicted, truth, sizes = (field[chosen] for field in self[:3])
        sure = None if self.confidence is None else self.confidence[chosen]
        return Predictions(predicted, truth, sizes, sure)


def in_originals(predictions: Predictions, originals: Sequence[Original | None]) -> Predictions:
    """The same in pixels of the originals that the photos were cut from, where they were."""
    places = [(place, original) for place, original in enumerate(originals) if original is not None]
    predicted, truth, sizes = (field.clone() for field in predictions[:3])
    for place, original in places:
        for points in (predicted, truth):
            points[place] = torch.from_numpy(original.to_original(points[place].numpy())).float()
        sizes[place] = torch.tensor(original.size)
    return predictions._replace(predicted=predicted, truth=truth, photo_sizes=sizes)


def plain_batches(dataset: FaceDataset) -> Iterator[Batch]:
    """All faces in their own order, not augmented."""
    for start in range(0, len(dataset), BATCH):
        yield whole(dataset, range(start, min(start + BATCH, len(dataset))))


def predict(
    model: Model, batches: Iterable[Batch], mean: Tensor | None = None
) -> tuple[Predictions, Predictions | None]:
    """What ``model`` predicts, and the constant predictor, which gives everyone the ``mean``.

    Args:
        model: of a checkpoint or an ONNX file.
        batches: looked at once.
        mean: (K, 2) ratios of the input; without it there is no constant predictor.
    """
    size = model.crop.size
    found, constant, truth, sizes, sure = [], [], [], [], []
    for batch in batches:
        points, confidence = _located(model, batch)
        found.append(batch.in_photo(points, size))
        if confidence is not None:
            sure.append(confidence)
        if mean is not None:
            constant.append(batch.in_photo(mean.expand(len(batch.targets), -1, -1), size))
        truth.append(batch.in_photo(batch.targets, size))
        sizes.append(batch.photo_sizes)
    facts = torch.cat(truth), torch.cat(sizes)
    everyone = Predictions(torch.cat(constant), *facts) if constant else None
    return Predictions(torch.cat(found), *facts, torch.cat(sure) if sure else None), everyone


def _located(model: Model, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Return the points of a batch, (B, K, 2) ratios of the input, and their confidence, (B, K)."""
    images = batch.to_images().numpy()
    parts = [model(images[start : start + model.at_once]) for start in range(0, len(images), model.at_once)]
    points = np.concatenate([part.points for part in parts])
    sure = [part.confidence for part in parts if part.confidence is not None]
    confidence = torch.from_numpy(np.concatenate(sure)).float() if sure else None
    return torch.from_numpy(points).float(), confidence


def score(metrics: MetricCollection, predictions: Predictions) -> dict[str, float]:
    """What ``metrics`` say of ``predictions``."""
    metrics.reset()
    metrics.update(*predictions[:3])
    return {name: float(value) for name, value in metrics.compute().items()}


def measure_faces(task: Task, dataset: FaceDataset) -> pd.DataFrame:
    """A row a face, in the dataset's order: see :func:`face_table`."""
    return face_table(dataset.faces, predict(TaskModel(task), plain_batches(dataset))[0])


def face_table(
    faces: Sequence[Face],
    predictions: Predictions,
    norm: str | None = None,
    pair: tuple[int, int] | None = None,
) -> pd.DataFrame:
    """A row a face.

    Columns: ``photo``, the file; a column a tag; ``mse`` in the course's units; ``mae_px``, the mean
    absolute error of a coordinate, and ``error_px``, the mean distance of a point, in pixels of the
    photo; with a ``norm``, ``nme``; ``confidence``, the mean of the points', where there is one; then
    ``truth_x0, truth_y0, …`` and ``predicted_x0, …`` in pixels of the photo.
    """
    true, found = (points.numpy().astype(np.float64) for points in (predictions.truth, predictions.predicted))
    errors = found - true
    tags = dict.fromkeys(tag for face in faces for tag in face.tags)
    columns = {
        "photo": [str(face.photo.path) for face in faces],
        **{tag: [face.tags.get(tag) for face in faces] for tag in tags},
        "mse": np.square(errors / predictions.photo_sizes.numpy()[:, None]).mean(axis=(1, 2)),
        "mae_px": np.abs(errors).mean(axis=(1, 2)),
        "error_px": np.linalg.norm(errors, axis=2).mean(axis=1),
    }
    if norm is not None:
        columns["nme"] = normalized_mean_error(*predictions[:3], norm=norm, pair=pair).numpy()
    if predictions.confidence is not None:
        columns["confidence"] = predictions.confidence.mean(dim=1).numpy()
    for kind, points in (("truth", true), ("predicted", found)):
        for index in range(points.shape[1]):
            columns[f"{kind}_x{index}"] = points[:, index, 0]
            columns[f"{kind}_y{index}"] = points[:, index, 1]
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class ConfidenceGroup:
    """Points of similar confidence, of all faces.

    Args:
        confidence: mean confidence, from 0 to 1.
        nme: mean error over the face's scale.
        points: number of points.
    """

    confidence: float
    nme: float
    points: int


def by_confidence(
    predictions: Predictions, norm: str, pair: tuple[int, int] | None, groups: int = 10
) -> list[ConfidenceGroup]:
    """Return how the error of a point depends on its confidence.

    Args:
        predictions: of all faces.
        norm: what errors are divided by, as of :func:`keypoints.tasks.metrics.evaluation_metrics`.
        pair: the normalising points.
        groups: number of groups, of equally many points.

    Returns:
        The groups, the least sure first; none without a confidence.
    """
    predicted, truth, sizes, confidence = predictions
    if confidence is None:
        return []
    errors = (predicted - truth).square().sum(dim=-1).sqrt() / face_scale(truth, sizes, norm, pair)[:, None]
    order = confidence.flatten().argsort()
    return [
        ConfidenceGroup(
            confidence=float(confidence.flatten()[places].mean()),
            nme=float(errors.flatten()[places].mean()),
            points=len(places),
        )
        for places in order.tensor_split(min(groups, len(order)))
    ]
