"""Networks that look for each point: one map a landmark. And how maps are made and read.

A map's softmax is a distribution over the picture's cells, and over a few beyond each of its edges.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from keypoints.components import Component, build, configure
from keypoints.models.encoders import ConvEncoder, Encoder
from keypoints.models.layers import CoordinateConvolution, convolution


class HeatmapNet(nn.Module):
    """An encoder, a feature pyramid on top of it, and one map a landmark.

    The encoder halves the picture again and again; the pyramid brings what it found back to the
    resolution of the maps. Where direct regression has to learn positions by heart, a convolution finds
    a point wherever it lies.

    T.-Y. Lin et al., Feature pyramid networks for object detection, CVPR 2017 (the way back up).

    Args:
        input_size: width and height of the images.
        in_channels: of the images.
        landmarks: how many.
        encoder: a component, an :class:`~keypoints.models.encoders.Encoder`; a small one if none.
        width: channels of the pyramid.
        level: the encoder's level whose size the maps have: 2 is a quarter of the input.
        heatmap_padding: cells that the maps reach beyond each edge of the picture, so that points there can
            be found and points near the edge are not drawn inwards.

    Raises:
        ConfigError: if the encoder cannot be built.
        ValueError: if it has no such level, or a number is too small.
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
        """(B, C, H, W) images to (B, K, h, w) logits of the maps, in full precision."""
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


def soft_argmax(maps: Tensor, beyond: int = 0) -> Tensor:
    """The mean position of each map's softmax: not bound to its grid, and differentiable.

    X. Sun et al., Integral human pose regression, ECCV 2018.

    Args:
        maps: (B, K, h, w) logits; positions are taken in full precision, 16 bits would be pixels off.
        beyond: cells by which the maps reach beyond each edge of the picture.

    Returns:
        (B, K, 2) ratios of the picture, x and y; 0 and 1 are its edges.
    """
    shares = _shares(maps)
    x, y = _centres(maps, beyond)
    return torch.stack([(shares.sum(-2) * x).sum(-1), (shares.sum(-1) * y).sum(-1)], dim=-1)


def gaussian_maps(points: Tensor, maps: Tensor, sigma: float, beyond: int = 0) -> tuple[Tensor, Tensor]:
    """The maps that are wanted, Gaussians whose peaks are 1, as the logarithms of their two factors.

    Args:
        points: (B, K, 2) ratios of the picture, within the maps or not.
        maps: (B, K, h, w), of whose size they are to be.
        sigma: of the Gaussians, in cells.
        beyond: as of :func:`soft_argmax`.

    Returns:
        (B, K, w) across and (B, K, h) down, whose sum is (B, K, h, w).
    """
    across, down = _offsets(points.float(), maps, beyond)
    return -across.square() / (2 * sigma**2), -down.square() / (2 * sigma**2)


def share_near(maps: Tensor, points: Tensor, radius: float, beyond: int = 0) -> Tensor:
    """How much of each map's softmax lies near a point.

    Args:
        maps: (B, K, h, w) logits.
        points: (B, K, 2) ratios of the picture.
        radius: in cells.
        beyond: as of :func:`soft_argmax`.

    Returns:
        (B, K) from 0 to 1.
    """
    across, down = _offsets(points, maps, beyond)
    near = across.square()[..., None, :] + down.square()[..., None] <= radius**2
    return (_shares(maps) * near).sum((-2, -1))


def _shares(maps: Tensor) -> Tensor:
    return maps.flatten(2).float().softmax(-1).view(maps.shape)


def _centres(maps: Tensor, beyond: int) -> tuple[Tensor, Tensor]:
    """The cells' centres, x (w,) and y (h,), in ratios of the picture."""
    height, width = maps.shape[-2:]
    x = (torch.arange(width, device=maps.device) + 0.5 - beyond) / (width - 2 * beyond)
    y = (torch.arange(height, device=maps.device) + 0.5 - beyond) / (height - 2 * beyond)
    return x, y


def _offsets(points: Tensor, maps: Tensor, beyond: int) -> tuple[Tensor, Tensor]:
    """How far the columns' and the rows' centres are from each point, (B, K, w) and (B, K, h), in cells."""
    height, width = maps.shape[-2:]
    x, y = _centres(maps, beyond)
    across = (x - points[..., 0, None]) * (width - 2 * beyond)
    down = (y - points[..., 1, None]) * (height - 2 * beyond)
    return across, down
