"""What spoils a model: the same faces with worse boxes, fewer pixels, blur, rotation and darkness.

Each picture is changed on the canvas round the input, by the routine that augments training faces,
so the exact map back to the photo is known and errors stay in its pixels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import albumentations
import pandas as pd
from torch import Tensor
from torch.utils.data import default_collate

from keypoints.augmentation import Augmentation
from keypoints.datamodules.base import Batch, FaceDataset
from keypoints.errors import ConfigError
from keypoints.measure import BATCH, constant_predictor, predict, score
from keypoints.metrics import evaluation_metrics
from keypoints.tasks.base import Task
from keypoints.transforms import LowResolution

CONTEXT = 2.4
"""Sides of the canvas over sides of the input: so much of the photo is there for worse boxes."""


@dataclass(frozen=True)
class Stress:
    """One way of making pictures worse.

    Args:
        title, axis: what figures call it and its levels.
        levels: how bad; the first changes nothing.
        changes: the transforms of a level, of which the errors are averaged.
    """

    title: str
    axis: str
    levels: tuple[float, ...]
    changes: Callable[[float], list[Any]]


def _moved(**settings: Any) -> Any:
    return albumentations.Affine(border_mode=1, p=1, **settings)


def _shifted(share: float) -> list[Any]:
    """The input moved by a share of its sides: left, right, up, down."""
    step = share / CONTEXT
    return [
        _moved(translate_percent={"x": (x, x), "y": (y, y)})
        for x, y in ((step, 0.0), (-step, 0.0), (0.0, step), (0.0, -step))
    ]


STRESSES = {
    "shift": Stress(
        "box shifted", "shift, share of the input's side", (0, 0.05, 0.1, 0.15, 0.2, 0.3), _shifted
    ),
    "scale": Stress(
        "box scaled",
        "box, times its side",
        (1, 0.7, 0.8, 0.9, 1.1, 1.25, 1.5, 2),
        lambda factor: [_moved(scale=(1 / factor, 1 / factor), keep_ratio=True)],
    ),
    "resolution": Stress(
        "lower resolution",
        "pixels, share of the input's width",
        (1, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1),
        lambda share: [LowResolution((share, share), p=1)],
    ),
    "blur": Stress(
        "blur",
        "σ in pixels of the input",
        (0, 0.5, 1, 2, 3, 4),
        lambda sigma: [albumentations.GaussianBlur(blur_limit=0, sigma_limit=(sigma, sigma), p=1)],
    ),
    "rotation": Stress(
        "rotation",
        "degrees, either way",
        (0, 5, 10, 15, 20, 30, 45),
        lambda angle: [_moved(rotate=(turn, turn)) for turn in (angle, -angle)],
    ),
    "darkness": Stress(
        "darkening",
        "light, share of the original",
        (1, 0.8, 0.6, 0.4, 0.2, 0.1),
        lambda share: [albumentations.MultiplicativeNoise(multiplier=(share, share), p=1)],
    ),
}
"""By the name that tables call them."""


def stress(
    task: Task,
    dataset: FaceDataset,
    mean: Tensor | None,
    norm: str,
    threshold: float,
    progress: Callable[[Sequence[tuple[str, float]]], Iterable[tuple[str, float]]] = iter,
) -> pd.DataFrame:
    """The metrics of ``task`` under each stress, and the constant predictor's.

    Args:
        dataset: faces with a canvas, made with :func:`unchanged`.
        mean: the mean of the training targets, (K, 2) ratios, or nothing.
        norm, threshold: as :func:`keypoints.metrics.evaluation_metrics`.
        progress: wraps the steps to show how far it is.

    Returns:
        A row a stress and level: ``stress``, ``level``, the metrics, and ``constant_nme``.

    Raises:
        ConfigError: if a change leaves no exact map back to the photo.
    """
    metrics = evaluation_metrics(task.scheme, norm, threshold)
    rows = []
    for name, level in progress([(name, level) for name, kind in STRESSES.items() for level in kind.levels]):
        scores: dict[str, list[float]] = {}
        for change in changes(name, level):
            batches = list(_changed(dataset, change))
            found = score(metrics, predict(task, batches))
            if mean is not None:
                constant = predict(task, batches, constant_predictor(mean))
                found["constant_nme"] = score(metrics, constant)["nme"]
            for metric, value in found.items():
                scores.setdefault(metric, []).append(value)
        average = {metric: sum(values) / len(values) for metric, values in scores.items()}
        rows.append({"stress": name, "level": level, **average})
    return pd.DataFrame(rows)


def unchanged() -> Augmentation:
    """An augmentation that changes nothing, whose dataset has the canvas that stresses need."""
    return Augmentation({}, context=CONTEXT)


def changes(name: str, level: float) -> list[Augmentation]:
    """The changes that a level stands for: none at a stress's first level."""
    kind = STRESSES[name]
    if level == kind.levels[0]:
        return [unchanged()]
    return [Augmentation({name: change}, context=CONTEXT) for change in kind.changes(level)]


def _changed(dataset: FaceDataset, change: Augmentation) -> Iterator[Batch]:
    """All faces under ``change``, in batches."""
    changed = dataset.augmented_by(change)
    for start in range(0, len(changed), BATCH):
        samples = [changed[0, index] for index in range(start, min(start + BATCH, len(changed)))]
        batch: Batch = default_collate(samples)
        if bool(batch.to_photo.isnan().any()):
            raise ConfigError("a stress has to leave an exact map back to the photo, and this one does not")
        yield batch


def tolerances(table: pd.DataFrame, factor: float = 1.5) -> list[str]:
    """From which level on errors are ``factor`` times what they are without: sentences.

    Levels between those that were measured are interpolated.

    Args:
        table: as :func:`stress` gives.
    """
    said = []
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
        said.append(f"{kind.title}: errors are {factor:g} times as large {where} ({kind.axis}).")
    return said


def _crossing(levels: Sequence[float], errors: Sequence[float], limit: float) -> float | None:
    """Where the errors, the first of which is below ``limit``, first go beyond it."""
    for place in range(1, len(levels)):
        if errors[place] > limit:
            part = (limit - errors[place - 1]) / (errors[place] - errors[place - 1])
            return levels[place - 1] + part * (levels[place] - levels[place - 1])
    return None
