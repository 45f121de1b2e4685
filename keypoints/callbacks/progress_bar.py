"""Progress bar of a training."""

import sys
from importlib.util import find_spec
from multiprocessing import parent_process
from time import monotonic
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from rich import get_console
from rich.progress import BarColumn, ProgressColumn
from rich.progress import Task as Row
from rich.text import Text

from keypoints.callbacks.epoch_progress import TRAIN, VAL, TimeLeft, epoch_words, logged, monitored
from keypoints.formatting import clock, shown
from keypoints.tasks.base import Task

_WIDE = 110
"""Columns of a terminal from which the best value and the steps per second have a place too."""

_NARROWEST, _WIDEST = 4, 40
"""Columns of the bar itself."""

_NUMBER = len("1.23e-05")
"""Columns of a longest usual value."""


class ProgressBar(RichProgressBar):
    """Lightning's progress bar with losses, monitored metric and the training's remaining time.

    It is updated only when a redraw is due and at each epoch's last step. Where nobody sees it change, in a
    pipe or a file, it is not shown; :class:`keypoints.EpochLines` logs the same.

    Args:
        refresh_rate: redraws per second; 0 shows no bar.
        settings: further arguments of Lightning's RichProgressBar.
    """

    def __init__(self, refresh_rate: float = 4, **settings: Any) -> None:
        super().__init__(refresh_rate=refresh_rate, **settings)  # type: ignore[arg-type]  # it is only compared
        self._updated = 0.0
        self._time = TimeLeft()
        self._left = _TimeColumn(self.theme.time)

    @property
    def is_enabled(self) -> bool:
        """True if the bar is shown: it was not disabled, and the output is a terminal or a notebook."""
        return super().is_enabled and _is_live()

    def configure_columns(self, trainer: pl.Trainer) -> list[ProgressColumn]:
        """Return the columns before the metrics; a narrow terminal shows no steps per second.

        Args:
            trainer: Trainer that shows the bar.
        """
        words, bar, batches, _, speed = super().configure_columns(trainer)
        if isinstance(bar, BarColumn):
            bar.bar_width = _bar_width(trainer)
        columns = [words, bar, batches, self._left]
        return [*columns, speed] if _is_wide() else columns

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return losses, monitored metric and whatever is logged for the bar, by short names.

        Args:
            trainer: Trainer that shows the bar.
            pl_module: the task; the training loss of a :class:`keypoints.Task` is its mean over the epoch so
                far.
        """
        running = pl_module.running_loss if isinstance(pl_module, Task) else None
        metric = monitored(trainer)
        found = {
            "train": logged(trainer, TRAIN) if running is None else running,
            "val": logged(trainer, VAL),
        }
        if metric is not None and metric.name not in (TRAIN, VAL):
            found[metric.short] = logged(trainer, metric.name)
        if metric is not None and _is_wide():
            found["best"] = metric.best
        own = {name: shown(value) for name, value in found.items() if value is not None}
        others = super().get_metrics(trainer, pl_module)
        return {**own, **{name: value for name, value in others.items() if name != "v_num"}}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock and the bar."""
        self._time.begin(trainer)
        super().on_train_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the bar with this step, if an update is due."""
        if not self.is_enabled:
            return
        moment = monotonic()
        if trainer.is_last_batch or moment - self._updated >= 1 / self.refresh_rate:
            self._updated = moment
            ended = trainer.current_epoch + (batch_idx + 1) / trainer.num_training_batches
            self._left.seconds = self._time.seconds(trainer, ended)
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


class _TimeColumn(ProgressColumn):
    """Column with the remaining time of the training, or of another stage.

    Args:
        style: style of the text, as rich names it.

    Attributes:
        seconds: remaining seconds of the training; ``None`` if they are unknown.
    """

    max_refresh = 0.5

    def __init__(self, style: Any) -> None:
        super().__init__()
        self.seconds: float | None = None
        self._style = style

    def render(self, task: Row) -> Text:
        """Return the time of one row of the bar."""
        seconds = self.seconds if self.seconds is not None else task.time_remaining
        text = "-:--:--" if seconds is None else clock(seconds)
        return Text(f"{text} left" if _is_wide() else text, style=self._style)


def _is_live() -> bool:
    """Return whether the standard output is a terminal or a notebook, and of this process alone.

    Rich shows changes in a notebook only by ipywidgets; without it, it warns and shows nothing.
    The parallel runs of ``launch=cores`` share a terminal, where their bars would overwrite each other.
    """
    if parent_process() is not None:
        return False
    console = get_console()
    if console.is_jupyter:
        return find_spec("ipywidgets") is not None
    return sys.stdout.isatty() and not console.is_dumb_terminal


def _is_wide() -> bool:
    return get_console().width >= _WIDE


def _bar_width(trainer: pl.Trainer) -> int:
    """Return the columns that are left for the bar itself, so that no other column is cut.

    Args:
        trainer: Trainer at the start of the training.
    """
    metric = monitored(trainer)
    names = ["train", "val", *([metric.short] if metric is not None else [])]
    wide = ["best"] if _is_wide() else []
    metrics = sum(len(f"{name}: ") + _NUMBER + 1 for name in [*names, *wide])
    batches = 2 * len(str(trainer.num_training_batches)) + 1
    speed = len(" left 1000.00it/s") if wide else 0
    words = max(len(epoch_words(trainer, trainer.max_epochs or 0)), len("Validation"))
    needed = words + batches + len(" 10:00:00 ") + metrics + speed + 2
    return min(max(get_console().width - needed, _NARROWEST), _WIDEST)
