"""A loss of coordinates with an exponent of its own."""

import torch
from torch import Tensor, nn


class GeneralCharbonnierLoss(nn.Module):
    """Charbonnier loss: like L1 for large errors, smooth at 0.

    For an error x: ``(x² + epsilon²)^power - epsilon^(2 · power)``, which is 0 without an error.
    P. Charbonnier et al., Two deterministic half-quadratic regularization algorithms for computed
    imaging, ICIP 1994.

    Args:
        epsilon: error below which the loss is about quadratic, in ratios of the input.
        power: 0.5 for L1's growth; smaller values give large errors less weight.

    Raises:
        ValueError: if either is not positive.
    """

    def __init__(self, epsilon: float = 0.01, power: float = 0.5) -> None:
        super().__init__()
        if epsilon <= 0 or power <= 0:
            raise ValueError(f"epsilon and power are positive, not {epsilon} and {power}")
        self.epsilon = epsilon
        self.power = power

    def forward(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over all coordinates.

        Args:
            predictions: (B, K, 2) ratios of the input.
            targets: (B, K, 2) ratios of the input.

        Returns:
            The loss, a scalar.
        """
        squared = torch.square(predictions - targets) + self.epsilon**2
        return (squared.pow(self.power) - self.epsilon ** (2 * self.power)).mean()
