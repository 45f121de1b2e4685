"""Layers that several networks are made of."""

import torch
from torch import Tensor, nn

_GROUP = 8
"""Channels that share a mean and a variance under group normalisation, about."""


def normalization_layer(kind: str, channels: int) -> list[nn.Module]:
    """The layer that normalises ``channels``: none or one of them, to be put after a convolution.

    Raises:
        ValueError: if ``kind`` is not ``"batch"``, ``"group"`` or ``"none"``.
    """
    if kind == "none":
        return []
    if kind == "batch":
        return [nn.BatchNorm2d(channels)]
    if kind == "group":
        groups = next(groups for groups in range(max(1, channels // _GROUP), 0, -1) if channels % groups == 0)
        return [nn.GroupNorm(groups, channels)]
    raise ValueError(f"normalization is 'batch', 'group' or 'none', not {kind!r}")


def convolution(
    in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, normalization: str = "batch"
) -> nn.Sequential:
    """A padded convolution with normalisation and ReLU; stride 1 keeps width and height."""
    normalized = normalization_layer(normalization, out_channels)
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=not normalized
    )
    return nn.Sequential(conv, *normalized, nn.ReLU())


class CoordinateConvolution(nn.Conv2d):
    """A convolution that gives coordinates: always in full precision, as :class:`CoordinateLayer`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """As torch's, in float32 where mixed precision would take less."""
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


class CoordinateLayer(nn.Linear):
    """A linear layer that gives coordinates: always in full precision.

    A number of 16 bits (bfloat16) near 0.8 is off by up to 0.002, which is half a pixel of 224.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """As torch's, in float32 where mixed precision would take less."""
        kind = input.device.type
        if not torch.is_autocast_enabled(kind):
            return super().forward(input)
        with torch.autocast(kind, enabled=False):
            return super().forward(input.float())
