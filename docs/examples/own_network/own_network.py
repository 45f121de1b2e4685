"""A network of depthwise separable convolutions, which predicts coordinates."""

from collections.abc import Sequence

from torch import Tensor, nn


class SeparableNet(nn.Module):
    """Depthwise separable convolutions that halve their input, then one linear layer.

    A. G. Howard et al., MobileNets: efficient convolutional neural networks for mobile vision
    applications, 2017.

    Args:
        input_size: width and height of the images, in pixels; given by keypoints.
        in_channels: channels of the images; given by keypoints.
        out_features: number of outputs, two for each landmark; given by keypoints.
        channels: output channels of each convolution.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        in_channels: int,
        out_features: int,
        channels: Sequence[int] = (16, 32, 64, 64),
    ) -> None:
        super().__init__()
        width, height = input_size
        layers: list[nn.Module] = []
        for features in channels:
            layers += [
                nn.Conv2d(in_channels, in_channels, 3, stride=2, padding=1, groups=in_channels, bias=False),
                nn.Conv2d(in_channels, features, 1, bias=False),
                nn.BatchNorm2d(features),
                nn.ReLU(),
            ]
            in_channels = features
            width, height = (width + 1) // 2, (height + 1) // 2
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(in_channels * width * height, out_features)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) images in [-0.5, 0.5] to (B, out_features): x0, y0, x1, y1, … as ratios."""
        outputs: Tensor = self.head(self.features(images).flatten(1)) + 0.5
        return outputs
