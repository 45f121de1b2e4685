"""Losses, monitored metric and remaining time of a training, for its progress bar and its log."""

from time import monotonic
from typing import NamedTuple

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint, Timer
from pytorch_lightning.trainer.states import RunningStage

from keypoints.formatting import clock

TRAIN = "loss/train"
"""Name of the logged training loss."""

VAL = "loss/val"
"""Name of the logged validation loss."""


class Monitored(NamedTuple):
    """Metric that chooses the best checkpoint."""

    name: str
    """Name under which it is logged, such as ``val/mse``."""
    best: float | None
    """Its best value so far; ``None`` before the first validation."""

    @property
    def short(self) -> str:
        """Name without the part before the slash, which says that it is a validation metric."""
        return self.name.rpartition("/")[2]


def monitored(trainer: pl.Trainer) -> Monitored | None:
    """Return the metric that chooses the best checkpoint; ``None`` if there is none.

    Args:
        trainer: Trainer with its callbacks.
    """
    for each in trainer.checkpoint_callbacks:
        if isinstance(each, ModelCheckpoint) and each.monitor is not None:
            score = None if each.best_model_score is None else float(each.best_model_score)
            # The checkpoint is written after some callbacks have asked for the epoch's best value.
            known = [value for value in (score, logged(trainer, each.monitor)) if value is not None]
            finite = [value for value in known if value == value]  # noqa: PLR0124  NaN is not itself
            best = {"min": min, "max": max}[each.mode](finite, default=None)
            return Monitored(each.monitor, best)
    return None


def logged(trainer: pl.Trainer, name: str) -> float | None:
    """Return the last logged value of a metric; ``None`` before it is logged.

    Args:
        trainer: Trainer that logs the metric.
        name: name of the metric.
    """
    value = trainer.callback_metrics.get(name)
    return None if value is None else float(value)


class TimeLeft:
    """Estimate of the remaining time, from the mean time of this process's epochs and steps."""

    def __init__(self) -> None:
        self._began = monotonic()
        self._first_epoch = self._first_step = 0

    def begin(self, trainer: pl.Trainer) -> None:
        """Start the clock.

        Args:
            trainer: Trainer, at the start of the training, which may resume.
        """
        self._began = monotonic()
        self._first_epoch, self._first_step = trainer.current_epoch, trainer.global_step

    @property
    def passed(self) -> float:
        """Seconds since the training started."""
        return monotonic() - self._began

    def seconds(self, trainer: pl.Trainer, epochs: float) -> float | None:
        """Return the seconds until the first of the trainer's limits: epochs, steps or time.

        Args:
            trainer: Trainer of the training.
            epochs: epochs that have ended, with the fraction of the current one.

        Returns:
            The seconds; ``None`` if the training has no such limit, or has made no step yet.
        """
        left = [
            self.passed * (limit - done) / (done - first)
            for limit, done, first in (
                (trainer.max_epochs, epochs, self._first_epoch),
                (trainer.max_steps, trainer.global_step, self._first_step),
            )
            if limit is not None and limit > 0 and done > first
        ]
        for each in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(each, Timer) and (rest := each.time_remaining(RunningStage.TRAINING)) is not None:
                left.append(rest)
        return max(min(left), 0) if left else None

    def shown(self, trainer: pl.Trainer, epochs: float) -> str:
        """Return the remaining time in words; before it is known, and without an end, the passed time.

        Args:
            trainer: Trainer of the training.
            epochs: as for :meth:`seconds`.
        """
        seconds = self.seconds(trainer, epochs)
        return f"{clock(self.passed)} so far" if seconds is None else f"{clock(seconds)} left"


def epoch_words(trainer: pl.Trainer, epoch: int) -> str:
    """Return the number of an epoch and of the last epoch; both count from 0, as in ``metrics.csv``.

    Args:
        trainer: Trainer of the training.
        epoch: number of the epoch.
    """
    last = trainer.max_epochs
    return f"epoch {epoch}" if last is None or last < 0 else f"epoch {epoch}/{last - 1}"
