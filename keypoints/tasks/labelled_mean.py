"""Losses over the labelled points only; without missing points a loss is called as it is.

A loss is the mean over all points that it is given. With missing points it becomes the mean over the labelled
points of the global batch: over the processes of a distributed training together.
"""

import torch
from torch import Tensor, nn


def coordinate_loss(
    loss: nn.Module, predictions: Tensor, targets: Tensor, labelled: Tensor, count: Tensor | None
) -> Tensor:
    """Return the loss of coordinates; points without a label have no error and no gradient.

    Args:
        loss: takes predictions and targets, and returns a mean over all points that is 0 without errors.
        predictions: (B, K, 2) ratios of the input.
        targets: (B, K, 2) ratios of the input; NaN without a label.
        labelled: (B, K) bool flags; they are not used without a count.
        count: number of labelled points, for each process on average; ``None`` if all points are labelled.

    Returns:
        A scalar, 0 for a batch without labels.
    """
    if count is None:
        value: Tensor = loss(predictions, targets)
        return value
    flags = labelled[..., None]
    value = loss(torch.where(flags, predictions, 0.0), torch.where(flags, targets, 0.0))
    return value * (labelled.numel() / _at_least_some(count))


def heatmap_loss(
    loss: nn.Module,
    maps: Tensor,
    wanted: tuple[Tensor, Tensor],
    labelled: Tensor,
    count: Tensor | None,
) -> Tensor:
    """Return the loss of heatmaps; those of points without a label are left out.

    Args:
        loss: takes the heatmaps and the two factors of their targets, and returns a mean over the heatmaps.
        maps: (B, K, h, w) logits of the heatmaps.
        wanted: logarithms of the target heatmaps' factors, (B, K, w) and (B, K, h).
        labelled: (B, K) bool flags; they are not used without a count.
        count: number of labelled points, for each process on average; ``None`` if all points are labelled.

    Returns:
        A scalar, 0 for a batch without labels.
    """
    if count is None:
        value: Tensor = loss(maps, *wanted)
        return value
    own = int(labelled.sum())
    if own == 0:
        return maps.sum() * 0.0
    value = loss(maps[labelled][None], *(factor[labelled][None] for factor in wanted))
    return value * (own / _at_least_some(count))


def _at_least_some(count: Tensor) -> Tensor:
    """Return the count, or 1 if it is 0."""
    return torch.where(count > 0, count, 1.0)
