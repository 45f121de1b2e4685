"""Picture of a fixed set of validation faces with their predictions, at several epochs."""

import numpy as np
import pytorch_lightning as pl
import torch

from keypoints.callbacks.pictures import is_due, picture_of
from keypoints.data.dataset import Batch, full_batch
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import ConfigError
from keypoints.loggers.methods import add_picture
from keypoints.tasks.base import Task


class ValidationPanel(pl.Callback):
    """Logger of a fixed panel of validation faces with truth (green) and prediction (red).

    Args:
        faces: number of faces, spread evenly over the validation faces.
        every_n_epochs: epochs between two pictures; the last epoch is always logged.

    Raises:
        ConfigError: if either is below 1.
    """

    def __init__(self, faces: int = 8, every_n_epochs: int = 1) -> None:
        if faces < 1 or every_n_epochs < 1:
            raise ConfigError(f"faces and every_n_epochs are 1 or more, not {faces} and {every_n_epochs}")
        self._faces = faces
        self._every = every_n_epochs
        self._batch: Batch | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Select the faces of the panel."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, FaceDataModule):
            faces = data.dataset("val")
            places = np.linspace(0, len(faces) - 1, min(self._faces, len(faces)))
            self._batch = full_batch(faces, [round(place) for place in places])

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Predict and plot the panel's faces."""
        if self._batch is None or not is_due(trainer, self._every) or not isinstance(pl_module, Task):
            return
        with torch.no_grad():
            predictions = pl_module(self._batch.to(pl_module.device).to_images()).float().cpu().numpy()
        picture = picture_of(self._batch, pl_module.scheme, predictions, len(predictions))
        add_picture(trainer, "validation faces", picture, trainer.global_step)
