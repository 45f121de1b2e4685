"""Pictures of the first layer's filters, and of their feature maps for one face."""

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from keypoints.callbacks.pictures import is_due
from keypoints.data.dataset import full_batch
from keypoints.datamodules.base import FaceDataModule
from keypoints.drawing import contact_sheet
from keypoints.errors import ConfigError
from keypoints.geometry import ByteArray
from keypoints.loggers.methods import add_picture
from keypoints.models.inspection import feature_maps, first_convolution

_SIDE = 64
"""Approximate side of a plotted filter, in pixels."""


class FirstLayerFilters(pl.Callback):
    """Logger of the first layer's filters, if that layer is a convolution.

    All filters share one grey scale, symmetric about zero: mid-grey is 0, white the largest absolute weight
    of the layer. Filters with three channels are shown in colour. The feature maps of the first validation
    face are logged as well, on a grey scale of their own.

    Args:
        every_n_epochs: epochs between two pictures; the untrained filters (step 0) and the filters of
            the last epoch are always logged.

    Raises:
        ConfigError: if ``every_n_epochs`` is below 1.
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        if every_n_epochs < 1:
            raise ConfigError(f"every_n_epochs is 1 or more, not {every_n_epochs}")
        self._every = every_n_epochs
        self._face: Tensor | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the untrained filters."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, FaceDataModule):
            self._face = full_batch(data.dataset("val"), [0]).to_images()
        if trainer.ckpt_path is None:  # a resumed run has logged them
            self._log(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the current filters if a picture is due."""
        if is_due(trainer, self._every):
            self._log(trainer, pl_module)

    def _log(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        convolution = first_convolution(pl_module)
        if convolution is None:
            return
        step = trainer.global_step
        add_picture(trainer, "first-layer filters", picture_of_filters(convolution.weight), step)
        if self._face is not None:
            maps = feature_maps(pl_module, self._face.to(pl_module.device))
            assert maps is not None
            add_picture(trainer, "first-layer feature maps", picture_of_maps(maps[0]), step)


def picture_of_filters(weight: Tensor) -> ByteArray:
    """Plot the filters of a (filters, channels, height, width) weight side by side, (H, W, 3) RGB."""
    filters = weight.detach().float().cpu().numpy()
    if filters.shape[1] != 3:
        filters = filters.mean(axis=1, keepdims=True).repeat(3, axis=1)
    scaled = np.rint(127.5 + 127.5 * filters / max(float(np.abs(filters).max()), 1e-12)).astype(np.uint8)
    zoom = max(1, _SIDE // filters.shape[-1])
    tiles = [tile.transpose(1, 2, 0).repeat(zoom, axis=0).repeat(zoom, axis=1) for tile in scaled]
    return contact_sheet(tiles, columns=8)


def picture_of_maps(maps: Tensor) -> ByteArray:
    """Plot feature maps (filters, h, w) side by side, (H, W, 3) RGB, on one grey scale: mid-grey is 0."""
    values = maps.detach().float().cpu().numpy()
    scaled = np.rint(127.5 + 127.5 * values / max(float(np.abs(values).max()), 1e-12)).astype(np.uint8)
    return contact_sheet([tile[:, :, None].repeat(3, axis=2) for tile in scaled], columns=4)
