"""U-Net: encoder and decoder with skip connections, and one heatmap for each landmark."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from keypoints.models.heatmap import HeatmapModule
from keypoints.models.layers import CoordinateConvolution, convolution


class UNet(HeatmapModule):
    """U-Net: max-pooling downwards, bilinear upsampling upwards, and skip connections at each level.

    The course's later editions predict keypoints with it. O. Ronneberger et al., U-Net: convolutional
    networks for biomedical image segmentation, MICCAI 2015. Here convolutions are padded and normalised, and
    upsampling has no weights.

    Args:
        input_size: width and height of the images, in pixels.
        in_channels: channels of the images.
        landmarks: number of landmarks, K.
        width: channels at the input's size; each lower level has twice as many.
        depth: number of times that the encoder halves the maps.
        level: number of times the heatmaps are downsampled by 2; 0 is the input's size.
        normalization: layer after each convolution: ``"batch"``, ``"group"`` or ``"none"``.
        heatmap_padding: cells by which the heatmaps extend beyond each edge of the image, as in
            :class:`~keypoints.models.heatmap.HeatmapNet`.

    Raises:
        ValueError: if a number is too small, or the images are too small for that depth.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        in_channels: int,
        landmarks: int,
        width: int = 16,
        depth: int = 4,
        level: int = 0,
        normalization: str = "batch",
        heatmap_padding: int = 1,
    ) -> None:
        super().__init__()
        if width < 1 or depth < 1 or heatmap_padding < 0:
            raise ValueError("width and depth are whole numbers from 1 up, heatmap_padding from 0 up")
        if not 0 <= level < depth:
            raise ValueError(
                f"level is a whole number from 0 to {depth - 1}, one less than depth, not {level}"
            )
        if min(input_size) < 2**depth:
            raise ValueError(
                f"depth={depth} halves the input of {input_size[0]} × {input_size[1]} to nothing: its sides "
                f"have to be {2**depth} or more; take a smaller depth or a larger input"
            )
        widths = [width * 2**number for number in range(depth + 1)]
        before = [in_channels, *widths]
        self.down = nn.ModuleList(
            _block(inputs, outputs, normalization) for inputs, outputs in zip(before, widths, strict=False)
        )
        self.up = nn.ModuleList(
            _block(widths[number + 1] + widths[number], widths[number], normalization)
            for number in range(level, depth)
        )
        self.maps = CoordinateConvolution(widths[level], landmarks, 1)
        self.heatmap_padding = heatmap_padding

    def forward(self, images: Tensor) -> Tensor:
        """Map images to heatmaps as described in :meth:`HeatmapModule.forward`."""
        skipped = []
        maps = images
        for number, block in enumerate(self.down):
            # ceil_mode: an odd side is rounded up, so that the last row and column of pixels count too.
            maps = block(functional.max_pool2d(maps, 2, ceil_mode=True) if number else maps)
            skipped.append(maps)
        for block, beside in zip(reversed(self.up), reversed(skipped[:-1]), strict=False):
            larger = functional.interpolate(
                maps, size=beside.shape[-2:], mode="bilinear", align_corners=False
            )
            maps = block(torch.cat([larger, beside], dim=1))
        maps = functional.pad(maps, [self.heatmap_padding] * 4, mode="replicate")
        logits: Tensor = self.maps(maps)
        return logits


def _block(in_channels: int, out_channels: int, normalization: str) -> nn.Sequential:
    """Return two convolutions, each with normalisation and ReLU."""
    return nn.Sequential(
        convolution(in_channels, out_channels, normalization=normalization),
        convolution(out_channels, out_channels, normalization=normalization),
    )
