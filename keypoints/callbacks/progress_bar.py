"""Progress bar of a training."""

from time import monotonic
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar


class ProgressBar(RichProgressBar):
    """Lightning's progress bar, updated only when a redraw is due and at each epoch's last step.

    Args:
        refresh_rate: redraws per second; 0 shows no bar.
        settings: further arguments of Lightning's RichProgressBar.
    """

    def __init__(self, refresh_rate: float = 4, **settings: Any) -> None:
        super().__init__(refresh_rate=refresh_rate, **settings)  # type: ignore[arg-type]  # it is only compared
        self._updated = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the bar with this step, if an update is due."""
        if not self.is_enabled:
            return
        moment = monotonic()
        if trainer.is_last_batch or moment - self._updated >= 1 / self.refresh_rate:
            self._updated = moment
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
