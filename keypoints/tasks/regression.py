"""Task with direct regression: the network's outputs are the coordinates."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from keypoints.components import Component, build, configure, recorded
from keypoints.crop import Crop
from keypoints.landmarks import LandmarkScheme
from keypoints.models.convnet import ConvNet
from keypoints.tasks.base import Task


class RegressionTask(Task):
    """Task with a network that has two outputs for each landmark, x and y as ratios of the input.

    Args:
        scheme: landmarks to predict, see :class:`~keypoints.tasks.base.Task`.
        crop: crop that makes the input from a photo, see :class:`~keypoints.tasks.base.Task`.
        net: component whose class takes ``input_size``, ``in_channels`` and ``out_features``;
            :class:`~keypoints.models.convnet.ConvNet` if ``None``. Or the network itself, which maps images
            to two numbers for each landmark.
        loss: component that builds the loss of coordinates, see :class:`~keypoints.tasks.base.Task`.
        optimizer: component, see :class:`~keypoints.tasks.base.Task`.
        scheduler: component or ``None``, see :class:`~keypoints.tasks.base.Task`.
    """

    def __init__(
        self,
        scheme: LandmarkScheme | Mapping[str, Any],
        crop: Crop | Mapping[str, Any],
        net: Component | nn.Module | None = None,
        loss: Component | nn.Module | None = None,
        optimizer: Component | None = None,
        scheduler: Component | None = None,
    ) -> None:
        net = net or configure(ConvNet)
        super().__init__(scheme, crop, loss, optimizer, scheduler, net=recorded(net))
        self.net = build(
            net,
            nn.Module,
            input_size=self.crop.size,
            in_channels=self.crop.channels,
            out_features=2 * len(self.scheme),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) images in [-0.5, 0.5] to (B, K, 2) ratios of the input."""
        outputs: Tensor = self.net(images)
        return outputs.view(-1, len(self.scheme), 2)
