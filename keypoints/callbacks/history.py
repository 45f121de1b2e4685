"""The validation metrics of each epoch, kept with the run whatever loggers it has."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor


class History(pl.Callback):
    """Keeps the metrics of the epochs that were validated; a checkpoint holds them too.

    Attributes:
        rows: one dict an epoch: ``epoch``, and each metric that was logged with ``val/`` in its name.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Keep the metrics of the epoch, if it was validated."""
        known: dict[str, Tensor] = dict(trainer.callback_metrics)
        measured = {name: float(value) for name, value in known.items() if name.startswith("val/")}
        if measured:
            self.rows.append({"epoch": float(trainer.current_epoch), **measured})

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what a checkpoint kept."""
        self.rows = list(state_dict["rows"])
