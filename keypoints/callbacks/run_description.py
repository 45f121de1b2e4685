"""Description of a run for its loggers: command, configuration, architecture, first batch and result."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl
from pytorch_lightning.utilities.model_summary.model_summary import ModelSummary

from keypoints.callbacks.metrics_history import logged_rows
from keypoints.callbacks.pictures import picture_of
from keypoints.data.dataset import Batch
from keypoints.loggers.methods import (
    add_charts,
    add_final_metrics,
    add_hyper_parameters,
    add_picture,
    add_text,
)
from keypoints.loggers.result import Result
from keypoints.runs.given import commands_of, hyper_parameters, varied_values
from keypoints.runs.history import by_epoch, summary
from keypoints.runs.metrics_table import Row
from keypoints.runs.run_folder import RunFolder
from keypoints.structured_files import read_text
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
"""Charts of the Custom Scalars tab, and the curves of each, for Lightning's logger of TensorBoard."""


class Description(pl.Callback):
    """Logger of the architecture as text, the first training batch with its points, and joint charts."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the charts and the architecture."""
        add_charts(trainer, _CHARTS)
        if trainer.ckpt_path is None:  # a resumed run has logged it
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
    """Logger of a run's command and configuration at its start, and of its final metrics at its end.

    TensorBoard's HPARAMS tab takes hyper-parameters and final metrics together, at the end.

    Args:
        folder: folder of the run; without a configuration file in it, nothing is logged.
    """

    def __init__(self, folder: str | Path) -> None:
        self._run = RunFolder(Path(folder))

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Log command and configuration, and the hyper-parameters where a logger takes them alone."""
        if not self._run.config.is_file():
            return
        add_hyper_parameters(trainer, hyper_parameters(self._run))
        if trainer.ckpt_path is None:  # a resumed run has logged them
            if self._run.status_file.is_file():
                add_text(trainer, "command", commands_of(self._run))
            add_text(trainer, "configuration", read_text(self._run.config))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Log the hyper-parameters with the metrics of the best and the last epoch."""
        if self._run.config.is_file():
            add_final_metrics(trainer, result_of(self._run, logged_rows(trainer)))


def result_of(run: RunFolder, rows: Sequence[Row]) -> Result:
    """Return the result of a run for its loggers.

    Args:
        run: folder of the run.
        rows: all logged metrics.
    """
    logged = pd.DataFrame(rows)
    found = summary(logged, run.monitor)
    step = None
    if "best/epoch" in found and "step" in logged:
        step = int(by_epoch(logged)["step"].loc[int(found["best/epoch"])])
    metrics = {
        f"{when}/{name}": found[f"{when}/{name}"]
        for when in ("best", "last")
        for name in ("mse", "nme", "mae_px", "variance_ratio")
        if f"{when}/{name}" in found
    }
    varied = varied_values(run)
    return Result({**hyper_parameters(run), **varied}, metrics, list(varied), step)


def architecture(module: pl.LightningModule) -> str:
    """Return the module tree and a table of the layers with their parameters and shapes, as text."""
    return f"{module}\n\n{ModelSummary(module, max_depth=-1)}"
