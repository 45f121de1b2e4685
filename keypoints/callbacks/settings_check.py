"""Looking, before the first epoch, whether a training's settings can work."""

import logging
from collections.abc import Iterator, Mapping
from math import ceil, inf
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, LambdaCallback, LearningRateMonitor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from keypoints.callbacks.mean_shape_baseline import ConstantPredictor
from keypoints.errors import ConfigError
from keypoints.tasks.base import Task

log = logging.getLogger(__name__)

_KNOWN = ("keypoints.", "pytorch_lightning.")
"""Packages of which it is known what they log."""


class SettingsCheck(pl.Callback):
    """Refuses, before the first epoch, a training without a validation, or a metric that nothing logs.

    Lightning says so only once the epoch has ended. It has to come behind the other callbacks, of which some
    learn as the training starts what they log.

    Raises:
        ConfigError: the key, the value and what to take instead.
    """

    def __init__(self) -> None:
        self._callbacks: dict[str, pl.Callback] = {}

    def watch(self, callbacks: Mapping[str, pl.Callback]) -> None:
        """Check these callbacks.

        Args:
            callbacks: those of the configuration, by their keys, for messages.
        """
        self._callbacks = dict(callbacks)

    def key_of(self, callback: object) -> str | None:
        """Return the key of a callback of the configuration; nothing for another object."""
        return next((key for key, each in self._callbacks.items() if each is callback), None)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check how long the training is, and what is monitored."""
        _check_steps(trainer)
        names = {*_logged(pl_module), *(name for each in self._callbacks.values() for name in _logged(each))}
        if not all(_is_known(each) for each in (pl_module, *self._callbacks.values())):
            return  # code of the user's own may log anything
        for key, monitor, strict in self._monitored(trainer):
            if monitor in names:
                continue
            text = f"{key}.monitor={monitor} is not logged; these are: {', '.join(sorted(names))}"
            if strict:
                raise ConfigError(text)
            log.warning("%s", text)

    def _monitored(self, trainer: pl.Trainer) -> Iterator[tuple[str, str, bool]]:
        """Give the key, the metric, and whether the training ends without it, of all that monitor one."""
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau) and config.monitor is not None:
                yield "scheduler", config.monitor, True
        for key, callback in self._callbacks.items():
            if isinstance(monitor := getattr(callback, "monitor", None), str):
                yield key, monitor, not isinstance(callback, EarlyStopping) or callback.strict


def check_length(trainer: pl.Trainer) -> None:
    """See that a trainer trains and validates at all, as far as its own settings say.

    Raises:
        ConfigError: if it does not.
    """
    for name, what in (
        ("max_epochs", "trains nothing"),
        ("max_steps", "trains nothing"),
        ("limit_train_batches", "trains nothing"),
        ("limit_val_batches", "validates nothing, and the best epoch is chosen by its validation"),
    ):
        if getattr(trainer, name) == 0:
            instead = (
                "; to validate seldom: +trainer.check_val_every_n_epoch=<epochs>" if "val" in name else ""
            )
            raise ConfigError(f"trainer.{name}=0 {what}; take 1 or more{instead}")
    if trainer.accumulate_grad_batches < 1:
        raise ConfigError(
            "trainer.accumulate_grad_batches is 1 or more batches a step, not "
            f"{trainer.accumulate_grad_batches}"
        )
    every, epochs = trainer.check_val_every_n_epoch, trainer.max_epochs
    if every is not None and epochs is not None and 0 < epochs < every:
        raise ConfigError(
            f"trainer.check_val_every_n_epoch={every} is more than trainer.max_epochs={epochs}, so that no "
            "epoch would be validated; take at most as many"
        )


def _check_steps(trainer: pl.Trainer) -> None:
    """See that the training goes on until its first validation.

    Raises:
        ConfigError: if it ends before.
    """
    between, batches = trainer.val_check_batch, trainer.num_training_batches
    if between is None or inf in (between, batches):  # validated by the clock, or a stream
        return
    every = trainer.check_val_every_n_epoch
    first = between if every is None else (every - 1) * batches + between
    whole, rest = divmod(first, batches)
    steps = int(
        whole * ceil(batches / trainer.accumulate_grad_batches) + rest // trainer.accumulate_grad_batches
    )
    if 0 < trainer.max_steps < steps:
        raise ConfigError(
            f"trainer.max_steps={trainer.max_steps} ends before the first validation, which comes after step "
            f"{steps}; take at least as many, or a smaller trainer.val_check_interval"
        )
    if 0 < (trainer.max_epochs or 0) * batches < first:
        raise ConfigError(
            f"trainer.max_epochs={trainer.max_epochs} ends before the first validation, which comes after "
            f"batch {first}; take a smaller trainer.val_check_interval"
        )


def _logged(owner: object) -> Iterator[str]:
    """Give the names of the metrics that a task or a callback logs, once the training starts."""
    if isinstance(owner, Task | ConstantPredictor):
        yield from owner.logged
    elif isinstance(owner, LearningRateMonitor):
        yield from owner.lrs


def _is_known(owner: Any) -> bool:
    return type(owner).__module__.startswith(_KNOWN) and not isinstance(owner, LambdaCallback)
