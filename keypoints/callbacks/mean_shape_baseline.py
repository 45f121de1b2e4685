"""Mean-shape baseline (constant predictor): it predicts the mean of the training targets for every face."""

import pytorch_lightning as pl
import torch

from keypoints.datamodules.base import FaceDataModule
from keypoints.tasks.base import Task
from keypoints.tasks.metrics import CourseMSE


class ConstantPredictor(pl.Callback):
    """Logger of the mean-shape baseline's validation scores, together with each epoch's validation.

    ``val/mse_constant`` is its MSE in the course's units (ratio², mean per coordinate), ``loss/constant`` its
    validation loss, if the task's loss compares coordinates. A useful network has to score below both.
    """

    def __init__(self) -> None:
        self._scores: dict[str, float] = {}

    @property
    def logged(self) -> list[str]:
        """Names of the logged metrics; empty before the fit starts."""
        return list(self._scores)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute the scores, which stay the same for the entire run."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, FaceDataModule) and isinstance(pl_module, Task):
            self._scores = constant_scores(pl_module, data)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Log the baseline's scores with the epoch's metrics."""
        pl_module.log_dict(self._scores, sync_dist=True)  # the same in all processes


def constant_scores(task: Task, data: FaceDataModule) -> dict[str, float]:
    """Return the validation scores, by metric name, of the mean of the training targets."""
    batch = data.dataset("val").without_pixels()
    mean = data.dataset("train").mean_target().expand_as(batch.targets)
    mse = CourseMSE()
    mse.update(task.to_photo(mean, batch), task.to_photo(batch.targets, batch), batch.photo_sizes)
    scores = {"val/mse_constant": float(mse.compute())}
    if type(task).compute_loss is Task.compute_loss:
        with torch.no_grad():
            scores["loss/constant"] = float(task.coordinate_loss(mean, batch))
    return scores
