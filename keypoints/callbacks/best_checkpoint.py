"""Checkpoint of the best epoch, which is used for prediction.

Lightning's ModelCheckpoint chooses the epoch, by ``monitor`` in ``conf/callbacks/default.yaml``.
"""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from keypoints.callbacks.metrics_history import LOGGED

_ONLY_TO_RESUME = ("optimizer_states", "current_model_state", LOGGED)
"""Entries that only a resumed run needs: optimizer states, the current weights if averaged weights are saved,
and the logged rows."""


class BestCheckpoint(ModelCheckpoint):
    """Checkpoint of the best epoch, without the entries that only a resumed run needs.

    With Adam, these are two thirds of the file.

    A run resumes from its last epoch, see :class:`keypoints.callbacks.last_checkpoint.LastCheckpoint`.
    Lightning's own ``save_weights_only`` would leave out averaged weights too.

    Args:
        settings: arguments of Lightning's ModelCheckpoint.
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
        """Remove the entries for resuming from the best epoch's file only, after all other callbacks."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self._saving:
            for name in _ONLY_TO_RESUME:
                checkpoint.pop(name, None)
