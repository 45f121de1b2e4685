"""The learned filters of the first layer."""

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from keypoints.callbacks.tensorboard import add_picture
from keypoints.drawing import contact_sheet
from keypoints.geometry import ByteArray
from keypoints.models.inspection import first_convolution

_SIDE = 64
"""A filter is drawn at about this many pixels."""


class FirstLayerFilters(pl.Callback):
    """Logs the filters of the convolution that the task's network begins with, if it does.

    All filters share one grey scale, symmetric about zero: mid-grey is 0, white the largest
    absolute weight of the layer. Filters over three channels are shown in colour.

    Args:
        every_n_epochs: how often; the untrained filters are logged too, as step 0.
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        self._every = every_n_epochs

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the untrained filters."""
        if trainer.global_step == 0:
            self._log(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the filters as they are."""
        if (trainer.current_epoch + 1) % self._every == 0:
            self._log(trainer, pl_module)

    def _log(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        convolution = first_convolution(pl_module)
        if convolution is not None:
            add_picture(
                trainer, "first-layer filters", picture_of_filters(convolution.weight), trainer.global_step
            )


def picture_of_filters(weight: Tensor) -> ByteArray:
    """The filters of a (filters, channels, height, width) weight, side by side, (H, W, 3) RGB."""
    filters = weight.detach().float().cpu().numpy()
    if filters.shape[1] != 3:
        filters = filters.mean(axis=1, keepdims=True).repeat(3, axis=1)
    scaled = np.rint(127.5 + 127.5 * filters / max(float(np.abs(filters).max()), 1e-12)).astype(np.uint8)
    zoom = max(1, _SIDE // filters.shape[-1])
    tiles = [tile.transpose(1, 2, 0).repeat(zoom, axis=0).repeat(zoom, axis=1) for tile in scaled]
    return contact_sheet(tiles, columns=8)
