"""Losses on ratio coordinates that torch does not have; the others are taken from ``torch.nn``.

To add one: write it here as an ``nn.Module`` that is called with predictions and targets, both
(B, K, 2) ratios of the input, and returns a scalar; then name it in ``conf/loss/<name>.yaml``.
"""

import math

import torch
from torch import Tensor, nn


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
