"""The checkpoint from which a run goes on."""

from math import inf
from time import monotonic
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint


class LastCheckpoint(ModelCheckpoint):
    """Keeps the last epoch, but writes no more often than need be.

    An epoch that ends soon after the last one written is passed over: where epochs take a tenth of a second,
    writing each would take a 25th of the time. A run that is stopped loses what it did in ``seconds``, and in
    the epoch that it was in. The epoch that ends a training is always written.

    Args:
        seconds: within which one is enough; 0 for every epoch.
        settings: those of Lightning's ModelCheckpoint.

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
        """Write the epoch if it is due."""
        due = self._ends(trainer) or monotonic() - self._written >= self._seconds
        if trainer.strategy.broadcast(due):  # the processes write together, and their clocks may differ
            super().on_train_epoch_end(trainer, pl_module)
            if self._last_global_step_saved == trainer.global_step:
                self._written = monotonic()

    @staticmethod
    def _ends(trainer: pl.Trainer) -> bool:
        epochs, steps = trainer.max_epochs, trainer.max_steps
        return bool(
            trainer.should_stop or trainer.current_epoch + 1 == epochs or 0 < steps <= trainer.global_step
        )
