"""The constant predictor: what a network scores that gives everyone the mean face."""

import pytorch_lightning as pl
import torch

from keypoints.data.dataset import whole
from keypoints.datamodules.base import FaceDataModule
from keypoints.tasks.base import Task
from keypoints.tasks.metrics import CourseMSE


class ConstantPredictor(pl.Callback):
    """Logs, beside each epoch's validation, the scores of the mean of the training targets.

    ``val/mse_constant`` is its MSE in the course's units, ``loss/constant`` its validation loss
    (where the task's loss is one of coordinates): the line that a network has to get below.
    """

    def __init__(self) -> None:
        self._scores: dict[str, float] = {}

    @property
    def logged(self) -> list[str]:
        """The names that it logs, once the fit has started."""
        return list(self._scores)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find the scores, which stay the same for the whole run."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, FaceDataModule) and isinstance(pl_module, Task):
            self._scores = constant_scores(pl_module, data)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Log them beside the epoch's."""
        pl_module.log_dict(self._scores, sync_dist=True)  # the same in all processes


def constant_scores(task: Task, data: FaceDataModule) -> dict[str, float]:
    """What the mean of the training targets scores on the validation faces."""
    batch = whole(data.dataset("val"))
    mean = data.dataset("train").targets.mean(dim=0).expand_as(batch.targets)
    mse = CourseMSE()
    mse.update(task.to_photo(mean, batch), task.to_photo(batch.targets, batch), batch.photo_sizes)
    scores = {"val/mse_constant": float(mse.compute())}
    if type(task).compute_loss is Task.compute_loss:
        with torch.no_grad():
            scores["loss/constant"] = float(task.loss(mean, batch.targets))
    return scores
