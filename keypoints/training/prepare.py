"""Preparation of a training: trainer, faces and task, and the logged metrics of a resumed run."""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.callbacks import BatchSizeFinder, LearningRateFinder
from pytorch_lightning.loggers import CSVLogger

from keypoints.callbacks.metrics_history import LOGGED
from keypoints.datamodules.base import FaceDataModule
from keypoints.distributed import is_first
from keypoints.errors import CheckpointError, ConfigError, one_line, some_of
from keypoints.files import write_atomically
from keypoints.formatting import counted
from keypoints.instantiate import logger_names, make_data, make_task, make_trainer, trust_of
from keypoints.landmarks import LandmarkScheme
from keypoints.loggers.opening import read_identifiers
from keypoints.loggers.settings import how_resumed
from keypoints.models import pretrained
from keypoints.models.inspection import Cost, cost_of
from keypoints.runs.checkpoint_files import find_checkpoint
from keypoints.runs.history import read_logged
from keypoints.runs.metrics_table import MetricsTable, Row
from keypoints.runs.network_file import NetworkCost, write_network_cost
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import clear, read_status
from keypoints.tasks.base import Task, load_task
from keypoints.tasks.checkpoint import read_checkpoint
from keypoints.threads import allowed_cores
from keypoints.training.torch_threads import choose_threads

log = logging.getLogger(__name__)

_NAMED = 6
"""Largest number of weights that a message names."""


@dataclass(frozen=True)
class Prepared:
    """Parts of a training.

    Args:
        trainer: Trainer with callbacks and loggers.
        data: data module, set up for training.
        task: network with its loss and optimizer.
        checkpoint: file from which the training resumes, if any.
        threads: threads of torch in this process.
        loggers: names of the first of the trainer's loggers in the configuration.
    """

    trainer: pl.Trainer
    data: FaceDataModule
    task: Task
    checkpoint: Path | None
    threads: int
    loggers: Sequence[str] = ()


def prepare(run: RunFolder, cfg: DictConfig, *, resumed: bool, recorded: bool) -> Prepared:
    """Seed the random numbers, make the parts of a run; write ``landmarks.json`` and ``network.json``.

    A resumed run without a checkpoint starts again: its remaining files are removed.

    Args:
        run: folder of the run.
        cfg: configuration of ``keypoints train``.
        resumed: resume from the folder's last checkpoint, if there is one.
        recorded: whether ``cfg`` was read from a folder, so that only trusted classes are built.

    Raises:
        KeypointsError: if the user can correct the cause.
    """
    if resumed and not run.last_checkpoint.is_file():
        clear(run)
    seed(cfg)
    checkpoint = run.last_checkpoint if resumed and run.last_checkpoint.is_file() else None
    before = None if checkpoint is None else _read_to_resume(checkpoint)
    step = None if before is None else int(before["global_step"])
    # Made before the faces, which may take minutes to decode, so that a wrong setting is reported at once.
    identifiers = {} if checkpoint is None else read_identifiers(run)
    trainer = make_trainer(cfg, purge_step=step, identifiers=identifiers, recorded=recorded)
    if checkpoint is not None:
        _without_finders(trainer, run)
    _say_what_loggers_do(cfg, None if checkpoint is None else identifiers)
    scheme = None if checkpoint is None else run.scheme()
    data, task = data_and_task(cfg, blank=checkpoint is not None, recorded=recorded, scheme=scheme)
    write_atomically(run.landmarks, json.dumps(data.scheme.to_dict()) + "\n")
    _say_network(task)
    cost = network_cost(task)
    _write_cost(run, task, cost)
    recorded_threads = read_status(run).threads if resumed else None
    threads = choose_threads(cfg, cost, data.batch_size, trainer.num_devices, recorded_threads)
    log.info("threads of torch: %d; allowed cores: %d", threads, allowed_cores())
    if before is not None:
        _log_again(trainer, _logged_before(run, before))
    return Prepared(trainer, data, task, checkpoint, threads, logger_names(cfg))


def _without_finders(trainer: pl.Trainer, run: RunFolder) -> None:
    """Remove Lightning's learning rate finder from a trainer that resumes, whose checkpoint has the rate.

    A finder would search again, and set the trainer back to its first epoch.

    Raises:
        ConfigError: if there is a batch size finder, whose result no checkpoint holds.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    if any(isinstance(each, BatchSizeFinder) for each in callbacks):
        raise ConfigError(
            f"{run.path}: a run with BatchSizeFinder cannot be resumed, because it does not keep the size "
            f"that was found; start a new run from its weights: start_from={run.path} data.batch_size=<size>"
        )
    if any(isinstance(each, LearningRateFinder) for each in callbacks):
        log.info("LearningRateFinder does not search again: the learning rate is that of the checkpoint")
        callbacks[:] = [each for each in callbacks if not isinstance(each, LearningRateFinder)]


def _say_network(task: Task) -> None:
    """Log the class of the network, its number of weights, and its input."""
    network = getattr(task, "net", task)
    crop, weights = task.crop, sum(each.numel() for each in task.parameters())
    log.info(
        "network: %s, %s; input of %d × %d pixels in %s",
        *(type(network).__name__, counted(f"{weights:,}", "weight"), crop.width, crop.height),
        "grey" if crop.channels == 1 else "colour",
    )


def network_cost(task: Task) -> Cost | None:
    """Return the cost of the network; ``None`` if its operations cannot be counted: it can still be trained.

    Args:
        task: task with the network.
    """
    try:
        return cost_of(task, task.example_input_array)  # type: ignore[arg-type]  # a task sets it to a tensor
    except (RuntimeError, ValueError, TypeError, AttributeError, AssertionError) as error:
        log.warning("operations of the network are not counted (%s)", one_line(error)[:120])
        return None


def _write_cost(run: RunFolder, task: Task, cost: Cost | None) -> None:
    if cost is not None:
        crop = task.crop
        write_network_cost(run, NetworkCost(*cost, crop.width, crop.height, crop.channels))


def prepare_to_join(run: RunFolder, cfg: DictConfig, *, resumed: bool, recorded: bool) -> Prepared:
    """Make the parts of a run in one of its further processes, which get the first process's weights.

    Args:
        run: folder of the run.
        cfg: configuration of ``keypoints train``.
        resumed: resume from the folder's last checkpoint, if there is one.
        recorded: see :func:`prepare`.

    Raises:
        KeypointsError: as :func:`prepare`.
    """
    seed(cfg)
    checkpoint = run.last_checkpoint if resumed and run.last_checkpoint.is_file() else None
    trainer = make_trainer(cfg, recorded=recorded)
    if checkpoint is not None:
        _without_finders(trainer, run)
    scheme = None if checkpoint is None else run.scheme()
    data, task = data_and_task(cfg, blank=True, recorded=recorded, scheme=scheme)
    threads = choose_threads(cfg, network_cost(task), data.batch_size, trainer.num_devices)
    return Prepared(trainer, data, task, checkpoint, threads)


def best_task(run: RunFolder, parts: Prepared, cfg: DictConfig, *, recorded: bool) -> Task:
    """Return the task of a run's best epoch, or of its last epoch if the run keeps no best checkpoint.

    Args:
        run: folder of the run.
        parts: parts of the training, which has ended.
        cfg: configuration of ``keypoints train``.
        recorded: see :func:`prepare`.

    Raises:
        CheckpointError: if the checkpoint cannot be used.
    """
    if not run.best_checkpoint.is_file():
        return parts.task.eval()
    return load_task(run.best_checkpoint, trust=trust_of(cfg, recorded=recorded))


def data_and_task(
    cfg: DictConfig, *, blank: bool, recorded: bool, scheme: LandmarkScheme | None = None
) -> tuple[FaceDataModule, Task]:
    """Return the data module, set up for training, and the task.

    Args:
        cfg: configuration of ``keypoints train``.
        blank: load no initial weights, because the weights of a checkpoint or of another process follow.
        recorded: see :func:`prepare`.
        scheme: landmarks of the run that resumes. A list of an older run may name its points by now; the run
            keeps the points without names.
    """
    start = find_checkpoint(str(cfg.start_from), "best")[0] if cfg.get("start_from") and not blank else None
    trust = trust_of(cfg, recorded=recorded)
    # Loaded before the faces are decoded, so that an error in its file is reported at once.
    other = None if start is None else load_task(start, trust=trust)
    if is_first():
        log.info("reading the faces")
    data = make_data(cfg, recorded=recorded)
    if scheme is not None:
        data.adopt(scheme, data.crop)
    data.setup("fit")
    with pretrained.blank() if blank else nullcontext():
        task = make_task(cfg, data, recorded=recorded)
    if start is not None and other is not None:
        _start_from(task, data, other, start)
    return data, task


def _start_from(task: Task, data: FaceDataModule, other: Task, path: Path) -> None:
    try:
        without = task.start_from(other)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    log.info("initialised from the weights of %s", path)
    if other.scheme != task.scheme:
        names = other.scheme.name, task.scheme.name
        same = (
            "; the points have the same names, but not its parts, normalizing_points and flip_indices: name "
            "its file, data.scheme=<file>"
            if other.scheme.names and other.scheme.names == task.scheme.names
            else ""
        )
        log.warning("that model predicts the landmarks of %s, this model the landmarks of %s%s", *names, same)
    if without:
        log.warning(
            "weights without a counterpart there, initialised from scratch: %s", some_of(without, _NAMED)
        )
    if task.trained_on is None:
        log.warning(
            "start_from: the model's file does not say which faces it was trained on; do not evaluate on them"
        )
    elif leaked := data.leaks(task.trained_on, "val"):
        log.warning(
            "that model was trained on %d of the %s or on their groups: they do not measure "
            "the error on new faces",
            len(leaked),
            counted(len(data.splits["val"]), "validation face"),
        )


def _read_to_resume(path: Path) -> dict[str, Any]:
    """Return the contents of a checkpoint from which a training resumes.

    Raises:
        CheckpointError: if it cannot be read, or holds only weights.
    """
    checkpoint = read_checkpoint(path)
    if "optimizer_states" not in checkpoint:
        raise CheckpointError(
            f"{path}: holds only weights, not the optimizer's state; start a new run from them: "
            f"start_from={path}"
        )
    return checkpoint


def _logged_before(run: RunFolder, checkpoint: Mapping[str, Any]) -> list[Row]:
    """Return the rows that a run had logged when its checkpoint was written."""
    if LOGGED in checkpoint:
        return list(checkpoint[LOGGED])
    if not run.metrics.is_file():
        log.warning("%s is missing: curves begin with the next epoch", run.metrics)
        return []
    logged = read_logged(run)
    # Checkpoints of older versions have no logged rows, so take the rows of the file.
    rows = logged[logged["step"] < int(checkpoint["global_step"])].to_dict("records")
    return [{str(name): value for name, value in row.items() if value == value} for row in rows]  # noqa: PLR0124


def _say_what_loggers_do(cfg: DictConfig, identifiers: Mapping[str, str] | None) -> None:
    """Log what a run without loggers lacks, and which loggers begin another run when a run is resumed.

    Args:
        cfg: configuration of ``keypoints train``.
        identifiers: identifiers of the loggers' earlier runs; ``None`` if the run is not resumed.
    """
    names = logger_names(cfg)
    if identifiers is None:
        if not names:
            log.info("no logger: metrics.csv is not written, the report has no curves; logger=csv writes it")
        return
    for name in names:
        if remark := how_resumed(cfg.logger[name], identifiers.get(name)):
            log.info("logger.%s: %s", name, remark)


def _log_again(trainer: pl.Trainer, rows: Sequence[Row]) -> None:
    """Give the rows of a resumed run back to the loggers of tables, which start empty."""
    for logger in trainer.loggers:
        if isinstance(logger, MetricsTable):
            logger.restore(rows)
        elif isinstance(logger, CSVLogger):  # run of an older version
            for row in rows:
                logger.log_metrics(
                    {name: value for name, value in row.items() if name != "step"}, int(row["step"])
                )
            logger.save()


def seed(cfg: DictConfig) -> None:
    """Seed all random number generators of the process with the configured seed.

    Raises:
        ConfigError: if the seed is no whole number from 0 up.
    """
    try:
        pl.seed_everything(cfg.seed, workers=True, verbose=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"seed is a whole number from 0 up, not {cfg.seed!r}") from error
