"""Encoders: pictures in, feature maps of several resolutions out, each half the size of the one before."""

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
    """What every encoder gives.

    Attributes:
        channels: of each level's maps. Level 1 has half the input's width and height, rounded up, and
            each further level half of the one before.
    """

    channels: Mapping[int, int]

    @abstractmethod
    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """(B, C, H, W) images to the maps of each level, (B, channels, height, width), finest first."""


class ConvEncoder(Encoder):
    """Strided convolutions, each but the first followed by plain ones.

    Args:
        input_size: width and height of the images.
        in_channels: of the images.
        channels: of the levels, from level 1 on.
        depth: plain convolutions in each level but the first.
        first_kernel: side of the first layer's filters.
        normalization: ``"batch"``, ``"group"`` or ``"none"``.
        antialiased: blur before each step that halves the maps but the first, see
            :func:`~keypoints.models.layers.low_passed`.

    Raises:
        ValueError: if a number is too small, or the picture is too small for that many levels.
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
        """As :meth:`Encoder.forward`."""
        maps = {}
        for number, level in enumerate(self.levels, 1):
            images = level(images)
            maps[number] = images
        return maps


_WORKING = "resnet18, mobilenet_v3_small, efficientnet_b0, densenet121 or convnext_tiny"


class TorchvisionEncoder(Encoder):
    """The convolutions of a classification network of torchvision, all that come before its classifier.

    It has to halve the maps, rounded up, again and again, and to keep them as maps until it classifies.
    ResNets and what derives from them, MobileNet, MNASNet, EfficientNet, RegNet and ShuffleNet do so at any
    size; ConvNeXt (from level 2 on), DenseNet, GoogLeNet and VGG where the sides are multiples of 32; MaxViT
    at 224 × 224. The other transformers, AlexNet, SqueezeNet and Inception do not.

    Args:
        input_size: width and height of the images.
        in_channels: of the images, 1 or 3.
        name, weights, antialiased, settings: as of :class:`~keypoints.models.torchvision.TorchvisionNet`.

    Raises:
        ConfigError: if there is no such network or weights, it does not take such images, lacks levels
            between its first and its last, or goes on behind them.
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
            # Older checkpoints are of networks that lack something.
            lacks = "" if is_blank() else _lacks(net, self.net, images, list(self.channels))
        except (RuntimeError, ValueError, AssertionError) as error:
            raise ConfigError(
                f"{name} does not take images of {width} × {height} ({one_line(error)[:120]})"
            ) from error
        if lacks:
            raise ConfigError(
                f"{name} cannot encode images of {width} × {height}: {lacks}; {_way_out(net, images)}"
            )
        if antialiased:
            low_passed(net)  # not before: levels would end with what is blurred for the next
            self.net = create_feature_extractor(net, nodes)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """As :meth:`Encoder.forward`."""
        return {int(level): maps for level, maps in self.net(images).items()}


def _levels(net: nn.Module, images: Tensor) -> tuple[dict[str, str], dict[int, int]]:
    """Where in ``net`` each level ends, by node, and its channels.

    A level ends with the last maps of its size.
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
    ends.pop(smallest, None)  # what has been pooled to one pixel
    return (
        {name: str(level) for level, (name, _) in sorted(ends.items())},
        {level: channels for level, (_, channels) in sorted(ends.items())},
    )


def _sizes(images: Tensor) -> tuple[dict[torch.Size, int], int]:
    """The levels by the height and width of their maps, and the last of them."""
    height, width = images.shape[-2:]
    sizes, level = {}, 0
    for level in range(1, min(height, width).bit_length()):
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes[torch.Size((height, width))] = level
    return sizes, level


def _lacks(net: nn.Module, encoder: nn.Module, images: Tensor, levels: Sequence[int]) -> str:
    """What keeps a network from being an encoder; nothing if it is one.

    Args:
        net: the network.
        encoder: what of it leads to the levels' maps.
        images: (1, C, H, W) such as it is to take.
        levels: that were found.
    """
    if not levels:
        return "none of its maps have 1/2, 1/4, … of the input's sides, rounded up"
    if left_out := _left_out(net, encoder, images):
        return (
            f"{left_out} of its layers come after its last maps of such a size, 1/{2 ** levels[-1]} of the "
            "input's sides, rounded up, and would be left out"
        )
    missing = sorted({*range(min(levels[0], 2), levels[-1])}.difference(levels))
    if missing:
        shares = ", ".join(f"1/{2**level}" for level in missing)
        return f"it has no maps of {shares} of the input's sides, rounded up"
    return ""


def _left_out(net: nn.Module, encoder: nn.Module, images: Tensor) -> int:
    """How many layers with weights are in ``net`` and not in ``encoder``, though they tell places apart."""
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
    found = []

    def look(layer: nn.Module, _: object, output: Tensor | tuple[Tensor, ...]) -> None:
        maps = output if isinstance(output, Tensor) else output[0]
        tokens = maps.ndim == 3  # of a transformer: (1, tokens, channels)
        places = maps.shape[1] if tokens else maps.shape[2:].numel()
        if maps.ndim > 2 and places > pooled:
            found.append(layer)

    hooks = [net.get_submodule(name).register_forward_hook(look) for name in owners if name]
    net.eval()
    with torch.no_grad():
        net(images)
    net.train()
    for hook in hooks:
        hook.remove()
    return len(found)


def _way_out(net: nn.Module, images: Tensor) -> str:
    """What to take instead of a network that is no encoder of such images."""
    height, width = (-(-side // 32) * 32 for side in images.shape[-2:])
    if (height, width) != images.shape[-2:]:
        larger = images.new_zeros(*images.shape[:2], height, width)
        try:
            nodes, channels = _levels(net, larger)
            lacks = _lacks(net, create_feature_extractor(net, nodes), larger, list(channels))
        except (RuntimeError, ValueError, AssertionError):
            lacks = "it does not take them"
        if not lacks:
            return (
                f"take a crop of {width} × {height}, multiples of 32, or a network that rounds up: resnet18"
            )
    return f"take {_WORKING}"
