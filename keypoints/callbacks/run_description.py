"""Description of a run for its loggers: architecture, first batch, charts and hyper-parameters."""

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities.model_summary.model_summary import ModelSummary

from keypoints.callbacks.pictures import picture_of
from keypoints.config.values import chosen_groups, flat
from keypoints.data.dataset import Batch
from keypoints.loggers.methods import (
    add_charts,
    add_final_metrics,
    add_hyper_parameters,
    add_picture,
    add_text,
)
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from keypoints.tasks.base import Task

_CHARTS = {
    "loss": {
        "loss: training, validation, mean-shape baseline": [
            "Multiline",
            ["loss/train$", "loss/val", "loss/constant"],
        ]
    },
    "validation": {
        "validation MSE in the course's units: network, mean-shape baseline": [
            "Multiline",
            ["val/mse$", "val/mse_constant"],
        ]
    },
}
"""Charts of the Custom Scalars tab, and the curves of each."""


class Description(pl.Callback):
    """Logger of the architecture as text, the first training batch with its points, and joint charts."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the charts and the architecture."""
        add_charts(trainer, _CHARTS)
        add_text(trainer, "architecture", architecture(pl_module))

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Batch,
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Log the first training batch as the network receives it."""
        if trainer.global_step == 0 and isinstance(pl_module, Task) and isinstance(batch, Batch):
            add_picture(trainer, "training batch", picture_of(batch, pl_module.scheme), 0)


class HyperParameters(pl.Callback):
    """Logger of the run's hyper-parameters at its start, and of its final metrics once it has ended.

    TensorBoard's HPARAMS tab takes both together, at the end.

    Args:
        folder: folder of the run; without a configuration file in it, nothing is logged.
    """

    def __init__(self, folder: str | Path) -> None:
        self._run = RunFolder(Path(folder))

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Log the hyper-parameters where a logger takes them alone."""
        if self._run.config.is_file():
            add_hyper_parameters(trainer, hyper_parameters(self._run))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Log the hyper-parameters with the best and the last validation MSE."""
        if not self._run.config.is_file():
            return
        metrics = {"last/mse": trainer.callback_metrics.get("val/mse")}
        if isinstance(trainer.checkpoint_callback, ModelCheckpoint):
            metrics["best/mse"] = trainer.checkpoint_callback.best_model_score
        known = {name: float(value) for name, value in metrics.items() if value is not None}
        add_final_metrics(trainer, hyper_parameters(self._run), known)


def hyper_parameters(run: RunFolder) -> dict[str, int | float | str]:
    """Return the hyper-parameters of a run: all values of its configuration and its chosen group options.

    All values are included, since runs of a sweep may differ in any of them and no run knows the others.

    Args:
        run: folder of the run.
    """
    overrides = read_status(run).overrides if run.status_file.is_file() else []
    return {**flat(run.configuration()), **chosen_groups(overrides)}


def architecture(module: pl.LightningModule) -> str:
    """Return the module tree and a table of the layers with their parameters and shapes, as text."""
    return f"{module}\n\n{ModelSummary(module, max_depth=-1)}"
