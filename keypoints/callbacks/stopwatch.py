"""Timing of a training: duration of each epoch, and shares of the time by activity."""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from time import perf_counter
from typing import Any, NamedTuple

import psutil
import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import Profiler

KINDS = {
    "train_dataloader_next": "waiting for the loader",
    "batch_to_device": "copy to the device",
    "batch_transfer": "copy to the device",
    "run_training_batch": "the step",
    "optimizer_step": "the step",
    "training_step": "the step",
    "backward": "the step",
    "zero_grad": "the step",
    "log_metrics": "logging",
}
"""Activity by part of the name of Lightning's profiler actions; others count as callbacks or as Lightning."""


@cache
def _has_gpu() -> bool:
    return torch.cuda.is_available()


def now() -> float:
    """Return the time in seconds, after waiting for the GPU to finish."""
    if _has_gpu():
        torch.cuda.synchronize()
    return perf_counter()


class Epoch(NamedTuple):
    """Duration of one epoch, without the validation's forward passes."""

    timed: int
    """Number of steps that were timed."""
    steps: float
    """Seconds from the start of the epoch to the end of its last step."""
    rest: float
    """Seconds from the end of the last step to the next epoch: callbacks, checkpoints, logging."""

    def seconds(self, steps: int) -> float:
        """Return the seconds that an epoch of ``steps`` steps takes."""
        return self.steps * steps / self.timed + self.rest


class Stopwatch(pl.Callback):
    """Timer of each epoch but the first (warm-up) and the last (it includes the work that ends a training).

    It has to be the first callback, so that the time includes all other callbacks.

    It reads the clock, and waits for the GPU, only at an epoch's start and after its last step.

    Args:
        shares: profiler to restrict to the same epochs, if given.

    Attributes:
        epochs: durations of the timed epochs.
        memory: largest resident memory at an epoch's end, in bytes, including the loader's processes.
    """

    def __init__(self, shares: "Shares | None" = None) -> None:
        self.epochs: list[Epoch] = []
        self.memory = 0
        self._shares = shares
        self._began = self._last = self._validating = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Record the end of the previous epoch and the start of this one."""
        if trainer.current_epoch > 1:
            self._end_epoch(trainer)
        if self._shares is not None and trainer.current_epoch == 1:
            self._shares.clear()
        if self._shares is not None and trainer.current_epoch + 1 == trainer.max_epochs:
            self._shares.pause()
        self._began, self._validating = now(), 0.0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        """Record the end of the epoch's last step."""
        if batch_idx + 1 == trainer.num_training_batches:
            self._last = now()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Pause the clock."""
        self._validating -= now()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Resume the clock: callbacks at the end of a validation are included."""
        self._validating += now()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Exclude the time spent in the block, which precedes an epoch's first step."""
        began = now()
        yield
        self._began += now() - began

    def _end_epoch(self, trainer: pl.Trainer) -> None:
        rest = now() - self._last - self._validating
        self.epochs.append(Epoch(int(trainer.num_training_batches), self._last - self._began, rest))
        self.memory = max(self.memory, resident())


def resident() -> int:
    """Return the resident memory of this process plus its children's unshared memory, in bytes."""
    process = psutil.Process()
    children = process.children(recursive=True)
    return int(process.memory_info().rss + sum(child.memory_full_info().uss for child in children))


class Shares(Profiler):
    """Profiler of a training's time by activity; nested actions are not counted twice.

    Attributes:
        of_steps: seconds by activity, of work at each step.
        of_epochs: seconds by activity, of work once per epoch, without the validation's forward passes.
    """

    def __init__(self, trainer: pl.Trainer) -> None:
        super().__init__()
        self._trainer = trainer
        self._open: list[str] = []
        self._paused = False
        self.clear()
        for logger in trainer.loggers:
            logger.log_metrics = self._timed(logger.log_metrics)  # type: ignore[method-assign]

    def clear(self) -> None:
        """Reset all counts to zero."""
        self.of_steps: defaultdict[str, float] = defaultdict(float)
        self.of_epochs: defaultdict[str, float] = defaultdict(float)
        self._since = now()

    def pause(self) -> None:
        """Stop counting."""
        self._add_time()
        self._paused = True

    def start(self, action_name: str) -> None:
        """Start an action inside the open actions."""
        self._add_time()
        self._open.append(action_name)

    def stop(self, action_name: str) -> None:  # noqa: ARG002
        """End the innermost open action."""
        self._add_time()
        self._open.pop()

    def _add_time(self) -> None:
        """Add the time since the last change to the innermost open action."""
        moment = now()
        passed, self._since = moment - self._since, moment
        kind = self._kind()
        validating = self._trainer.validating
        measuring = kind == f"callback {Stopwatch.__name__}"
        if self._paused or measuring or (validating and not kind.startswith("callback")):
            return
        steps = "run_training_epoch" in self._open and not validating
        (self.of_steps if steps else self.of_epochs)[kind] += passed

    def _kind(self) -> str:
        for action in reversed(self._open):
            if callback := re.match(r"\[Callback\](\w+)", action):
                return f"callback {callback[1]}"
            for part, kind in KINDS.items():
                if part in action:
                    return kind
        return "Lightning itself"

    def _timed(self, log_metrics: Any) -> Any:
        def timed(*args: Any, **kwargs: Any) -> None:
            with self.profile("log_metrics"):
                log_metrics(*args, **kwargs)

        return timed
