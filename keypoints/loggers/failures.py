"""Failures of a logger, such as an unreachable server: the training continues without that logger."""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from keypoints.errors import KeypointsError, one_line
from keypoints.runs.metrics_table import MetricsTable

log = logging.getLogger(__name__)

_GUARDED = ("log_metrics", "save", "finalize")
"""Methods that Lightning calls during a training."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a full disk, which stop a training: it could not save its checkpoints either."""


def guard(trainer: pl.Trainer) -> None:
    """Let a training continue without a logger that fails when Lightning calls it.

    The table of metrics is not guarded, since reports and resuming need it.

    Args:
        trainer: trainer whose loggers are changed.
    """
    for logger in trainer.loggers:
        if not isinstance(logger, MetricsTable):
            for name in _GUARDED:
                setattr(logger, name, partial(_guarded, trainer, logger, getattr(logger, name)))


def _guarded(
    trainer: pl.Trainer, logger: Logger, method: Callable[..., Any], *args: Any, **kwargs: Any
) -> None:
    """Call a method of a logger, unless the logger failed before."""
    if logger in trainer.loggers:
        with attempt(trainer, logger):
            method(*args, **kwargs)


@contextmanager
def attempt(trainer: pl.Trainer, logger: Logger) -> Iterator[None]:
    """Remove a logger from its trainer, and say so, if the block fails.

    Args:
        trainer: the trainer.
        logger: one of its loggers; nothing is caught for the table of metrics.

    Raises:
        OSError: if the disk is full.
    """
    try:
        yield
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in _FULL
        if full or isinstance(logger, MetricsTable) or isinstance(error, KeypointsError):
            raise
        if logger in trainer.loggers:
            trainer.loggers = [each for each in trainer.loggers if each is not logger]
            log.warning(
                "%s failed (%s: %s); the training continues without it, and metrics.csv has all metrics",
                type(logger).__name__,
                type(error).__name__,
                one_line(error)[:200],
            )
