"""Losses that torch does not provide; the others come from ``torch.nn``.

To add a loss of coordinates, write an ``nn.Module`` here that takes predictions and targets, both (B, K, 2)
ratios of the input, and returns a scalar. Then reference it in ``conf/loss/<name>.yaml``.

To add a loss of heatmaps, write an ``nn.Module`` that takes the logarithms of the heatmaps, (B, K, h, w), and
of the target heatmaps' two factors, (B, K, w) and (B, K, h), and returns a scalar. Then set it as
``model.heatmap_loss``.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class WingLoss(nn.Module):
    """Wing loss: logarithmic for small errors, so that they have more weight than in L1 or L2.

    For an absolute error x: ``width * ln(1 + x / curvature)`` if x < ``width``, else ``x - C``, where C makes
    the loss continuous. Z.-H. Feng et al., Wing loss for robust facial landmark localisation with
    convolutional neural networks, CVPR 2018, eq. 5.

    Args:
        width: error above which the loss is L1, in ratios of the input (10 pixels of 224 are 0.045).
        curvature: smaller values make the loss steeper at 0, in ratios of the input.

    Raises:
        ValueError: if either is not positive.

    >>> WingLoss(width=0.1, curvature=0.02)(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2))
    tensor(0.)
    """

    def __init__(self, width: float = 0.045, curvature: float = 0.009) -> None:
        super().__init__()
        if width <= 0 or curvature <= 0:
            raise ValueError(f"width and curvature are positive, not {width} and {curvature}")
        self.width = width
        self.curvature = curvature
        self._offset = width - width * math.log1p(width / curvature)

    def forward(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over all coordinates.

        Args:
            predictions: (B, K, 2) ratios of the input.
            targets: (B, K, 2) ratios of the input.

        Returns:
            The loss, a scalar.
        """
        errors = (predictions - targets).abs()
        small = self.width * torch.log1p(errors / self.curvature)
        return torch.where(errors < self.width, small, errors - self._offset).mean()


class HeatmapKLLoss(nn.Module):
    """Kullback-Leibler divergence of each heatmap from its target heatmap, both normalised to sum 1.

    ``sum(q * ln(q / p))`` over the cells of a heatmap, where p is its softmax and q the target's: each
    landmark has a distribution of its own.
    """

    def forward(self, maps: Tensor, across: Tensor, down: Tensor) -> Tensor:
        """Return the mean over all landmarks, in nats.

        Args:
            maps: (B, K, h, w) logits of the heatmaps.
            across: (B, K, w) logarithms of the target heatmaps' horizontal factor.
            down: (B, K, h) logarithms of the target heatmaps' vertical factor.

        Returns:
            The loss, a scalar.
        """
        across, down = across.log_softmax(-1), down.log_softmax(-1)
        # The target is a product of two factors, so the mean of the logits under it needs no (h, w) target.
        with torch.autocast(maps.device.type, enabled=False):
            rows = (maps.float() @ across.exp()[..., None])[..., 0]
        expected = (rows * down.exp()).sum(-1) - maps.flatten(2).float().logsumexp(-1)
        entropy = -(across.exp() * across).sum(-1) - (down.exp() * down).sum(-1)
        return -(expected + entropy).mean()


class AdaptiveWingLoss(nn.Module):
    """Adaptive Wing loss on the heatmaps' values: logarithmic near peaks, quadratic in the background.

    For a target value y from 0 to 1, an absolute error x and p = ``alpha`` - y:
    ``omega * ln(1 + (x / epsilon)^p)`` if x < ``theta``, else ``A * x - C``, where A and C make the loss
    smooth. X. Wang et al., Adaptive Wing loss for robust face alignment via heatmap regression, ICCV 2019,
    eq. 3 and 4; eq. 5: cells near the point have ``1 + emphasis`` times the weight.

    Args:
        omega: scale of the loss.
        theta: error above which the loss is linear.
        epsilon: curvature of the logarithmic part; smaller values make it steeper near 0.
        alpha: exponent for a target value of 0.
        emphasis: additional weight of the cells near the point.

    Raises:
        ValueError: if ``omega``, ``theta`` or ``epsilon`` is not positive, ``alpha`` is not above 1, or
            ``emphasis`` is negative.
    """

    def __init__(
        self,
        omega: float = 14.0,
        theta: float = 0.5,
        epsilon: float = 1.0,
        alpha: float = 2.1,
        emphasis: float = 10.0,
    ) -> None:
        super().__init__()
        if min(omega, theta, epsilon) <= 0 or alpha <= 1 or emphasis < 0:
            raise ValueError("omega, theta and epsilon are above 0, alpha above 1, emphasis from 0 up")
        self._omega, self._theta, self._epsilon, self._alpha = omega, theta, epsilon, alpha
        self._emphasis = emphasis

    def forward(self, maps: Tensor, across: Tensor, down: Tensor) -> Tensor:
        """Return the mean over all cells.

        Args:
            maps: (B, K, h, w) logarithms of the heatmaps' values.
            across: (B, K, w) logarithms of the target heatmaps' horizontal factor.
            down: (B, K, h) logarithms of the target heatmaps' vertical factor.

        Returns:
            The loss, a scalar.
        """
        heights = across.exp()[..., None, :] * down.exp()[..., None]
        errors = (maps.float().clamp(max=_HIGHEST).exp() - heights).abs()
        power = self._alpha - heights
        ratio = self._theta / self._epsilon
        slope = self._omega * power * ratio ** (power - 1) / (1 + ratio**power) / self._epsilon
        offset = self._theta * slope - self._omega * torch.log1p(ratio**power)
        # The slope of a power below 1 is infinite at 0, so the base is never exactly 0.
        curved = self._omega * torch.log1p(((errors + _TINY) / self._epsilon) ** power)
        losses = torch.where(errors < self._theta, curved, slope * errors - offset)
        near = functional.max_pool2d(heights, 3, 1, 1) >= _NEAR
        return (losses * (1 + self._emphasis * near)).mean()


_HIGHEST = 2.0
"""Largest logarithm of a heatmap's value; an untrained network's values could overflow otherwise."""
_TINY = 1e-12
_NEAR = 0.2
"""Target value from which cells, and their neighbours, get the additional weight."""
