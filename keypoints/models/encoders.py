"""Encoders: pictures in, feature maps of several resolutions out, each half the size of the one before."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from keypoints.errors import ConfigError, one_line
from keypoints.models.classifier import torchvision_network
from keypoints.models.layers import convolution, low_passed


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


class TorchvisionEncoder(Encoder):
    """The convolutions of any classification network of torchvision.

    Args:
        input_size: width and height of the images.
        in_channels: of the images, 1 or 3.
        name, weights, antialiased, settings: as of :class:`~keypoints.models.classifier.TorchvisionNet`.

    Raises:
        ConfigError: if there is no such network or weights, or it does not take such images.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        in_channels: int,
        name: str = "resnet18",
        weights: str | None = None,
        antialiased: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__()
        net = torchvision_network(name, in_channels, weights, **settings)
        width, height = input_size
        try:
            nodes, self.channels = _levels(net, torch.zeros(1, in_channels, height, width))
        except (RuntimeError, ValueError, AssertionError) as error:
            raise ConfigError(
                f"{name} does not take images of {width} × {height} ({one_line(error)[:120]})"
            ) from error
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
    sizes = {}
    height, width = images.shape[-2:]
    for level in range(1, min(height, width).bit_length()):
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes[torch.Size((height, width))] = level
    ends = {
        sizes[maps.shape[-2:]]: (name, maps.shape[1])
        for name, maps in everything.items()
        if isinstance(maps, Tensor) and maps.ndim == 4 and maps.shape[-2:] in sizes
    }
    ends.pop(level, None)  # what has been pooled to one pixel
    return (
        {name: str(level) for level, (name, _) in sorted(ends.items())},
        {level: channels for level, (_, channels) in sorted(ends.items())},
    )
