"""What makes a run the same whether it was stopped and resumed or not."""

import numpy as np
import pytorch_lightning as pl
import torch


class SeedEachEpoch(pl.Callback):
    """Seeds torch as each epoch begins, from the run's seed and the epoch alone.

    So dropout draws in a resumed run what it would have drawn in one that never stopped. The order
    of the faces and their augmentation are functions of seed and epoch by themselves.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Seed for this epoch and process."""
        sequence = np.random.SeedSequence([self._seed, trainer.current_epoch, trainer.global_rank])
        torch.manual_seed(int(sequence.generate_state(1)[0]))
