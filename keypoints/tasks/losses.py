"""Losses that torch does not have; the others are taken from ``torch.nn``.

To add one of coordinates: write it here as an ``nn.Module`` that is called with predictions and targets,
both (B, K, 2) ratios of the input, and returns a scalar; then name it in ``conf/loss/<name>.yaml``.

To add one of maps: one that is called with the logarithms of maps, (B, K, h, w), and of the two factors of
the wanted ones, (B, K, w) and (B, K, h); then name it as ``model.heatmap_loss``.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class WingLoss(nn.Module):
    """Wing loss: logarithmic for small errors, so that they count more than under L1 or L2.

    With x an absolute error: ``width * ln(1 + x / curvature)`` for x < ``width``, else
    ``x - C``, where C joins the two. Z.-H. Feng et al., Wing loss for robust facial landmark
    localisation with convolutional neural networks, CVPR 2018, eq. 5.

    Args:
        width: where it turns into L1, in ratio units (10 pixels of a 224 input: 0.045).
        curvature: the smaller, the steeper at 0, in ratio units.

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
        """The mean over all coordinates."""
        errors = (predictions - targets).abs()
        small = self.width * torch.log1p(errors / self.curvature)
        return torch.where(errors < self.width, small, errors - self._offset).mean()


class HeatmapKLLoss(nn.Module):
    """The Kullback-Leibler divergence of each map from the wanted one, both made to sum to 1.

    ``sum(q * ln(q / p))`` over the cells of a map, with p its softmax and q the wanted one's: each
    landmark has its own distribution, which is never summed over with others.
    """

    def forward(self, maps: Tensor, across: Tensor, down: Tensor) -> Tensor:
        """The mean over all landmarks, in nats."""
        across, down = across.log_softmax(-1), down.log_softmax(-1)
        # The wanted map is a product, so that its mean of the logits needs no map of its own.
        with torch.autocast(maps.device.type, enabled=False):
            rows = (maps.float() @ across.exp()[..., None])[..., 0]
        expected = (rows * down.exp()).sum(-1) - maps.flatten(2).float().logsumexp(-1)
        entropy = -(across.exp() * across).sum(-1) - (down.exp() * down).sum(-1)
        return -(expected + entropy).mean()


class AdaptiveWingLoss(nn.Module):
    """Adaptive Wing loss on the heights of maps: logarithmic near peaks, quadratic on the ground.

    With y the wanted height, 0 to 1, x the absolute error and p = ``alpha`` - y:
    ``omega * ln(1 + (x / epsilon)^p)`` for x < ``theta``, else ``A * x - C``, where A and C join the two
    smoothly. X. Wang et al., Adaptive Wing loss for robust face alignment via heatmap regression, ICCV
    2019, eq. 3 and 4, and eq. 5: cells near the point count ``1 + emphasis`` times.

    Raises:
        ValueError: if a number is not positive, or ``alpha`` not above 1.
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
        """The mean over all cells."""
        heights = across.exp()[..., None, :] * down.exp()[..., None]
        errors = (maps.float().clamp(max=_HIGHEST).exp() - heights).abs()
        power = self._alpha - heights
        ratio = self._theta / self._epsilon
        slope = self._omega * power * ratio ** (power - 1) / (1 + ratio**power) / self._epsilon
        offset = self._theta * slope - self._omega * torch.log1p(ratio**power)
        # Beneath the root's steep end there is no finite slope, so 0 is never put in.
        curved = self._omega * torch.log1p(((errors + _TINY) / self._epsilon) ** power)
        losses = torch.where(errors < self._theta, curved, slope * errors - offset)
        near = functional.max_pool2d(heights, 3, 1, 1) >= _NEAR
        return (losses * (1 + self._emphasis * near)).mean()


_HIGHEST = 2.0
"""Logarithm of a map's height: beyond, an untrained network's would overflow."""
_TINY = 1e-12
_NEAR = 0.2
"""Height from which on, and in the cells round them, the emphasis holds."""
