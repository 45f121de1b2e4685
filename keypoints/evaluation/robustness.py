"""Robustness of a model: errors on faces with worse boxes, fewer pixels, blur, rotation and darkness.

A worse box is cropped from the photo like any other box; outside the photo, its border is repeated, as in
prediction. The other changes are made on a canvas around the input, by the code that augments training faces.
In both cases the exact map back to the photo is known, so errors are in pixels of the photo.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import albumentations
import numpy as np
import pandas as pd
from torch import Tensor
from torch.utils.data import default_collate

from keypoints.crop import Crop
from keypoints.data.augmentation import Augmentation
from keypoints.data.augmentation_transforms import LowResolution
from keypoints.data.dataset import Batch, FaceDataset
from keypoints.data.face import Face
from keypoints.errors import ConfigError
from keypoints.evaluation.per_face import BATCH, predict, score
from keypoints.geometry import Box
from keypoints.inference.model import Model
from keypoints.tasks.metrics import evaluation_metrics

_CONTEXT = 1.7
"""Side of the canvas divided by the side of the input: enough for a rotation by 45°."""


class OtherBox(NamedTuple):
    """Change of a face's box: a shift by fractions of its sides, then a scaling about its centre."""

    across: float = 0.0
    down: float = 0.0
    factor: float = 1.0

    def of(self, face: Face, crop: Crop) -> Face:
        """Return the face with the changed region as its box, to be cropped with margin 1."""
        region = crop.region(face.photo.size, face.box)
        moved = Box(
            region.left + self.across * region.width,
            region.top + self.down * region.height,
            region.width,
            region.height,
        )
        return replace(face, box=moved.resized(self.factor * region.width, self.factor * region.height))


Change = OtherBox | Augmentation


@dataclass(frozen=True)
class Stress:
    """One kind of change that makes inputs worse.

    Args:
        title: name in figures.
        axis: description of the levels in figures, with their unit.
        levels: severities; the first changes nothing.
        changes: function that returns the changes of a level; errors are averaged over them.
    """

    title: str
    axis: str
    levels: tuple[float, ...]
    changes: Callable[[float], list[Change]]


def _augmentation(transform: Any) -> Change:
    return Augmentation({"stress": transform}, context=_CONTEXT)


STRESSES = {
    "shift": Stress(
        "box shifted",
        "shift, share of the box's side",
        (0, 0.05, 0.1, 0.15, 0.2, 0.3),
        lambda share: [OtherBox(x, y) for x, y in ((share, 0), (-share, 0), (0, share), (0, -share))],
    ),
    "scale": Stress(
        "box scaled",
        "box, times its side",
        (1, 0.7, 0.8, 0.9, 1.1, 1.25, 1.5, 2),
        lambda factor: [OtherBox(factor=factor)],
    ),
    "resolution": Stress(
        "lower resolution",
        "pixels, share of the input's width",
        (1, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1),
        lambda share: [_augmentation(LowResolution((share, share), p=1))],
    ),
    "blur": Stress(
        "blur",
        "σ in pixels of the input",
        (0, 0.5, 1, 2, 3, 4, 6, 8),
        lambda sigma: [
            _augmentation(albumentations.GaussianBlur(blur_limit=0, sigma_limit=(sigma, sigma), p=1))
        ],
    ),
    "rotation": Stress(
        "rotation",
        "degrees, either way",
        (0, 5, 10, 15, 20, 30, 45),
        lambda angle: [
            _augmentation(albumentations.Affine(rotate=(turn, turn), border_mode=1, p=1))
            for turn in (angle, -angle)
        ],
    ),
    "darkness": Stress(
        "darkening",
        "light, share of the original",
        (1, 0.8, 0.6, 0.4, 0.2, 0.1),
        lambda share: [_augmentation(albumentations.MultiplicativeNoise(multiplier=(share, share), p=1))],
    ),
}
"""Kinds of stress by their names in tables."""


class StressedFaces:
    """Faces whose inputs can be made worse.

    Args:
        faces: faces, all with points.
        landmarks: indices of the face's points that are the targets.
        crop: conversion from photo to network input.
    """

    def __init__(self, faces: Sequence[Face], landmarks: Sequence[int], crop: Crop) -> None:
        self._faces = faces
        self._landmarks = landmarks
        self._crop = crop
        canvas = Augmentation({}, context=_CONTEXT)
        self._canvases = FaceDataset(faces, landmarks, crop, augmentation=canvas)

    def __len__(self) -> int:
        return len(self._faces)

    def batches(self, change: Change, indices: Sequence[int] | None = None) -> Iterator[Batch]:
        """Yield the faces in batches, with their inputs changed.

        Args:
            change: change of all inputs.
            indices: indices of the faces; ``None`` for all.

        Raises:
            ConfigError: if the change leaves no exact map back to the photo.
        """
        chosen = range(len(self)) if indices is None else indices
        for start in range(0, len(chosen), BATCH):
            batch: Batch = default_collate(self._samples(change, chosen[start : start + BATCH]))
            if bool(batch.to_photo.isnan().any()):
                raise ConfigError("a stress must have an exact map back to the photo; this one does not")
            yield batch

    def _samples(self, change: Change, indices: Sequence[int]) -> list[Batch]:
        if isinstance(change, Augmentation):
            changed = self._canvases.augmented_by(change)
            return [changed[0, index] for index in indices]
        crop = replace(self._crop, source="box", margin=1.0)
        faces = [change.of(self._faces[index], self._crop) for index in indices]
        reframed = FaceDataset(faces, self._landmarks, crop)
        return [reframed.plain(place) for place in range(len(faces))]


def changes(name: str, level: float) -> list[Change]:
    """Return the changes of a level of a stress; at the first level, the unchanged box."""
    kind = STRESSES[name]
    return [OtherBox()] if level == kind.levels[0] else kind.changes(level)


def stress(
    model: Model,
    faces: StressedFaces,
    mean: Tensor | None,
    norm: str,
    threshold: float,
    progress: Callable[[Sequence[tuple[str, float]]], Iterable[tuple[str, float]]] = iter,
) -> pd.DataFrame:
    """Return the metrics of a model, and the NME of the mean-shape baseline, under each stress.

    Args:
        model: model from a checkpoint or an ONNX file.
        faces: faces to measure on.
        mean: mean of the training targets, (K, 2) ratios of the input; ``None`` for no baseline.
        norm: length that errors are divided by, see :func:`keypoints.tasks.metrics.evaluation_metrics`.
        threshold: largest NME that is no failure.
        progress: wrapper of the steps that shows progress.

    Returns:
        A row per stress and level: ``stress``, ``level``, the metrics, and the baseline's ``constant_nme``.

    Raises:
        ConfigError: if a change has no exact map back to the photo.
        DataError: if a changed box misses its photo.
    """
    metrics = evaluation_metrics(model.scheme, norm, threshold)
    rows = []
    for name, level in progress([(name, level) for name, kind in STRESSES.items() for level in kind.levels]):
        scores: dict[str, list[float]] = {}
        for change in changes(name, level):
            predictions, constant = predict(model, faces.batches(change), mean)
            found = score(metrics, predictions)
            if constant is not None:
                found["constant_nme"] = score(metrics, constant)["nme"]
            for metric, value in found.items():
                scores.setdefault(metric, []).append(value)
        average = {metric: sum(values) / len(values) for metric, values in scores.items()}
        rows.append({"stress": name, "level": level, **average})
    return pd.DataFrame(rows)


def tolerances(table: pd.DataFrame, factor: float = 1.5) -> list[str]:
    """Return a sentence for each stress: the level at which the NME is ``factor`` times as large as without.

    Levels are interpolated between the measured ones. If no face has an NME, one sentence says so.

    Args:
        table: result of :func:`stress`.
        factor: increase of the NME to find, above 1.
    """
    if not np.isfinite(table["nme"]).any():
        return ["No face has an NME, so no level is compared; take another length: norm=diagonal."]
    sentences = []
    for name, kind in STRESSES.items():
        rows = table[table["stress"] == name].sort_values("level")
        start = kind.levels[0]
        limit = factor * float(rows.loc[rows["level"] == start, "nme"].iloc[0])
        found = [
            f"{level:.2g}"
            for side in (rows[rows["level"] >= start], rows[rows["level"] <= start].iloc[::-1])
            if (level := _crossing(side["level"].tolist(), side["nme"].tolist(), limit)) is not None
        ]
        where = f"from {' and '.join(found)} on" if found else "at no level that was tried"
        sentences.append(f"{kind.title}: errors are {factor:g} times as large {where} ({kind.axis}).")
    return sentences


def _crossing(levels: Sequence[float], errors: Sequence[float], limit: float) -> float | None:
    """Return the interpolated level at which errors first exceed ``limit``; the first error is below it."""
    for place in range(1, len(levels)):
        if errors[place] > limit:
            part = (limit - errors[place - 1]) / (errors[place] - errors[place - 1])
            return levels[place - 1] + part * (levels[place] - levels[place - 1])
    return None
