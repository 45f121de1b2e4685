"""Pictures of the first layer's filters, and of their feature maps for one face."""

import pytorch_lightning as pl
from torch import Tensor

from keypoints.callbacks.pictures import is_due
from keypoints.callbacks.signed_pictures import signed_picture
from keypoints.data.dataset import full_batch
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import ConfigError
from keypoints.geometry import ByteArray
from keypoints.loggers.methods import add_picture
from keypoints.models.inspection import feature_maps, first_convolution

_MOST_WEIGHT = 0.5
"""Largest absolute weight with a colour of its own; untrained weights are up to 0.14 in a filter of 7 × 7."""

_MOST_RESPONSE = 2.0
"""Largest absolute response with a colour of its own."""


class FirstLayerFilters(pl.Callback):
    """Logger of the first layer's filters, if that layer is a convolution.

    Filters are the mean over their input channels. The feature maps of the first validation face are logged
    as well. Each has one colour scale for all epochs and runs, so that pictures can be compared.

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
    label = "weight" if weight.shape[1] == 1 else "weight, mean over input channels"
    planes = weight.detach().float().cpu().numpy().mean(axis=1)
    return signed_picture(planes, _MOST_WEIGHT, label)


def picture_of_maps(maps: Tensor) -> ByteArray:
    """Plot feature maps (filters, h, w) side by side, (H, W, 3) RGB."""
    return signed_picture(maps.detach().float().cpu().numpy(), _MOST_RESPONSE, "response of the filter")
