"""The checkpoint that predicts."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from keypoints.callbacks.metrics_history import LOGGED

_ONLY_TO_GO_ON = ("optimizer_states", "current_model_state", LOGGED)
"""What a training goes on with: the optimizer's state, and beside averaged weights those of the moment."""


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best epoch, without what only a training that goes on needs: of Adam, two thirds of the file.

    A run goes on from its last epoch, see :class:`keypoints.callbacks.last_checkpoint.LastCheckpoint`.
    Lightning's own ``save_weights_only`` would leave out averaged weights too.

    Args:
        settings: those of Lightning's ModelCheckpoint.
    """

    _saving = False

    def _save_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        self._saving = True
        try:
            super()._save_checkpoint(trainer, filepath)
        finally:
            self._saving = False

    def on_save_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Leave that out of the best epoch's file, after all other callbacks, and of no other's."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self._saving:
            for name in _ONLY_TO_GO_ON:
                checkpoint.pop(name, None)
