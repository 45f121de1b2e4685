"""Seeding at each epoch, so that a resumed run equals a run that was never stopped."""

import numpy as np
import pytorch_lightning as pl
import torch


class SeedEachEpoch(pl.Callback):
    """Seeding of torch at the start of each epoch, from the run's seed, the epoch and the process only.

    Dropout in a resumed run then samples the same values as in a run that was never stopped. The order of
    the faces and their augmentation depend only on seed and epoch anyway.

    Args:
        seed: seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Seed torch for this epoch and process."""
        sequence = np.random.SeedSequence([self._seed, trainer.current_epoch, trainer.global_rank])
        torch.manual_seed(int(sequence.generate_state(1)[0]))
