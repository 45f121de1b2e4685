"""How long a training takes, epoch by epoch, and what it spends the time on."""

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
"""What Lightning's actions are counted as, by a part of their name; the others are its own, or callbacks'."""


@cache
def _has_gpu() -> bool:
    return torch.cuda.is_available()


def now() -> float:
    """The time in seconds, once the GPU has caught up."""
    if _has_gpu():
        torch.cuda.synchronize()
    return perf_counter()


class Epoch(NamedTuple):
    """The seconds of one epoch; the validation's own forward passes are left out."""

    timed: int
    """How many steps it had as it was run."""
    steps: float
    """From its beginning to the end of the last of them."""
    rest: float
    """From there to the next epoch: callbacks, checkpoints, logging."""

    def seconds(self, steps: int) -> float:
        """What an epoch of so many steps takes."""
        return self.steps * steps / self.timed + self.rest


class Stopwatch(pl.Callback):
    """Times each epoch but the first, which is warm-up, and the last, which does what ends a training.

    It has to be the first callback, so that it sees all others.

    The clock is read, and a GPU waited for, at an epoch's beginning and its last step alone.

    Args:
        shares: counts the same epochs, if it is given.

    Attributes:
        epochs: the epochs that were timed.
        memory: the most bytes that were resident at an epoch's end, loader's processes included.
    """

    def __init__(self, shares: "Shares | None" = None) -> None:
        self.epochs: list[Epoch] = []
        self.memory = 0
        self._shares = shares
        self._began = self._last = self._validating = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """The epoch before is over."""
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
        """Note when the last step is done."""
        if batch_idx + 1 == trainer.num_training_batches:
            self._last = now()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """The clock stands still."""
        self._validating -= now()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """It goes on: what callbacks make of the validation counts."""
        self._validating += now()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Leave out what is done before an epoch's first step."""
        began = now()
        yield
        self._began += now() - began

    def _end_epoch(self, trainer: pl.Trainer) -> None:
        rest = now() - self._last - self._validating
        self.epochs.append(Epoch(int(trainer.num_training_batches), self._last - self._began, rest))
        self.memory = max(self.memory, resident())


def resident() -> int:
    """Bytes in memory of this process, and of those that it started what they do not share with it."""
    process = psutil.Process()
    children = process.children(recursive=True)
    return int(process.memory_info().rss + sum(child.memory_full_info().uss for child in children))


class Shares(Profiler):
    """What a training's time goes to, by kind: Lightning's own profiler hooks, each without those within it.

    Attributes:
        of_steps: seconds by kind, of what is done at each step.
        of_epochs: seconds by kind, of what is done once an epoch; the validation's own is left out.
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
        """Forget what was counted so far."""
        self.of_steps: defaultdict[str, float] = defaultdict(float)
        self.of_epochs: defaultdict[str, float] = defaultdict(float)
        self._since = now()

    def pause(self) -> None:
        """Count no more."""
        self._charge()
        self._paused = True

    def start(self, action_name: str) -> None:
        """An action begins within those that are open."""
        self._charge()
        self._open.append(action_name)

    def stop(self, action_name: str) -> None:  # noqa: ARG002
        """The last one that began ends."""
        self._charge()
        self._open.pop()

    def _charge(self) -> None:
        """Count the time since the last change for the innermost open action."""
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
