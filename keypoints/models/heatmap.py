"""Heatmap network (one heatmap for each landmark), and functions that make and decode heatmaps.

The softmax of a heatmap is a distribution over the image's cells and over the heatmap padding around them.

To add another heatmap network, subclass :class:`HeatmapModule` in a new file of this package, and reference
it as ``net`` in ``conf/model/<name>.yaml``.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from keypoints.components import Component, build, configure
from keypoints.models.encoders import ConvEncoder, Encoder
from keypoints.models.layers import CoordinateConvolution, convolution


class HeatmapModule(nn.Module, ABC):
    """Base class of the networks with one heatmap for each landmark.

    Their constructors take ``input_size`` (width, height), ``in_channels``, ``landmarks`` and their own
    settings.

    Attributes:
        heatmap_padding: cells by which the heatmaps extend beyond each edge of the image.
    """

    heatmap_padding: int

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) images to the heatmaps' logits, (B, K, h, w), in full precision."""


class HeatmapNet(HeatmapModule):
    """Encoder, feature pyramid on top of it, and one heatmap for each landmark.

    The encoder downsamples the image repeatedly; the pyramid upsamples its features to the resolution of
    the heatmaps. Direct regression has to learn each position separately; a convolution localises a point
    at any position.

    T.-Y. Lin et al., Feature pyramid networks for object detection, CVPR 2017 (the pyramid).

    Args:
        input_size: width and height of the images, in pixels.
        in_channels: channels of the images.
        landmarks: number of landmarks, K.
        encoder: component that builds an :class:`~keypoints.models.encoders.Encoder`; ``None`` means a small
            :class:`~keypoints.models.encoders.ConvEncoder`.
        width: channels of the pyramid.
        level: encoder level whose size the heatmaps have; 2 is a quarter of the input's sides.
        heatmap_padding: cells by which the heatmaps extend beyond each edge of the image, so that points
            there can be predicted and points near the edge are not biased inwards.

    Raises:
        ConfigError: if the encoder cannot be built.
        ValueError: if the encoder has no such level, or a number is too small.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        in_channels: int,
        landmarks: int,
        encoder: Component | None = None,
        width: int = 64,
        level: int = 2,
        heatmap_padding: int = 1,
    ) -> None:
        super().__init__()
        if width < 1 or heatmap_padding < 0:
            raise ValueError("width is a whole number from 1 up, heatmap_padding from 0 up")
        self.encoder = build(
            encoder or configure(ConvEncoder), Encoder, input_size=input_size, in_channels=in_channels
        )
        levels = [number for number in self.encoder.channels if number >= level]
        if level not in levels:
            known = ", ".join(map(str, self.encoder.channels))
            raise ValueError(f"the encoder's levels are {known}, so level is one of them, not {level}")
        self.lateral = nn.ModuleDict(
            {str(number): nn.Conv2d(self.encoder.channels[number], width, 1) for number in levels}
        )
        self.merge = nn.ModuleDict({str(number): convolution(width, width) for number in levels[:-1]})
        self.maps = CoordinateConvolution(width, landmarks, 1)
        self.heatmap_padding = heatmap_padding

    def forward(self, images: Tensor) -> Tensor:
        """Map images to heatmaps as described in :meth:`HeatmapModule.forward`."""
        levels = self.encoder(images)
        numbers = sorted(map(int, self.lateral), reverse=True)
        merged: Tensor = self.lateral[str(numbers[0])](levels[numbers[0]])
        for number in numbers[1:]:
            beside = self.lateral[str(number)](levels[number])
            merged = functional.interpolate(
                merged, size=beside.shape[-2:], mode="bilinear", align_corners=False
            )
            merged = self.merge[str(number)](merged + beside)
        merged = functional.pad(merged, [self.heatmap_padding] * 4, mode="replicate")
        maps: Tensor = self.maps(merged)
        return maps


def soft_argmax(maps: Tensor, padding: int = 0) -> Tensor:
    """Return the mean position of each heatmap's softmax: with subpixel precision, and differentiable.

    X. Sun et al., Integral human pose regression, ECCV 2018.

    Args:
        maps: (B, K, h, w) logits; computed in full precision, since 16 bits would be off by pixels.
        padding: heatmap padding, in cells: the maps extend beyond each edge of the image by as many.

    Returns:
        (B, K, 2) ratios of the image's width and height, x and y; 0 and 1 are its edges.
    """
    return mean_positions(heatmap_shares(maps), padding)


def heatmap_shares(maps: Tensor) -> Tensor:
    """Return the softmax of each heatmap over its cells, in full precision.

    Args:
        maps: (B, K, h, w) logits.

    Returns:
        (B, K, h, w) shares; those of a heatmap have the sum 1.
    """
    return maps.flatten(2).float().softmax(-1).view(maps.shape)


def mean_positions(shares: Tensor, padding: int = 0) -> Tensor:
    """Return the mean position of each heatmap's shares, as :func:`soft_argmax` does for logits.

    Args:
        shares: (B, K, h, w) shares of the cells.
        padding: heatmap padding, in cells.

    Returns:
        (B, K, 2) ratios of the image's width and height, x and y.
    """
    x, y = _centres(shares, padding)
    return torch.stack([(shares.sum(-2) * x).sum(-1), (shares.sum(-1) * y).sum(-1)], dim=-1)


def gaussian_maps(points: Tensor, maps: Tensor, sigma: float, padding: int = 0) -> tuple[Tensor, Tensor]:
    """Return target heatmaps, Gaussians with a peak of 1, as the logarithms of their two factors.

    Args:
        points: (B, K, 2) ratios of the image, inside or outside the heatmaps.
        maps: (B, K, h, w); only its size and device are used.
        sigma: standard deviation of the Gaussians, in cells.
        padding: heatmap padding, in cells.

    Returns:
        (B, K, w) across and (B, K, h) down; their sum is the logarithm of the (B, K, h, w) heatmaps.
    """
    across, down = _offsets(points.float(), maps, padding)
    return -across.square() / (2 * sigma**2), -down.square() / (2 * sigma**2)


def share_near(shares: Tensor, points: Tensor, radius: float, padding: int = 0) -> Tensor:
    """Return the share of each heatmap that lies near a point.

    Args:
        shares: (B, K, h, w) shares of the cells, see :func:`heatmap_shares`.
        points: (B, K, 2) ratios of the image.
        radius: largest distance from the point, in cells.
        padding: heatmap padding, in cells.

    Returns:
        (B, K) shares from 0 to 1.
    """
    across, down = _offsets(points, shares, padding)
    near = across.square()[..., None, :] + down.square()[..., None] <= radius**2
    return (shares * near).sum((-2, -1))


def _centres(maps: Tensor, padding: int) -> tuple[Tensor, Tensor]:
    """Return the cells' centres, x (w,) and y (h,), in ratios of the image."""
    height, width = maps.shape[-2:]
    x = (torch.arange(width, device=maps.device) + 0.5 - padding) / (width - 2 * padding)
    y = (torch.arange(height, device=maps.device) + 0.5 - padding) / (height - 2 * padding)
    return x, y


def _offsets(points: Tensor, maps: Tensor, padding: int) -> tuple[Tensor, Tensor]:
    """Return the columns' and rows' offsets from each point, (B, K, w) and (B, K, h), in cells."""
    height, width = maps.shape[-2:]
    x, y = _centres(maps, padding)
    across = (x - points[..., 0, None]) * (width - 2 * padding)
    down = (y - points[..., 1, None]) * (height - 2 * padding)
    return across, down
