"""Predictions of a model for each face, and their errors."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torchmetrics import MetricCollection

from keypoints.data.compact_copy import Original
from keypoints.data.dataset import Batch, FaceDataset, full_batch
from keypoints.data.face import HIDDEN, UNLABELLED, VISIBLE, Face
from keypoints.evaluation.face_tables import are_labelled, over_labelled
from keypoints.inference.model import Model, TaskModel
from keypoints.tasks.base import Task
from keypoints.tasks.metrics import face_scale, normalized_mean_error

BATCH = 64
"""Number of faces in a batch."""


class Predictions(NamedTuple):
    """Predicted and true points of N faces, in pixels of their photos."""

    predicted: Tensor
    """(N, K, 2) predicted points."""
    truth: Tensor
    """(N, K, 2) true points; NaN without a label."""
    photo_sizes: Tensor
    """(N, 2) width and height of the photos."""
    confidence: Tensor | None = None
    """(N, K) confidence of each point, from 0 to 1; ``None`` for models without confidence."""
    hidden: Tensor | None = None
    """(N, K) flags of the true points that are hidden; ``None`` if none is."""

    def of(self, places: Sequence[int]) -> "Predictions":
        """Return the predictions of the faces with the given indices."""
        chosen = list(places)
        predicted, truth, sizes = (field[chosen] for field in self[:3])
        sure, hidden = (None if field is None else field[chosen] for field in self[3:])
        return Predictions(predicted, truth, sizes, sure, hidden)


def in_originals(predictions: Predictions, originals: Sequence[Original | None]) -> Predictions:
    """Return the predictions in pixels of the originals, for photos of a compact copy."""
    places = [(place, original) for place, original in enumerate(originals) if original is not None]
    predicted, truth, sizes = (field.clone() for field in predictions[:3])
    for place, original in places:
        for points in (predicted, truth):
            points[place] = torch.from_numpy(original.to_original(points[place].numpy())).float()
        sizes[place] = torch.tensor(original.size)
    return predictions._replace(predicted=predicted, truth=truth, photo_sizes=sizes)


def plain_batches(dataset: FaceDataset) -> Iterator[Batch]:
    """Yield all faces in batches, in the dataset's order and without augmentation."""
    for start in range(0, len(dataset), BATCH):
        yield full_batch(dataset, range(start, min(start + BATCH, len(dataset))))


Locate = Callable[[Batch], tuple[Tensor, Tensor | None]]
"""Function that returns the points of a batch, (B, K, 2) pixels of the photos, and confidences, (B, K)."""


def predict(
    model: Model, batches: Iterable[Batch], mean: Tensor | None = None, locate: Locate | None = None
) -> tuple[Predictions, Predictions | None]:
    """Return the predictions of a model, and of the mean-shape baseline: ``mean`` for every face.

    Args:
        model: model from a checkpoint or an ONNX file.
        batches: batches of faces; iterated over once.
        mean: (K, 2) ratios of the input; ``None`` for no baseline.
        locate: prediction of a batch; ``None`` for one pass of the model.

    Returns:
        The model's predictions, and the baseline's or ``None``.
    """
    size = model.crop.size
    predicted, constant, truth, sizes, confidences, hidden = [], [], [], [], [], []
    for batch in batches:
        points, confidence = _locate(model, batch) if locate is None else locate(batch)
        predicted.append(points)
        if confidence is not None:
            confidences.append(confidence)
        if mean is not None:
            constant.append(batch.in_photo(mean.expand(len(batch.targets), -1, -1), size))
        truth.append(batch.in_photo(batch.targets, size))
        sizes.append(batch.photo_sizes)
        hidden.append(batch.hidden)
    facts = torch.cat(truth), torch.cat(sizes)
    baseline = Predictions(torch.cat(constant), *facts) if constant else None
    confidence = torch.cat(confidences) if confidences else None
    flags = torch.cat(hidden)
    return Predictions(torch.cat(predicted), *facts, confidence, flags if flags.any() else None), baseline


def _locate(model: Model, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Return the points of a batch, (B, K, 2) pixels of the photos, and their confidence, (B, K)."""
    images = batch.to_images().numpy()
    parts = [model(images[start : start + model.at_once]) for start in range(0, len(images), model.at_once)]
    points = np.concatenate([part.points for part in parts])
    sure = [part.confidence for part in parts if part.confidence is not None]
    confidence = torch.from_numpy(np.concatenate(sure)).float() if sure else None
    return batch.in_photo(torch.from_numpy(points).float(), model.crop.size), confidence


def score(metrics: MetricCollection, predictions: Predictions) -> dict[str, float]:
    """Return the values of ``metrics`` for ``predictions``, by name."""
    metrics.reset()
    metrics.update(*predictions[:3])
    return {name: float(value) for name, value in metrics.compute().items()}


def measure_faces(task: Task, dataset: FaceDataset) -> pd.DataFrame:
    """Return the :func:`face_table` of a task's predictions, in the dataset's order."""
    return face_table(dataset.faces, predict(TaskModel(task), plain_batches(dataset))[0])


def face_table(
    faces: Sequence[Face],
    predictions: Predictions,
    norm: str | None = None,
    pair: tuple[int, int] | None = None,
) -> pd.DataFrame:
    """Return a table with a row per face.

    Columns: ``photo``, the file; a column for each tag; ``mse``, the mean squared error per coordinate, in
    the course's units (ratios of the photo); ``mae_px``, the mean absolute error per coordinate, and
    ``error_px``, the mean distance per point, in pixels of the photo; with a ``norm``, ``nme``;
    ``confidence``, the mean over points, if the model has one; ``group``; then ``truth_x0, truth_y0, …`` and
    ``predicted_x0, …``, in pixels of the photo; if a point is hidden, ``truth_v0, …``, COCO's states of the
    true points. Errors are over the labelled points; the truth of the others is empty.

    Args:
        faces: the N faces.
        predictions: predictions for these faces.
        norm: length that errors are divided by, see :func:`keypoints.tasks.metrics.evaluation_metrics`;
            ``None`` for no column ``nme``.
        pair: indices of the normalising points, for the norm ``"pair"``.
    """
    true, predicted = (
        points.numpy().astype(np.float64) for points in (predictions.truth, predictions.predicted)
    )
    errors = predicted - true
    known = are_labelled(true)
    tags = dict.fromkeys(tag for face in faces for tag in face.tags)
    columns = {
        "photo": [str(face.photo.path) for face in faces],
        **{tag: [face.tags.get(tag) for face in faces] for tag in tags},
        "mse": over_labelled(
            np.square(errors / predictions.photo_sizes.numpy()[:, None]), known, axis=(1, 2)
        ),
        "mae_px": over_labelled(np.abs(errors), known, axis=(1, 2)),
        "error_px": over_labelled(np.linalg.norm(errors, axis=2), known, axis=1),
    }
    if norm is not None:
        columns["nme"] = normalized_mean_error(*predictions[:3], norm=norm, pair=pair).numpy()
    if predictions.confidence is not None:
        columns["confidence"] = predictions.confidence.mean(dim=1).numpy()
    columns["group"] = [str(face.group) for face in faces]
    for kind, points in (("truth", true), ("predicted", predicted)):
        for index in range(points.shape[1]):
            columns[f"{kind}_x{index}"] = points[:, index, 0]
            columns[f"{kind}_y{index}"] = points[:, index, 1]
    if predictions.hidden is not None:
        states = np.where(predictions.hidden.numpy(), HIDDEN, np.where(known, VISIBLE, UNLABELLED))
        columns |= {f"truth_v{index}": states[:, index] for index in range(states.shape[1])}
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class ConfidenceGroup:
    """Group of points with similar confidence, from all faces.

    Args:
        confidence: mean confidence, from 0 to 1.
        nme: mean distance per point, divided by the face's scale.
        points: number of points.
    """

    confidence: float
    nme: float
    points: int


def by_confidence(
    predictions: Predictions,
    norm: str,
    pair: tuple[int, int] | None,
    groups: int = 10,
    *,
    within_landmarks: bool = False,
) -> list[ConfidenceGroup]:
    """Return the mean errors of points in groups of similar confidence.

    Some landmarks are less certain than others, and also less accurate. ``within_landmarks`` leaves that
    out: then each group has the same share of each landmark's points.

    Args:
        predictions: predictions for all faces.
        norm: length that errors are divided by, see :func:`keypoints.tasks.metrics.evaluation_metrics`.
        pair: indices of the normalising points, for the norm ``"pair"``.
        groups: number of groups; all have about the same number of points.
        within_landmarks: sort the points of each landmark by themselves.

    Returns:
        The groups, the least confident first; empty if the model has no confidence.
    """
    predicted, truth, sizes, confidence, _ = predictions
    if confidence is None:
        return []
    errors = (predicted - truth).square().sum(dim=-1).sqrt() / face_scale(truth, sizes, norm, pair)[:, None]
    known = truth.isfinite().all(dim=-1) & face_scale(truth, sizes, norm, pair).isfinite()[:, None]
    groups = min(groups, int(known.sum()))
    sorted_ones = confidence if within_landmarks else confidence.flatten()[:, None]
    places = _places(sorted_ones, known, groups).view_as(known)
    parts = [places == group for group in range(groups)]
    return [
        ConfidenceGroup(float(confidence[part].mean()), float(errors[part].mean()), int(part.sum()))
        for part in parts
        if part.any()
    ]


def _places(values: Tensor, known: Tensor, groups: int) -> Tensor:
    """Return the group of each value, by its rank in its column: from 0 to groups - 1; -1 if it is not known.

    Args:
        values: (N, K).
        known: flags of as many values.
        groups: number of groups.
    """
    known = known.view_as(values)
    ranks = values.masked_fill(~known, torch.inf).argsort(dim=0).argsort(dim=0)
    return torch.where(known, ranks * groups // known.sum(dim=0).clamp_min(1), -1)
