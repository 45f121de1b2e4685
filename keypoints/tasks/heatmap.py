"""Task with heatmaps: each landmark is predicted as the mean position of its heatmap."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from keypoints.components import Component, build, configure, recorded
from keypoints.crop import Crop
from keypoints.data.dataset import Batch
from keypoints.errors import ConfigError
from keypoints.landmarks import LandmarkScheme
from keypoints.models.heatmap import (
    HeatmapModule,
    HeatmapNet,
    gaussian_maps,
    heatmap_shares,
    mean_positions,
    share_near,
    soft_argmax,
)
from keypoints.tasks.base import Located, Task
from keypoints.tasks.labelled_mean import coordinate_loss, heatmap_loss
from keypoints.tasks.losses import HeatmapKLLoss
from keypoints.tasks.trusted_loss import build_loss, loss_name


class HeatmapTask(Task):
    """Task with a network that has one heatmap for each landmark.

    It is supervised by coordinates, by heatmaps, or by both: the loss is ``coordinate_weight`` times the loss
    of the heatmaps' mean positions plus ``heatmap_weight`` times the loss of the heatmaps against Gaussians.
    Coordinates alone give the integral head (X. Sun et al., ECCV 2018); heatmaps alone the usual head, with
    subpixel decoding; both together the head of A. Nibali et al., Numerical coordinate regression with
    convolutional neural networks, 2018.

    A landmark's confidence is the share of its heatmap within two ``sigma`` of the point, from 0 to 1.

    Args:
        scheme: landmarks to predict, see :class:`~keypoints.tasks.base.Task`.
        crop: crop that makes the input from a photo, see :class:`~keypoints.tasks.base.Task`.
        net: component that builds a :class:`~keypoints.models.heatmap.HeatmapModule`; a HeatmapNet
            with a small encoder if ``None``.
        loss: component that builds the loss of coordinates, see :class:`~keypoints.tasks.base.Task`.
        optimizer: component, see :class:`~keypoints.tasks.base.Task`.
        scheduler: component or ``None``, see :class:`~keypoints.tasks.base.Task`.
        coordinate_weight: weight of the loss of coordinates. Coordinates are ratios, so their loss is about a
            hundredth of the heatmaps' loss.
        heatmap_weight: weight of the loss of heatmaps.
        heatmap_loss: component called with the heatmaps and the two factors of the target heatmaps;
            :class:`~keypoints.tasks.losses.HeatmapKLLoss` if ``None``.
        sigma: standard deviation of the Gaussians, in cells of the heatmaps.

    Raises:
        ValueError: if a weight is negative, both are 0, or sigma is not positive.
    """

    def __init__(
        self,
        scheme: LandmarkScheme | Mapping[str, Any],
        crop: Crop | Mapping[str, Any],
        net: Component | nn.Module | None = None,
        loss: Component | nn.Module | None = None,
        optimizer: Component | None = None,
        scheduler: Component | None = None,
        coordinate_weight: float = 1.0,
        heatmap_weight: float = 0.0,
        heatmap_loss: Component | nn.Module | None = None,
        sigma: float = 1.0,
    ) -> None:
        if (
            min(coordinate_weight, heatmap_weight) < 0
            or coordinate_weight + heatmap_weight == 0
            or sigma <= 0
        ):
            raise ValueError(
                "coordinate_weight and heatmap_weight are from 0 up, not both 0, and sigma is above 0, not "
                f"{coordinate_weight}, {heatmap_weight} and {sigma}"
            )
        net = net or configure(HeatmapNet)
        heatmap_loss = heatmap_loss or configure(HeatmapKLLoss)
        super().__init__(
            scheme,
            crop,
            loss,
            optimizer,
            scheduler,
            net=recorded(net),
            coordinate_weight=coordinate_weight,
            heatmap_weight=heatmap_weight,
            heatmap_loss=recorded(heatmap_loss),
            sigma=sigma,
        )
        self.net = build(
            net,
            HeatmapModule,
            input_size=self.crop.size,
            in_channels=self.crop.channels,
            landmarks=len(self.scheme),
        )
        self.heatmap_loss = build_loss(heatmap_loss)
        self._weights = coordinate_weight, heatmap_weight
        self._sigma = sigma

    @property
    def loss_words(self) -> tuple[str, str]:
        """Name of the loss in figures, and its unit."""
        coordinates, heatmaps = self._weights
        if not heatmaps:
            return super().loss_words
        if coordinates:
            return "loss of points and heatmaps", "weighted sum"
        if isinstance(self.heatmap_loss, HeatmapKLLoss):
            return "KL divergence of the heatmaps", "nats"
        return loss_name(self.heatmap_loss), "mean over the heatmaps"

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) images in [-0.5, 0.5] to (B, K, 2) ratios of the input."""
        return soft_argmax(self._heatmaps(images), self.net.heatmap_padding)

    def _heatmaps(self, images: Tensor) -> Tensor:
        """Return the (B, K, h, w) logits of the heatmaps.

        Raises:
            ConfigError: if the network does not have one heatmap for each landmark.
        """
        maps: Tensor = self.net(images)
        if maps.ndim != 4 or maps.shape[1] != len(self.scheme):
            raise ConfigError(
                f"{type(self.net).__name__} gives outputs of shape {tuple(maps.shape[1:])} for an image, not "
                f"({len(self.scheme)}, height, width): a heatmap for each landmark"
            )
        return maps

    def _locate(self, images: Tensor) -> Located:
        return self._located(self._heatmaps(images))

    def _located(self, maps: Tensor) -> Located:
        shares, padding = heatmap_shares(maps), self.net.heatmap_padding
        points = mean_positions(shares, padding)
        return Located(points, share_near(shares, points, 2 * self._sigma, padding))

    def located_loss(self, batch: Batch) -> tuple[Tensor, Located]:
        """Compute the loss and the predictions of a batch, with confidences.

        The predictions of a subclass that overrides :meth:`compute_loss` have no confidences here.

        Args:
            batch: the faces, B.

        Returns:
            The loss, a scalar, and the predictions.
        """
        if type(self).compute_loss is not HeatmapTask.compute_loss:
            return super().located_loss(batch)
        maps = self._heatmaps(batch.to_images())
        located = self._located(maps)
        return self._weighted_loss(maps, located.points, batch), located

    def compute_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Compute the loss and the predictions of a batch.

        Args:
            batch: the faces, B.

        Returns:
            The loss, a scalar, and the predictions, (B, K, 2) ratios of the input.
        """
        maps = self._heatmaps(batch.to_images())
        points = soft_argmax(maps, self.net.heatmap_padding)
        return self._weighted_loss(maps, points, batch), points

    def training_loss(self, batch: Batch) -> Tensor:
        """Compute the loss alone; the points are skipped if the loss does not use them.

        Args:
            batch: the faces, B.

        Returns:
            The loss, a scalar.
        """
        maps = self._heatmaps(batch.to_images())
        points = soft_argmax(maps, self.net.heatmap_padding) if self._weights[0] else None
        return self._weighted_loss(maps, points, batch)

    def _weighted_loss(self, maps: Tensor, points: Tensor | None, batch: Batch) -> Tensor:
        coordinates, heatmaps = self._weights
        loss, known = maps.new_zeros(()), (batch.labelled, self.labelled_points(batch))
        if coordinates and points is not None:
            loss = loss + coordinates * coordinate_loss(self.loss, points, batch.targets, *known)
        if heatmaps:
            wanted = gaussian_maps(batch.targets, maps, self._sigma, self.net.heatmap_padding)
            loss = loss + heatmaps * heatmap_loss(self.heatmap_loss, maps, wanted, *known)
        return loss
