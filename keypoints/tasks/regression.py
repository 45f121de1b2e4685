"""Task with direct regression: the network's outputs are the coordinates."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from keypoints.components import Component, build, configure, recorded
from keypoints.crop import Crop
from keypoints.errors import ConfigError
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
        """Map (B, C, H, W) images in [-0.5, 0.5] to (B, K, 2) ratios of the input.

        Raises:
            ConfigError: if the network does not have two outputs for each landmark.
        """
        outputs: Tensor = self.net(images)
        self._check(outputs)
        return outputs.reshape(-1, len(self.scheme), 2)

    def _check(self, outputs: object) -> None:
        """Check the outputs of the network for each image; their number of images may be symbolic."""
        landmarks = len(self.scheme)
        shape = outputs.shape[1:] if isinstance(outputs, Tensor) and outputs.ndim else None
        if shape is None or shape.numel() != 2 * landmarks or (shape == (2, landmarks) and landmarks != 2):
            what = f"a {type(outputs).__name__}" if shape is None else f"outputs of shape {tuple(shape)}"
            raise ConfigError(
                f"{type(self.net).__name__} gives {what} for an image, not of shape ({2 * landmarks},) or "
                f"({landmarks}, 2): x and y of each landmark"
            )
