"""What a run has logged, kept with its checkpoint."""

from typing import Any

import pytorch_lightning as pl

from keypoints.runs.metrics_table import MetricsTable, Row

LOGGED = "logged"
"""The checkpoint's entry that holds the rows."""


class History(pl.Callback):
    """Keeps the rows of a :class:`~keypoints.runs.metrics_table.MetricsTable` in each checkpoint.

    A checkpoint at an epoch's end is written before Lightning logs what that epoch ends with. So this is
    added: a run that is killed in between resumes from the checkpoint with all its rows.
    """

    def __init__(self) -> None:
        self._ends = False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Note that nothing of the epoch is left to log."""
        self._ends = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Note that the epoch's own metrics are not logged yet."""
        self._ends = True

    def on_save_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        checkpoint: dict[str, Any],
    ) -> None:
        """Add the rows."""
        table = next((logger for logger in trainer.loggers if isinstance(logger, MetricsTable)), None)
        if table is not None:
            checkpoint[LOGGED] = [*map(dict, table.rows), *self._left(trainer, table)]

    def _left(self, trainer: pl.Trainer, table: MetricsTable) -> list[Row]:
        """Return the row that Lightning logs once the epoch's checkpoint is written."""
        if not self._ends:
            return []
        epoch = float(trainer.current_epoch)
        # Rows without an epoch are those that callbacks log by themselves, such as learning rates.
        known = set().union(*(row for row in table.rows if row.get("epoch", epoch) == epoch))
        left = {name: float(value) for name, value in trainer.callback_metrics.items() if name not in known}
        return [{**left, "epoch": epoch, "step": trainer.global_step - 1}] if left else []
