"""Line per epoch in the log of a training."""

import logging
from multiprocessing import parent_process
from pathlib import Path

import pytorch_lightning as pl

from keypoints.callbacks.epoch_progress import TRAIN, VAL, TimeLeft, epoch_words, logged, monitored
from keypoints.formatting import clock, shown
from keypoints.logs import log_in_files

log = logging.getLogger(__name__)

_DIGITS = 4
"""Significant digits of losses and metrics."""


class EpochLines(pl.Callback):
    """Log of each epoch on one line: losses, monitored metric, its best value so far, remaining time.

    Where a progress bar shows the same, the line is only in the log file, not in the terminal.

    An epoch's line is logged when the next epoch starts, because Lightning has the mean of the training loss
    only after this callback's end of the epoch.
    """

    def __init__(self) -> None:
        self._time = TimeLeft()
        self._ended: int | None = None
        self._validated = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Start the clock."""
        self._time.begin(trainer)
        self._ended, self._validated = None, False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Record that the epoch was validated."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Record which epoch has ended."""
        self._ended = trainer.current_epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Log the previous epoch."""
        if self._ended is not None:
            self._log(trainer, self._ended, self._time.shown(trainer, self._ended + 1))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Log the last epoch, with the time of all."""
        if self._ended is not None:
            self._log(trainer, self._ended, f"{clock(self._time.passed)} in all")

    def _log(self, trainer: pl.Trainer, epoch: int, time: str) -> None:
        validated, self._ended, self._validated = self._validated, None, False
        if not trainer.is_global_zero:
            return
        parts = [f"train loss {shown(logged(trainer, TRAIN), _DIGITS)}"]
        if validated:
            parts += _of_validation(trainer)
        text = f"{_run_words(trainer)}{epoch_words(trainer, epoch)}: {', '.join([*parts, time])}"
        bar = trainer.progress_bar_callback
        if bar is not None and getattr(bar, "is_enabled", True):
            log_in_files(log, "%s", text)
        else:
            log.info("%s", text)


def _run_words(trainer: pl.Trainer) -> str:
    """Return the name of the run's folder, if parallel runs share the output; else an empty text."""
    return "" if parent_process() is None else f"{Path(trainer.default_root_dir).name}: "


def _of_validation(trainer: pl.Trainer) -> list[str]:
    """Return the validation loss and the monitored metric in words."""
    names, metric = {VAL: "val loss"}, monitored(trainer)
    if metric is not None:
        names.setdefault(metric.name, metric.name)
    parts = {name: f"{text} {shown(logged(trainer, name), _DIGITS)}" for name, text in names.items()}
    if metric is not None and metric.best is not None:
        parts[metric.name] += f" (best {shown(metric.best, _DIGITS)})"
    return list(parts.values())
