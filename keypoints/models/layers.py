"""Layers that several networks are made of."""

from torch import nn

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
