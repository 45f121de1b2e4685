"""A network that looks for each point: one map a landmark, read off by its mean position."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from keypoints.models.layers import convolution


class IntegralNet(nn.Module):
    """An encoder, a feature pyramid, and a soft-argmax over one map a landmark.

    The encoder halves the picture with each of its levels; the pyramid brings what it found back to
    the resolution of the maps. A map's softmax is a distribution over the picture, and its mean is
    the point: differentiable, not bound to the maps' grid, and learnt from coordinates alone. Where
    direct regression has to learn positions by heart, a convolution finds a point wherever it lies.

    X. Sun et al., Integral human pose regression, ECCV 2018 (the head); T.-Y. Lin et al., Feature
    pyramid networks for object detection, CVPR 2017 (the way back up).

    Args:
        input_size: width and height of the images.
        in_channels: of the images.
        out_features: two for each landmark.
        channels: of the encoder's levels, each half the size of the one before.
        width: channels of the pyramid.
        level: the level whose size the maps have, from 1: 2 is a quarter of the input.
        beyond: cells that the maps reach beyond each edge of the picture, so that points there can
            be found and points near the edge are not drawn inwards.
        first_kernel: side of the first layer's filters.
        normalization: ``"batch"``, ``"group"`` or ``"none"``.

    Raises:
        ValueError: if ``out_features`` is odd, there is no such level, a number is too small, or the
            picture is too small for that many levels.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        in_channels: int,
        out_features: int,
        channels: Sequence[int] = (16, 32, 64, 96, 128),
        width: int = 64,
        level: int = 2,
        beyond: int = 1,
        first_kernel: int = 7,
        normalization: str = "batch",
    ) -> None:
        super().__init__()
        if out_features % 2:
            raise ValueError(f"a landmark has two coordinates, so out_features is even, not {out_features}")
        if not 1 <= level <= len(channels):
            raise ValueError(
                f"level is one of 1 to {len(channels)}, as many as there are channels, not {level}"
            )
        if min(*channels, width, first_kernel) < 1 or beyond < 0:
            raise ValueError("channels, width and first_kernel are whole numbers from 1 up, beyond from 0 up")
        if min(input_size) < 2 ** len(channels):
            raise ValueError(
                f"{len(channels)} levels halve the input of {input_size[0]} × {input_size[1]} to nothing: "
                f"its sides have to be {2 ** len(channels)} or more; take fewer channels or a larger input"
            )
        self.encoder = nn.ModuleList([convolution(in_channels, channels[0], first_kernel, 2, normalization)])
        for before, after in pairwise(channels):
            down = convolution(before, after, 3, 2, normalization)
            self.encoder.append(nn.Sequential(down, convolution(after, after, 3, 1, normalization)))
        used = channels[level - 1 :]
        self.lateral = nn.ModuleList(nn.Conv2d(features, width, 1) for features in used)
        self.merge = nn.ModuleList(convolution(width, width, 3, 1, normalization) for _ in used[1:])
        self.maps = nn.Conv2d(width, out_features // 2, 3, padding=1)
        self._level = level
        self._beyond = beyond

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) images to (B, out_features): x and y of each landmark as ratios of the input."""
        levels = []
        features = images
        for stage in self.encoder:
            features = stage(features)
            levels.append(features)
        levels = levels[self._level - 1 :]
        merged: Tensor = self.lateral[-1](levels[-1])
        for finer, lateral, merge in zip(levels[-2::-1], self.lateral[-2::-1], self.merge[::-1], strict=True):
            merged = functional.interpolate(
                merged, size=finer.shape[-2:], mode="bilinear", align_corners=False
            )
            merged = merge(merged + lateral(finer))
        size = merged.shape[-1], merged.shape[-2]
        merged = functional.pad(merged, [self._beyond] * 4, mode="replicate" if self._beyond else "constant")
        return soft_argmax(self.maps(merged), size, self._beyond).flatten(1)


def soft_argmax(maps: Tensor, size: tuple[int, int], beyond: int = 0) -> Tensor:
    """The mean position of each map's softmax.

    Args:
        maps: (B, K, h, w) logits; positions are taken in full precision, 16 bits would be pixels off.
        size: how many cells of the maps the picture is wide and high.
        beyond: cells by which the maps reach beyond each edge of the picture.

    Returns:
        (B, K, 2) ratios of the picture, x and y; 0 and 1 are its edges.
    """
    height, width = maps.shape[-2:]
    share = maps.flatten(2).float().softmax(-1).view(maps.shape)
    x = (torch.arange(width, device=maps.device) + 0.5 - beyond) / size[0]
    y = (torch.arange(height, device=maps.device) + 0.5 - beyond) / size[1]
    return torch.stack([(share.sum(-2) * x).sum(-1), (share.sum(-1) * y).sum(-1)], dim=-1)
