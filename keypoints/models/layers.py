"""Layers shared by several networks."""

import torch
from torch import Tensor, nn
from torch.nn import functional

_GROUP = 8
"""Approximate number of channels in each group of a group normalisation."""


def normalization_layer(kind: str, channels: int) -> list[nn.Module]:
    """Return the normalisation layer to put after a convolution, as a list of no or one layer.

    Args:
        kind: ``"batch"``, ``"group"`` or ``"none"``.
        channels: output channels of the convolution.

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
    """Return a padded convolution with normalisation and ReLU; stride 1 keeps width and height."""
    normalized = normalization_layer(normalization, out_channels)
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=not normalized
    )
    return nn.Sequential(conv, *normalized, nn.ReLU())


class BlurPool(nn.Module):
    """Blur with the binomial filter 1-2-1, followed by subsampling with ``stride``.

    R. Zhang, Making convolutional networks shift-invariant again, ICML 2019.
    """

    kernel: Tensor

    def __init__(self, stride: int) -> None:
        super().__init__()
        self._stride = stride
        binomial = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(binomial, binomial)[None, None], persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H / stride, W / stride), rounded up; border pixels are replicated."""
        channels = maps.shape[1]
        kernel = self.kernel.to(maps.dtype).expand(channels, 1, 3, 3)
        padded = functional.pad(maps, (1, 1, 1, 1), mode="replicate")
        return functional.conv2d(padded, kernel, stride=self._stride, groups=channels)


def low_passed(net: nn.Module) -> None:
    """Insert a blur before each downsampling layer of ``net`` but its first layer, in place.

    Without a blur, an image shifted by one pixel gives different feature maps instead of shifted ones:
    detail finer than the coarser grid aliases. A max-pooling becomes a max-pooling of stride 1 and a
    :class:`BlurPool`. A strided convolution gets the blur in front: the result is the same as a blur
    behind a convolution of stride 1, for a quarter of the arithmetic.
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
    """Convolution whose output is coordinates or heatmaps: always in full precision."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Apply the convolution in float32, also under mixed precision."""
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


class CoordinateLayer(nn.Linear):
    """Linear layer that outputs coordinates: always in full precision.

    A 16-bit number (bfloat16) near 0.8 is off by up to 0.002, which is half a pixel of 224.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Apply the linear layer in float32, also under mixed precision."""
        kind = input.device.type
        if not torch.is_autocast_enabled(kind):
            return super().forward(input)
        with torch.autocast(kind, enabled=False):
            return super().forward(input.float())
