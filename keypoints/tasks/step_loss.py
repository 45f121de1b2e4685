"""Training loss of single steps, logged without a call of Lightning's ``log`` at each step.

See :mod:`keypoints.tasks.epoch_mean` for the cost of ``log``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

STEP_LOSS = "loss/train_step"
"""Name of the metric."""

_MOST_UNREAD = 5
"""Number of losses after which they are read from a GPU, since the CPU has to wait for each reading."""


class _Entry(NamedTuple):
    step: int
    loss: Tensor


class StepLoss:
    """Logger of the training loss of each ``log_every_n_steps``-th optimizer step.

    It logs with the number of the step and without the epoch, so a table by epoch is not changed by it. Of
    several processes, the first one logs the loss of its own faces.
    """

    def __init__(self) -> None:
        self._batches: list[Tensor] = []
        self._unread: list[_Entry] = []
        self._steps = 0

    def begin(self, steps: int) -> None:
        """Begin an epoch.

        Args:
            steps: number of optimizer steps before it.
        """
        self._batches.clear()
        self._unread.clear()
        self._steps = steps

    def add(self, loss: Tensor, trainer: pl.Trainer) -> None:
        """Add the loss of a batch, and log the step's loss if the step is complete and due.

        Args:
            loss: loss of the batch divided by ``accumulate_grad_batches``, a scalar without a graph.
            trainer: the trainer, after the batch.
        """
        self._batches.append(loss)
        steps = trainer.global_step
        if steps == self._steps:  # the step takes further batches
            return
        self._steps = steps
        batches, self._batches = self._batches, []
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every == 0 or steps % every or not trainer.is_global_zero:
            return
        self._unread.append(_Entry(steps - 1, _mean(batches) * trainer.accumulate_grad_batches))
        if loss.device.type == "cpu" or len(self._unread) >= _MOST_UNREAD:
            self.log(trainer)

    def log(self, trainer: pl.Trainer) -> None:
        """Log all losses that are not logged yet.

        Args:
            trainer: the trainer, whose loggers log them.
        """
        unread, self._unread = self._unread, []
        for step, loss in unread:
            for logger in trainer.loggers:
                logger.log_metrics({STEP_LOSS: float(loss)}, step)


def _mean(batches: Sequence[Tensor]) -> Tensor:
    return batches[0] if len(batches) == 1 else torch.stack(list(batches)).mean()
