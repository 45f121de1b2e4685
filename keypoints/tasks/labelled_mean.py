"""Losses over the labelled points only; without missing points a loss is called as it is.

A loss is the mean over all points that it is given. With missing points it becomes the mean over the labelled
points of the global batch: over the processes of a distributed training together.
"""

import torch
from torch import Tensor, nn

from keypoints.errors import ConfigError


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

    Raises:
        ConfigError: if the loss does not return one number.
    """
    if count is None:
        return _checked(loss, loss(predictions, targets))
    flags = labelled[..., None]
    value = _checked(loss, loss(torch.where(flags, predictions, 0.0), torch.where(flags, targets, 0.0)))
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

    Raises:
        ConfigError: if the loss does not return one number.
    """
    if count is None:
        return _checked(loss, loss(maps, *wanted))
    own = int(labelled.sum())
    if own == 0:
        return maps.sum() * 0.0
    value = _checked(loss, loss(maps[labelled][None], *(factor[labelled][None] for factor in wanted)))
    return value * (own / _at_least_some(count))


def _checked(loss: nn.Module, value: Tensor) -> Tensor:
    """Return the value of a loss.

    Raises:
        ConfigError: if it is not one number.
    """
    if not isinstance(value, Tensor) or value.numel() != 1:
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"type {type(value).__name__}"
        raise ConfigError(
            f"the loss {type(loss).__name__} gives a value of {what}; a loss is one number, a tensor: take "
            "the mean over all points (reduction=mean)"
        )
    return value


def _at_least_some(count: Tensor) -> Tensor:
    """Return the count, or 1 if it is 0."""
    return torch.where(count > 0, count, 1.0)
