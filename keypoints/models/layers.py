"""Layers that several networks are made of."""

import torch
from torch import Tensor, nn
from torch.nn import functional

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


class BlurPool(nn.Module):
    """A blur by the binomial filter 1-2-1, and then every ``stride``-th pixel.

    R. Zhang, Making convolutional networks shift-invariant again, ICML 2019.
    """

    kernel: Tensor

    def __init__(self, stride: int) -> None:
        super().__init__()
        self._stride = stride
        binomial = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(binomial, binomial)[None, None], persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H / stride, W / stride), rounded up; the border is repeated."""
        channels = maps.shape[1]
        kernel = self.kernel.to(maps.dtype).expand(channels, 1, 3, 3)
        padded = functional.pad(maps, (1, 1, 1, 1), mode="replicate")
        return functional.conv2d(padded, kernel, stride=self._stride, groups=channels)


def low_passed(net: nn.Module) -> None:
    """Put a blur before each step of ``net`` that takes every second pixel, but for its first layer.

    Without, a picture moved by one pixel gives other maps, not moved ones: what is finer than the
    coarser grid aliases. A max-pooling becomes one of stride 1 and a :class:`BlurPool`; a strided
    convolution gets the blur in front, which is the same as behind, for a quarter of the arithmetic.
    """
    layers = [
        (name, layer) for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d | nn.MaxPool2d)
    ]
    for name, layer in layers[1:]:
        stride = layer.stride if isinstance(layer.stride, int) else layer.stride[0]
        if stride == 1:
            continue
        if isinstance(layer, nn.MaxPool2d):
            dense = nn.MaxPool2d(layer.kernel_size, 1, layer.padding, layer.dilation)
            net.set_submodule(name, nn.Sequential(dense, BlurPool(stride)))
        else:
            net.set_submodule(name, nn.Sequential(BlurPool(1), layer))


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
