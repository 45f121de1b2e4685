"""What a training begins with: trainer, faces and task, and of a resumed one what it had logged."""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.loggers import CSVLogger

from keypoints.callbacks.metrics_history import LOGGED
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import CheckpointError, ConfigError, some_of
from keypoints.files import write_whole
from keypoints.instantiate import make_data, make_task, make_trainer, trust_of
from keypoints.models import pretrained
from keypoints.runs.checkpoint_files import find_checkpoint
from keypoints.runs.history import read_logged
from keypoints.runs.metrics_table import MetricsTable, Row
from keypoints.runs.run_folder import RunFolder
from keypoints.tasks.base import Task, load_task
from keypoints.tasks.checkpoint import read_checkpoint

log = logging.getLogger(__name__)

_NAMED = 6
"""Weights that a message names."""


@dataclass(frozen=True)
class Prepared:
    """Parts of a training.

    Args:
        trainer: with callbacks and loggers.
        data: the faces, read.
        task: the network with its loss and optimizer.
        checkpoint: that the training is resumed from, if any.
    """

    trainer: pl.Trainer
    data: FaceDataModule
    task: Task
    checkpoint: Path | None


def prepare(run: RunFolder, cfg: DictConfig, *, resumed: bool, recorded: bool) -> Prepared:
    """Make the parts of a run, and write ``landmarks.json``.

    Args:
        run: its folder.
        cfg: the configuration of ``keypoints train``.
        resumed: resume from the folder's last checkpoint, if there is one.
        recorded: whether ``cfg`` was read from a folder, so that only trusted classes are built.

    Raises:
        KeypointsError: for what the user can mend.
    """
    checkpoint = run.last_checkpoint if resumed and run.last_checkpoint.is_file() else None
    before = None if checkpoint is None else _to_go_on_from(checkpoint)
    step = None if before is None else int(before["global_step"])
    # Before the faces, which may take minutes to decode: a slip in a setting is told at once.
    trainer = make_trainer(cfg, purge_step=step, recorded=recorded)
    data, task = data_and_task(cfg, blank=checkpoint is not None, recorded=recorded)
    write_whole(run.landmarks, json.dumps(data.scheme.to_dict()) + "\n")
    if before is not None:
        _log_again(trainer, _logged_before(run, before))
    return Prepared(trainer, data, task, checkpoint)


def prepare_to_join(run: RunFolder, cfg: DictConfig, *, resumed: bool, recorded: bool) -> Prepared:
    """Make the parts of a run for a further process of it; the first process shares its weights.

    Args:
        run, cfg, resumed, recorded: as of :func:`prepare`.

    Raises:
        KeypointsError: as :func:`prepare`.
    """
    checkpoint = run.last_checkpoint if resumed and run.last_checkpoint.is_file() else None
    trainer = make_trainer(cfg, recorded=recorded)
    return Prepared(trainer, *data_and_task(cfg, blank=True, recorded=recorded), checkpoint)


def best_task(run: RunFolder, parts: Prepared, cfg: DictConfig, *, recorded: bool) -> Task:
    """Return the task of a run's best epoch, or as it is after the last where the run keeps none.

    Args:
        run: its folder.
        parts: of the training, which has ended.
        cfg, recorded: as of :func:`prepare`.

    Raises:
        CheckpointError: if the checkpoint cannot be used.
    """
    if not run.best_checkpoint.is_file():
        return parts.task.eval()
    return load_task(run.best_checkpoint, trust=trust_of(cfg, recorded=recorded))


def data_and_task(cfg: DictConfig, *, blank: bool, recorded: bool) -> tuple[FaceDataModule, Task]:
    """Return the faces, read, and the task.

    Args:
        cfg, recorded: as of :func:`prepare`.
        blank: the task's weights come from elsewhere, so none are downloaded or taken from another run.
    """
    start = find_checkpoint(str(cfg.start_from), "best")[0] if cfg.get("start_from") and not blank else None
    trust = trust_of(cfg, recorded=recorded)
    other = (
        None if start is None else load_task(start, trust=trust)
    )  # before faces are decoded: it is quicker
    data = make_data(cfg, recorded=recorded)
    data.setup("fit")
    with pretrained.blank() if blank else nullcontext():
        task = make_task(cfg, data, recorded=recorded)
    if start is not None and other is not None:
        _start_from(task, data, other, start)
    return data, task


def _start_from(task: Task, data: FaceDataModule, other: Task, path: Path) -> None:
    try:
        anew = task.start_from(other)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    log.info("begins with the weights of %s", path)
    if other.scheme != task.scheme:
        names = other.scheme.name, task.scheme.name
        log.warning("its landmarks are those of %s, and here they are those of %s", *names)
    if anew:
        log.warning("but these have no counterpart there, and begin anew: %s", some_of(anew, _NAMED))
    if task.trained_on is None:
        log.warning("it does not say which faces it was trained on: judge this one by none of them")
    elif met := data.leaks(task.trained_on, "val"):
        log.warning(
            "it was trained on %d of the %d validation faces, or on others of their groups: they do not show "
            "how well new faces are found",
            len(met),
            len(data.splits["val"]),
        )


def _to_go_on_from(path: Path) -> dict[str, Any]:
    """Return the contents of a checkpoint that a training is to go on from.

    Raises:
        CheckpointError: if it cannot be read, or holds weights alone.
    """
    checkpoint = read_checkpoint(path)
    if "optimizer_states" not in checkpoint:
        raise CheckpointError(
            f"{path}: holds weights alone, and not the optimizer's state; begin a new run with them: "
            f"start_from={path}"
        )
    return checkpoint


def _logged_before(run: RunFolder, checkpoint: Mapping[str, Any]) -> list[Row]:
    """Return the rows that a run had logged when its checkpoint was written."""
    if LOGGED in checkpoint:
        return list(checkpoint[LOGGED])
    if not run.metrics.is_file():
        log.warning("%s is gone: curves begin with the next epoch", run.metrics)
        return []
    logged = read_logged(run)
    # A checkpoint of an older version does not hold them.
    rows = logged[logged["step"] < int(checkpoint["global_step"])].to_dict("records")
    return [{str(name): value for name, value in row.items() if value == value} for row in rows]  # noqa: PLR0124


def _log_again(trainer: pl.Trainer, rows: Sequence[Row]) -> None:
    """Let the loggers of tables, which start empty, have these rows."""
    for logger in trainer.loggers:
        if isinstance(logger, MetricsTable):
            logger.restore(rows)
        elif isinstance(logger, CSVLogger):  # of a run that an older version began
            for row in rows:
                logger.log_metrics(
                    {name: value for name, value in row.items() if name != "step"}, int(row["step"])
                )
            logger.save()


def seed(cfg: DictConfig) -> None:
    """Seed all random number generators of the process.

    Raises:
        ConfigError: if the seed is no whole number from 0 up.
    """
    try:
        pl.seed_everything(cfg.seed, workers=True, verbose=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"seed is a whole number from 0 up, not {cfg.seed!r}") from error
