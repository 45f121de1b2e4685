"""Metrics, as torchmetrics classes. Their inputs are pixels of the original photo.

Each is updated with ``predictions`` (B, K, 2), ``truth`` (B, K, 2) and ``photo_sizes`` (B, 2).
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class CourseMSE(Metric):
    """Mean squared error in the course's units: over x / width and y / height of the photo.

    The mean is over all coordinates of all faces, so x and y count alike and a point has two.
    """

    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> None:
        """Count a batch in."""
        errors = (predictions - truth) / photo_sizes[:, None]
        self.total += errors.square().sum()
        self.count += errors.numel()

    def compute(self) -> Tensor:
        """The mean so far."""
        return self.total / self.count


class PixelMAE(Metric):
    """Mean absolute error over all x and y, in pixels of the photo: the course's Kaggle score."""

    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> None:  # noqa: ARG002
        """Count a batch in."""
        errors = (predictions - truth).abs()
        self.total += errors.sum()
        self.count += errors.numel()

    def compute(self) -> Tensor:
        """The mean so far."""
        return self.total / self.count


class VarianceRatio(Metric):
    """How much the predictions vary from face to face, over how much the truth does.

    Variances of each coordinate as a ratio of the photo, summed over coordinates. A network that
    predicts the mean face for everyone has 0; one that follows the faces is near 1.
    """

    higher_is_better = True
    full_state_update = False
    predictions: list[Tensor]
    truth: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("predictions", [], dist_reduce_fx="cat")
        self.add_state("truth", [], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> None:
        """Count a batch in."""
        self.predictions.append(predictions / photo_sizes[:, None])
        self.truth.append(truth / photo_sizes[:, None])

    def compute(self) -> Tensor:
        """The ratio so far."""
        return _spread(self.predictions) / _spread(self.truth)


def _spread(parts: list[Tensor] | Tensor) -> Tensor:
    """The variance over faces, summed over coordinates; ``parts`` is one tensor after a reduction."""
    points = torch.cat(list(parts)) if isinstance(parts, list) else parts
    return points.var(dim=0, correction=0).sum()
