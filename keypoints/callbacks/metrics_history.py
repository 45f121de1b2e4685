"""Logged metrics of a run, saved in its checkpoints."""

from typing import Any

import pytorch_lightning as pl

from keypoints.runs.metrics_table import MetricsTable, Row

LOGGED = "logged"
"""Name of the checkpoint's entry that holds the rows."""


def logged_rows(trainer: pl.Trainer) -> list[Row]:
    """Return the rows that a training logged; with ``fast_dev_run`` it has no table, and only one epoch.

    Args:
        trainer: the trainer.
    """
    table = next((logger for logger in trainer.loggers if isinstance(logger, MetricsTable)), None)
    known = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return [{**known, "epoch": 0.0}] if table is None else table.rows


class History(pl.Callback):
    """Copy of the rows of a :class:`~keypoints.runs.metrics_table.MetricsTable` in each checkpoint.

    The checkpoint at an epoch's end is written before Lightning logs the epoch's last row. That row is added
    here, so that a run that is killed in between resumes from the checkpoint with all its rows.
    """

    def __init__(self) -> None:
        self._ends = False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Record that all rows of earlier epochs are logged."""
        self._ends = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Record that the epoch's own metrics are not logged yet."""
        self._ends = True

    def on_save_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        checkpoint: dict[str, Any],
    ) -> None:
        """Add the rows to the checkpoint."""
        table = next((logger for logger in trainer.loggers if isinstance(logger, MetricsTable)), None)
        if table is not None:
            checkpoint[LOGGED] = [*map(dict, table.rows), *self._unlogged_rows(trainer, table)]

    def _unlogged_rows(self, trainer: pl.Trainer, table: MetricsTable) -> list[Row]:
        """Return the row that Lightning logs after it has written the epoch's checkpoint."""
        if not self._ends:
            return []
        epoch = float(trainer.current_epoch)
        # Rows without an epoch come from callbacks that log directly, such as learning rates.
        known = set().union(*(row for row in table.rows if row.get("epoch", epoch) == epoch))
        left = {name: float(value) for name, value in trainer.callback_metrics.items() if name not in known}
        return [{**left, "epoch": epoch, "step": trainer.global_step - 1}] if left else []
