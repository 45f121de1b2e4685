"""Encoders: networks that map images to feature maps at several levels, each half the previous size."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from keypoints.errors import ConfigError, one_line
from keypoints.models.layers import convolution, low_passed
from keypoints.models.pretrained import is_blank
from keypoints.models.torchvision import torchvision_network


class Encoder(nn.Module, ABC):
    """Base class of the encoders.

    Attributes:
        channels: channels of the feature maps, by level. Level 1 has half the input's width and height,
            rounded up; each further level has half the size of the previous one.
    """

    channels: Mapping[int, int]

    @abstractmethod
    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Map (B, C, H, W) images to feature maps by level, (B, channels, height, width), finest first."""


class ConvEncoder(Encoder):
    """Encoder of strided convolutions, each but the first followed by convolutions of stride 1.

    Args:
        input_size: width and height of the images, in pixels.
        in_channels: channels of the images.
        channels: channels of each level, from level 1 on.
        depth: convolutions of stride 1 in each level but the first.
        first_kernel: side of the first layer's filters.
        normalization: layer after each convolution: ``"batch"``, ``"group"`` or ``"none"``.
        antialiased: blur before each downsampling layer but the first, see
            :func:`~keypoints.models.layers.low_passed`.

    Raises:
        ValueError: if a number is too small, or the images are too small for that many levels.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        in_channels: int,
        channels: Sequence[int] = (16, 32, 64, 96, 128),
        depth: int = 1,
        first_kernel: int = 7,
        normalization: str = "batch",
        antialiased: bool = False,
    ) -> None:
        super().__init__()
        if not channels or min(*channels, first_kernel) < 1 or depth < 0:
            raise ValueError("channels and first_kernel are whole numbers from 1 up, depth from 0 up")
        if min(input_size) < 2 ** len(channels):
            raise ValueError(
                f"{len(channels)} levels halve the input of {input_size[0]} × {input_size[1]} to nothing: "
                f"its sides have to be {2 ** len(channels)} or more; take fewer channels or a larger input"
            )
        self.channels = dict(enumerate(channels, 1))
        self.levels = nn.ModuleList([convolution(in_channels, channels[0], first_kernel, 2, normalization)])
        for before, after in pairwise(channels):
            plain = [convolution(after, after, 3, 1, normalization) for _ in range(depth)]
            self.levels.append(nn.Sequential(convolution(before, after, 3, 2, normalization), *plain))
        if antialiased:
            low_passed(self.levels)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Encode images as described in :meth:`Encoder.forward`."""
        maps = {}
        for number, level in enumerate(self.levels, 1):
            images = level(images)
            maps[number] = images
        return maps


_WORKING = "resnet18, mobilenet_v3_small, efficientnet_b0, densenet121 or convnext_tiny"


class TorchvisionEncoder(Encoder):
    """Encoder made of all layers of a torchvision classification network that precede its classifier.

    The network must halve its feature maps repeatedly, rounding up, and keep their height and width until
    its classifier. ResNets and their relatives, MobileNet, MNASNet, EfficientNet, RegNet and ShuffleNet work
    at any input size; ConvNeXt (from level 2 on), DenseNet, GoogLeNet and VGG if both sides are multiples of
    32; MaxViT at 224 × 224. The other transformers, AlexNet, SqueezeNet and Inception do not work.

    Args:
        input_size: width and height of the images, in pixels.
        in_channels: channels of the images, 1 or 3.
        name: torchvision's name of the network, see :class:`~keypoints.models.torchvision.TorchvisionNet`.
        weights: initial weights, as for :class:`~keypoints.models.torchvision.TorchvisionNet`.
        antialiased: blur before each downsampling layer but the first, see
            :func:`~keypoints.models.layers.low_passed`.
        settings: further arguments of torchvision's constructor, such as ``dropout``.

    Raises:
        ConfigError: if the network or the weights do not exist, the network does not accept such images,
            unfit a level between its first and its last, or has further layers after its last level.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        in_channels: int,
        name: str = "resnet18",
        weights: str | Path | None = None,
        antialiased: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__()
        net = torchvision_network(name, in_channels, weights, **settings)
        width, height = input_size
        images = torch.zeros(1, in_channels, height, width)
        try:
            nodes, self.channels = _levels(net, images)
            self.net = create_feature_extractor(net, nodes)
            # No check when a checkpoint is loaded: older ones may contain networks that are refused today.
            unfit = "" if is_blank() else _why_unfit(net, self.net, images, list(self.channels))
        except (RuntimeError, ValueError, AssertionError) as error:
            raise ConfigError(
                f"{name} does not take images of {width} × {height} ({one_line(error)[:120]})"
            ) from error
        if unfit:
            raise ConfigError(
                f"{name} cannot encode images of {width} × {height}: {unfit}; {_suggestion(net, images)}"
            )
        if antialiased:
            low_passed(net)  # only now: otherwise a level would end after the blur that precedes the next one
            self.net = create_feature_extractor(net, nodes)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Encode images as described in :meth:`Encoder.forward`."""
        return {int(level): maps for level, maps in self.net(images).items()}


def _levels(net: nn.Module, images: Tensor) -> tuple[dict[str, str], dict[int, int]]:
    """Return the level that ends at each graph node of ``net``, and the channels of each level.

    A level ends with the last feature maps of its size.
    """
    _, names = get_graph_node_names(net)
    net.eval()
    with torch.no_grad():
        everything = create_feature_extractor(net, names)(images)
    net.train()
    sizes, smallest = _sizes(images)
    fixed = {name for name, layer in net.named_modules() if isinstance(layer, nn.AdaptiveAvgPool2d)}
    ends = {
        sizes[maps.shape[-2:]]: (name, maps.shape[1])
        for name, maps in everything.items()
        if isinstance(maps, Tensor) and maps.ndim == 4 and maps.shape[-2:] in sizes and name not in fixed
    }
    ends.pop(smallest, None)  # maps that are pooled to one pixel are no level
    return (
        {name: str(level) for level, (name, _) in sorted(ends.items())},
        {level: channels for level, (_, channels) in sorted(ends.items())},
    )


def _sizes(images: Tensor) -> tuple[dict[torch.Size, int], int]:
    """Return the levels by the height and width of their feature maps, and the number of the last level."""
    height, width = images.shape[-2:]
    sizes, level = {}, 0
    for level in range(1, min(height, width).bit_length()):
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes[torch.Size((height, width))] = level
    return sizes, level


def _why_unfit(net: nn.Module, encoder: nn.Module, images: Tensor, levels: Sequence[int]) -> str:
    """Return why a network cannot be an encoder; an empty string if it can.

    Args:
        net: the full network.
        encoder: the part of the network that computes the levels' feature maps.
        images: (1, C, H, W), of the input size.
        levels: numbers of the network's levels.
    """
    if not levels:
        return "none of its maps have 1/2, 1/4, … of the input's sides, rounded up"
    if left_out := _count_left_out(net, encoder, images):
        return (
            f"{left_out} of its layers come after its last maps of such a size, 1/{2 ** levels[-1]} of the "
            "input's sides, rounded up, and would be left out"
        )
    missing = sorted({*range(min(levels[0], 2), levels[-1])}.difference(levels))
    if missing:
        shares = ", ".join(f"1/{2**level}" for level in missing)
        return f"it has no maps of {shares} of the input's sides, rounded up"
    return ""


def _count_left_out(net: nn.Module, encoder: nn.Module, images: Tensor) -> int:
    """Count the layers with weights and spatial outputs that are in ``net`` but not in ``encoder``."""
    sizes, smallest = _sizes(images)
    pooled = max((size.numel() for size, level in sizes.items() if level == smallest), default=1)
    names, weights = zip(*net.named_parameters(), strict=True)
    encoder.eval()
    with torch.enable_grad():
        total = torch.stack([maps.sum() for maps in encoder(images).values()]).sum()
        slopes = torch.autograd.grad(total, weights, allow_unused=True)
    encoder.train()
    unused = (name for name, slope in zip(names, slopes, strict=True) if slope is None)
    owners = {name.rpartition(".")[0] for name in unused}
    left_out = []

    def check(layer: nn.Module, _: object, output: Tensor | tuple[Tensor, ...]) -> None:
        maps = output if isinstance(output, Tensor) else output[0]
        tokens = maps.ndim == 3  # of a transformer: (1, tokens, channels)
        places = maps.shape[1] if tokens else maps.shape[2:].numel()
        if maps.ndim > 2 and places > pooled:
            left_out.append(layer)

    hooks = [net.get_submodule(name).register_forward_hook(check) for name in owners if name]
    net.eval()
    with torch.no_grad():
        net(images)
    net.train()
    for hook in hooks:
        hook.remove()
    return len(left_out)


def _suggestion(net: nn.Module, images: Tensor) -> str:
    """Return a suggestion that replaces a network or input size that cannot be used for an encoder."""
    height, width = (-(-side // 32) * 32 for side in images.shape[-2:])
    if (height, width) != images.shape[-2:]:
        larger = images.new_zeros(*images.shape[:2], height, width)
        try:
            nodes, channels = _levels(net, larger)
            unfit = _why_unfit(net, create_feature_extractor(net, nodes), larger, list(channels))
        except (RuntimeError, ValueError, AssertionError):
            unfit = "it does not accept them"
        if not unfit:
            return (
                f"take a crop of {width} × {height}, multiples of 32, or a network that rounds up: resnet18"
            )
    return f"take {_WORKING}"
