"""Check of a training's settings before its first epoch."""

import logging
from collections.abc import Iterator, Mapping
from math import ceil, inf
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, LambdaCallback, LearningRateMonitor
from torch.backends import cpu
from torch.optim.lr_scheduler import ReduceLROnPlateau

from keypoints.callbacks.mean_shape_baseline import ConstantPredictor
from keypoints.errors import ConfigError
from keypoints.tasks.base import Task

log = logging.getLogger(__name__)

_KNOWN = ("keypoints.", "pytorch_lightning.")
"""Prefixes of the packages whose logged metrics are known."""


class SettingsCheck(pl.Callback):
    """Check before the first epoch that refuses a training without validation or with an unknown metric.

    Lightning reports an unknown metric only at the end of the epoch. This callback must come after the
    others, since some of them determine their metrics when the training starts.

    Raises:
        ConfigError: names the key, the value and the valid values.
    """

    def __init__(self) -> None:
        self._callbacks: dict[str, pl.Callback] = {}

    def watch(self, callbacks: Mapping[str, pl.Callback]) -> None:
        """Set the callbacks to check.

        Args:
            callbacks: the configuration's callbacks by their keys, which messages name.
        """
        self._callbacks = dict(callbacks)

    def key_of(self, callback: object) -> str | None:
        """Return the configuration key of a callback.

        Args:
            callback: any object.

        Returns:
            The key; ``None`` if the object is no callback of the configuration.
        """
        return next((key for key, each in self._callbacks.items() if each is callback), None)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the training's length, its precision and the monitored metrics."""
        _check_steps(trainer)
        _warn_of_slow_precision(trainer)
        names = {*_logged(pl_module), *(name for each in self._callbacks.values() for name in _logged(each))}
        if not all(_is_known(each) for each in (pl_module, *self._callbacks.values())):
            return  # the user's own code may log any metric
        for key, monitor, strict in self._monitored(trainer):
            if monitor in names:
                continue
            text = (
                f"{key}.monitor={monitor} is not logged; the logged metrics are: {', '.join(sorted(names))}"
            )
            if strict:
                raise ConfigError(text)
            log.warning("%s", text)

    def _monitored(self, trainer: pl.Trainer) -> Iterator[tuple[str, str, bool]]:
        """Yield key, metric and True if it is required, for each object that monitors a metric."""
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau) and config.monitor is not None:
                yield "scheduler", config.monitor, True
        for key, callback in self._callbacks.items():
            if isinstance(monitor := getattr(callback, "monitor", None), str):
                yield key, monitor, not isinstance(callback, EarlyStopping) or callback.strict


def _warn_of_slow_precision(trainer: pl.Trainer) -> None:
    """Warn of a precision that the processor can only emulate; measured with heatmaps: 13 times slower."""
    on_cpu = trainer.strategy.root_device.type == "cpu"
    if on_cpu and str(trainer.precision).startswith("bf16") and cpu.get_cpu_capability() == "AVX2":
        log.warning(
            "trainer.precision=%s: this processor (AVX2) only emulates it, which may be ten times slower; "
            "trainer.precision=32-true is the faster choice here",
            trainer.precision,
        )


def check_length(trainer: pl.Trainer) -> None:
    """Check that the trainer's own settings include some training and validation.

    Raises:
        ConfigError: if nothing would be trained or validated.
    """
    for name, what in (
        ("max_epochs", "trains nothing"),
        ("max_steps", "trains nothing"),
        ("limit_train_batches", "trains nothing"),
        ("limit_val_batches", "validates nothing, and the best epoch is chosen by its validation"),
    ):
        if getattr(trainer, name) == 0:
            instead = (
                "; to validate less often: trainer.check_val_every_n_epoch=<epochs>" if "val" in name else ""
            )
            raise ConfigError(f"trainer.{name}=0 {what}; take 1 or more{instead}")
    if trainer.accumulate_grad_batches < 1:
        raise ConfigError(
            "trainer.accumulate_grad_batches is 1 or more batches per step, not "
            f"{trainer.accumulate_grad_batches}"
        )
    every, epochs = trainer.check_val_every_n_epoch, trainer.max_epochs
    if every is not None and epochs is not None and 0 < epochs < every:
        raise ConfigError(
            f"trainer.check_val_every_n_epoch={every} is more than trainer.max_epochs={epochs}, so no epoch "
            f"would be validated; take {epochs} or less"
        )


def _check_steps(trainer: pl.Trainer) -> None:
    """Check that the training reaches its first validation.

    Raises:
        ConfigError: if the training ends before its first validation.
    """
    between, batches = trainer.val_check_batch, trainer.num_training_batches
    if between is None or inf in (between, batches):  # validation by time, or data of unknown length
        return
    every = trainer.check_val_every_n_epoch
    first = between if every is None else (every - 1) * batches + between
    full_epochs, rest = divmod(first, batches)
    steps = int(
        full_epochs * ceil(batches / trainer.accumulate_grad_batches)
        + rest // trainer.accumulate_grad_batches
    )
    if 0 < trainer.max_steps < steps:
        raise ConfigError(
            f"trainer.max_steps={trainer.max_steps} ends before the first validation, which comes after step "
            f"{steps}; take {steps} or more, or a smaller trainer.val_check_interval"
        )
    if 0 < (trainer.max_epochs or 0) * batches < first:
        raise ConfigError(
            f"trainer.max_epochs={trainer.max_epochs} ends before the first validation, which comes after "
            f"batch {first}; take a smaller trainer.val_check_interval"
        )


def _logged(owner: object) -> Iterator[str]:
    """Yield the names of the metrics that a task or a callback logs during the training."""
    if isinstance(owner, Task | ConstantPredictor):
        yield from owner.logged
    elif isinstance(owner, LearningRateMonitor):
        yield from owner.lrs


def _is_known(owner: Any) -> bool:
    return type(owner).__module__.startswith(_KNOWN) and not isinstance(owner, LambdaCallback)
