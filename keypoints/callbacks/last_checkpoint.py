"""Checkpoint of the last epoch, from which a run resumes."""

from math import inf
from time import monotonic
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint


class LastCheckpoint(ModelCheckpoint):
    """Checkpoint of the last epoch, written at most once every few seconds.

    With epochs of 0.1 s, a checkpoint for each would take 4 % of the time. A run that is stopped loses at
    most ``seconds`` of finished epochs, and the unfinished epoch. A training's final epoch is always written.

    Args:
        seconds: minimum time between two checkpoints; 0 writes every epoch.
        settings: arguments of Lightning's ModelCheckpoint.

    Raises:
        ValueError: if ``seconds`` is negative.
    """

    def __init__(self, *, seconds: float = 5.0, **settings: Any) -> None:
        if seconds < 0:
            raise ValueError(f"seconds is a number from 0 up, not {seconds}")
        super().__init__(save_on_train_epoch_end=True, **settings)
        self._seconds = seconds
        self._written = -inf

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the checkpoint if it is due."""
        due = self._is_final_epoch(trainer) or monotonic() - self._written >= self._seconds
        if trainer.strategy.broadcast(due):  # all processes must decide alike, and their clocks may differ
            super().on_train_epoch_end(trainer, pl_module)
            if self._last_global_step_saved == trainer.global_step:
                self._written = monotonic()

    @staticmethod
    def _is_final_epoch(trainer: pl.Trainer) -> bool:
        epochs, steps = trainer.max_epochs, trainer.max_steps
        return bool(
            trainer.should_stop or trainer.current_epoch + 1 == epochs or 0 < steps <= trainer.global_step
        )
