"""Loggers during a training: opened before it, closed after it, and continued when the run is resumed."""

import inspect
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from keypoints.errors import ConfigError, DataError, one_line
from keypoints.files import write_atomically
from keypoints.loggers.failures import attempt
from keypoints.loggers.settings import has_identifier
from keypoints.runs.run_folder import RunFolder
from keypoints.structured_files import read_json

_SET = ("MLFLOW_TRACKING_URI", "WANDB_MODE")
"""Environment variables that loggers set; the next run of a sweep would take them for the user's."""

_IDENTIFIER = re.compile(r"[\w.-]{1,128}", re.ASCII)


@contextmanager
def opened(trainer: pl.Trainer, run: RunFolder, names: Sequence[str]) -> Iterator[None]:
    """Open the loggers of a trainer for the block, and record the identifiers under which they resume.

    A run of Weights & Biases ends with the block, so that the next run of a sweep does not continue it.

    Args:
        trainer: the trainer. With ``fast_dev_run`` it has no loggers.
        run: folder of the run.
        names: names of its first loggers in the configuration.

    Raises:
        ConfigError: if a logger cannot be opened, such as for an unreachable server.
    """
    loggers = (
        {} if getattr(trainer, "fast_dev_run", False) else dict(zip(names, trainer.loggers, strict=False))
    )
    opened_loggers: list[Logger] = []
    before = {name: os.environ.get(name) for name in _SET}
    failed = True
    try:
        for name, logger in loggers.items():
            _open(name, logger)
            opened_loggers.append(logger)
        _record(run, loggers)
        yield
        failed = False
    finally:
        for logger in opened_loggers:
            with attempt(trainer, logger):
                _close(logger, failed=failed)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def read_identifiers(run: RunFolder) -> dict[str, str]:
    """Return the identifiers under which loggers resume a run, by the loggers' names.

    Args:
        run: folder of the run.

    Raises:
        DataError: if their file is damaged.
    """
    try:
        values = read_json(run.logger_ids)
    except FileNotFoundError:
        return {}
    if not all(isinstance(each, str) and _IDENTIFIER.fullmatch(each) for each in values.values()):
        raise DataError(
            f"{run.logger_ids}: holds something else than identifiers of runs; remove it, and the loggers "
            "begin new runs"
        )
    return values


def _open(name: str, logger: Logger) -> None:
    """Let a logger create its run, or find the run that it continues.

    Raises:
        ConfigError: if it cannot; the message names its key.
    """
    try:
        experiment = getattr(logger, "experiment", None)
        run = getattr(logger, "run_id", None)
        update = getattr(experiment, "update_run", None)
        if run is not None and update is not None:  # MLflow: a resumed run has ended before
            update(run, status="RUNNING")
    except Exception as error:
        raise ConfigError(
            f"logger.{name}: {type(error).__name__}: {one_line(error)[:200]}; to train without it, remove it "
            f"from config.yaml of a resumed run; for a new run, say ~logger.{name}"
        ) from error


def _record(run: RunFolder, loggers: Mapping[str, Logger]) -> None:
    """Write the identifiers of the loggers' runs, if there are any."""
    identifiers = {name: str(each.version) for name, each in loggers.items() if has_identifier(each)}
    if identifiers:
        write_atomically(run.logger_ids, json.dumps(identifiers) + "\n")


def _close(logger: Logger, *, failed: bool) -> None:
    """End the logger's run, if its public methods offer that."""
    finish = getattr(getattr(logger, "experiment", None), "finish", None)
    if not callable(finish):
        return
    if "exit_code" in inspect.signature(finish).parameters:
        finish(exit_code=int(failed))
    else:
        finish()
