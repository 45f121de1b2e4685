"""Training: configuration in, a run's folder and its metrics out."""

import gc
import json
import logging
import shlex
import signal
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import pandas as pd
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import CSVLogger

from keypoints.callbacks.metrics_history import LOGGED
from keypoints.callbacks.settings_check import SettingsCheck
from keypoints.components import TRUST, trusted_by_user
from keypoints.data.dataset import Batch, whole
from keypoints.datamodules.base import FaceDataModule
from keypoints.distributed import is_first, others_join
from keypoints.errors import CheckpointError, ConfigError, KeypointsError, TrainingError, one_line, some_of
from keypoints.evaluation.per_face import measure_faces
from keypoints.files import write_whole
from keypoints.formatting import fixed
from keypoints.instantiate import make_data, make_task, make_trainer, trust_of
from keypoints.landmarks import LandmarkScheme
from keypoints.mean_face import predicts_the_mean
from keypoints.models import pretrained
from keypoints.runs.checkpoint_files import find_checkpoint, other_checkpoints
from keypoints.runs.history import read_logged, summary
from keypoints.runs.metrics_table import MetricsTable, Row
from keypoints.runs.run_folder import DEV_RUN, RunFolder
from keypoints.runs.status import clear, is_finished, read_status, record
from keypoints.tasks.base import Task, load_task
from keypoints.tasks.checkpoint import read_checkpoint

log = logging.getLogger(__name__)

_NAMED = 6
"""Weights or checkpoints that a message names."""


class RunReport(Protocol):
    """Figures and page of a run; :mod:`keypoints.reports.run` has these functions."""

    def draw_batch(self, run: RunFolder, batch: Batch, scheme: LandmarkScheme) -> None:
        """Keep the figure of a training batch."""

    def draw_feature_maps(self, run: RunFolder, batch: Batch, task: Task) -> None:
        """Keep the figure of the first layer's feature maps."""

    def report_run(
        self, run: RunFolder, best: Task | None = None, trust: str | Sequence[str] | None = None
    ) -> Path:
        """Make the figures and the page from the run's folder."""


def train(
    cfg: DictConfig,
    report: RunReport,
    overrides: Sequence[str] = (),
    job: int = 0,
    *,
    resumed: bool = False,
    recorded: bool = False,
) -> dict[str, float]:
    """One run, in the folder ``cfg.output``.

    Args:
        cfg: the configuration of ``keypoints train``.
        report: draws the run's figures and its page.
        overrides: how it came to be, for the record.
        job: which of its sweep's runs it is.
        resumed: go on from the folder's last checkpoint; see :func:`resume`.
        recorded: ``cfg`` was read from a folder, so only trusted classes are built of it.

    Returns:
        The best and the last epoch's validation metrics, and the constant predictor's MSE; nothing in
        a further process of a training that a launcher started.

    Raises:
        KeypointsError: for what the user can mend; the run's status is then ``failed``.
    """
    run = RunFolder(Path(cfg.output))
    checkpoint = run.last_checkpoint if resumed and run.last_checkpoint.is_file() else None
    if not is_first():
        _take_part(cfg, checkpoint, recorded=recorded)
        return {}
    try:
        return _recorded(run, cfg, report, overrides, job, checkpoint, resumed, recorded)
    except KeyboardInterrupt as error:
        _report_what_there_is(run, report, trust_of(cfg, recorded=recorded))
        error.add_note(_kept(run))
        raise
    except OSError as error:  # a disk that takes no more
        error.add_note(f"go on with: keypoints train {shlex.quote(f'resume={run.path}')}")
        raise


def _recorded(
    run: RunFolder,
    cfg: DictConfig,
    report: RunReport,
    overrides: Sequence[str],
    job: int,
    checkpoint: Path | None,
    resumed: bool,
    recorded: bool,
) -> dict[str, float]:
    config = None if resumed else OmegaConf.to_yaml(cfg, resolve=True)
    with record(run, overrides, job, config, resumed=resumed) as metrics, without_idle_warnings():
        if resumed and checkpoint is None:
            clear(run)
        _seed(cfg)
        trust = trust_of(cfg, recorded=recorded)
        before = None if checkpoint is None else _to_go_on_from(checkpoint)
        step = None if before is None else int(before["global_step"])
        # Before the faces, which may take minutes to decode: a slip in a setting is told at once.
        trainer = make_trainer(cfg, purge_step=step, recorded=recorded)
        data, task = _prepared(cfg, blank=checkpoint is not None, recorded=recorded)
        write_whole(run.landmarks, json.dumps(data.scheme.to_dict()) + "\n")
        if before is not None:
            _log_again(trainer, _logged_before(run, before))
        report.draw_batch(run, next(iter(data.train_dataloader())), data.scheme)
        try:
            with others_join(run.path, recorded=recorded, shared=_trust()):
                _fit(trainer, task, data, checkpoint)
        except KeyboardInterrupt:
            with suppress(KeypointsError):  # none of its epochs may have ended
                metrics.update(summarise(run, trainer))
            raise
        metrics.update(summarise(run, trainer))
        kept = run.best_checkpoint.is_file()
        best = load_task(run.best_checkpoint, trust=trust) if kept else task.eval()
        write_whole(run.faces, measure_faces(best, data.dataset("val")).to_csv(index=False))
        report.draw_feature_maps(run, whole(data.dataset("val"), [0]), best)
        if cfg.trainer.get("fast_dev_run"):
            log.info("trainer.fast_dev_run: %s", DEV_RUN)
        _tell(run, metrics)
    report.report_run(run, best)
    return metrics


def resume(folder: Path, report: RunReport) -> dict[str, float]:
    """Go on with the run in ``folder`` from the last epoch that it wrote, or else from its beginning.

    It ends with the metrics of a run that was never stopped: order, augmentation and dropout are
    functions of seed and epoch, and the checkpoint has all else. Only trusted classes are built of what the
    folder holds, see :mod:`keypoints.components`.

    Args:
        folder: the run's.
        report: as of :func:`train`.

    Raises:
        DataError: if the folder holds no run.
        ConfigError: if the run is finished, still running, lies elsewhere than when it began, or names code
            that is not trusted, or its only checkpoints have other names than its own.
        CheckpointError: if its checkpoint is damaged, or holds weights alone.
    """
    run = RunFolder(folder)
    status = read_status(run)
    if is_finished(run):
        raise ConfigError(f"{run.path}: is finished; there is nothing to resume")
    cfg = run.configuration()
    if not run.last_checkpoint.is_file() and (others := other_checkpoints(run)):
        raise ConfigError(
            f"{run.path}: has no {run.last_checkpoint.relative_to(run.path)} to go on from; copy one of its "
            f"checkpoints there, or remove them to begin anew: {some_of(list(map(str, others)), _NAMED)}"
        )
    if Path(str(cfg.get("output"))).resolve() != folder.resolve():
        raise ConfigError(
            f"{folder}: began as {cfg.get('output')}, and its files name that folder; move it back, or start "
            "there from where the command was given first"
        )
    log.info("going on with %s", folder)
    try:
        return train(cfg, report, status.overrides, status.job, resumed=True, recorded=True)
    except ConfigError as error:
        raise ConfigError(f"{error} (as {run.config} says)") from error


def take_part(folder: Path, *, recorded: bool) -> None:
    """Train as a further process of the run in ``folder``, which the first process records.

    Args:
        folder: the run's.
        recorded: as of :func:`train`.

    Raises:
        DataError: if the folder holds no run.
        KeypointsError: as :func:`train`.
    """
    run = RunFolder(folder)
    checkpoint = run.last_checkpoint if read_status(run).resumed else None
    if checkpoint is not None and not checkpoint.is_file():
        checkpoint = None
    _take_part(run.configuration(), checkpoint, recorded=recorded)


def _take_part(cfg: DictConfig, checkpoint: Path | None, *, recorded: bool) -> None:
    with without_idle_warnings():
        _seed(cfg)
        trainer = make_trainer(cfg, recorded=recorded)
        data, task = _prepared(cfg, blank=True, recorded=recorded)  # the first process shares its weights
        with others_join(Path(cfg.output), recorded=recorded, shared=_trust()):
            _fit(trainer, task, data, checkpoint)


def _prepared(cfg: DictConfig, *, blank: bool, recorded: bool) -> tuple[FaceDataModule, Task]:
    """Return the faces and the task; ``blank`` where its weights come from elsewhere."""
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


def _report_what_there_is(run: RunFolder, report: RunReport, trust: Sequence[str]) -> None:
    """Make the report of a run that was stopped, if one of its epochs ended."""
    if run.metrics.is_file():
        try:
            report.report_run(run, trust=trust)
        except (KeypointsError, OSError) as error:
            log.warning("no report was made: %s", error)


def _kept(run: RunFolder) -> str:
    """Return what a run that was stopped has kept, and how it is resumed."""
    kept = "no epoch had ended"
    if run.last_checkpoint.is_file():
        kept = f"{read_checkpoint(run.last_checkpoint)['epoch'] + 1} epochs are kept"
    return f"{kept}; go on with: keypoints train {shlex.quote(f'resume={run.path}')}"


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


def _trust() -> dict[str, str]:
    """Return the environment in which another process trusts what this one trusts."""
    return {TRUST: ",".join(sorted(trusted_by_user()))}


def _seed(cfg: DictConfig) -> None:
    try:
        pl.seed_everything(cfg.seed, workers=True, verbose=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"seed is a whole number from 0 up, not {cfg.seed!r}") from error


def summarise(run: RunFolder, trainer: pl.Trainer) -> dict[str, float]:
    """Return the metrics of a run's best and last epoch, from what it logged.

    Args:
        run: its folder, which the message names.
        trainer: after the fit. With ``fast_dev_run`` it has no table, and its one epoch is all there is.

    Raises:
        ConfigError: if no epoch was validated.
        TrainingError: if the validation MSE was a number in none.
    """
    tables = [logger for logger in trainer.loggers if isinstance(logger, MetricsTable)]
    known = {name: float(value) for name, value in trainer.callback_metrics.items()}
    rows = tables[0].rows if tables else [{**known, "epoch": 0.0}]
    if metrics := summary(pd.DataFrame(rows)):
        return metrics
    if any("val/mse" in row for row in rows):
        raise TrainingError(f"{run.path}: the validation MSE was no number in any epoch; look at the faces")
    raise ConfigError(
        f"{run.path}: the training ended before an epoch was validated; give it more time or steps: "
        "trainer.max_time, trainer.max_steps, trainer.val_check_interval"
    )


def _fit(trainer: pl.Trainer, task: Task, data: FaceDataModule, checkpoint: Path | None) -> None:
    try:
        with garbage_set_aside(), _own_handler_of_ctrl_c():
            trainer.fit(task, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as ended:  # Lightning's answer to a KeyboardInterrupt
        if isinstance(ended.__context__, KeyboardInterrupt):
            raise ended.__context__ from None
        raise
    except (KeypointsError, OSError):
        raise
    except Exception as error:
        if _is_lack_of_memory(error):
            raise TrainingError(
                f"out of memory ({one_line(error)[:200]}); {_smaller(data.batch_size)}"
            ) from error
        if isinstance(error, RuntimeError) and " returned nan values in its " in str(error):
            raise TrainingError(
                f"trainer.detect_anomaly: {one_line(error)} Train anew with a smaller optimizer.lr or "
                "+trainer.gradient_clip_val=1"
            ) from error
        if (key := _complains(error, trainer)) is None:
            raise
        too_few = bool(getattr(trainer, "overfit_batches", 0)) and "_dataloader" in str(error)
        instead = "; that is: trainer.overfit_batches=1, a number of batches" if too_few else ""
        raise ConfigError(f"{key}: {one_line(error)}{instead}") from error


def _complains(error: Exception, trainer: pl.Trainer) -> str | None:
    """Return the key of the settings that Lightning cannot work with; nothing for a fault of other code.

    Lightning raises whatever type comes to hand. An error counts as its own if its own code raised it, or one
    of its callbacks did that asked torch for what is not there.
    """
    names = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    while names and _module_of(names[-1]) == "torch":
        names.pop()
    if not names or _module_of(names[-1]) not in ("pytorch_lightning", "lightning_fabric"):
        return None
    (check,) = (each for each in trainer.callbacks if isinstance(each, SettingsCheck))  # type: ignore[attr-defined]
    keys = [check.key_of(frame.f_locals.get("self")) for frame in names]
    key = next((key for key in reversed(keys) if key is not None), None)
    own = isinstance(error, MisconfigurationException) or names[-1] is _last(error)
    return key or ("trainer" if own else None)


def _last(error: Exception) -> FrameType:
    return list(traceback.walk_tb(error.__traceback__))[-1][0]


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


@contextmanager
def _own_handler_of_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C be what it was after the block: Lightning ignores it from the first one on."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGINT, before)


def _is_lack_of_memory(error: Exception) -> bool:
    """Whether memory ran out, a GPU's or the machine's: torch says the latter by a RuntimeError's text."""
    says = ("out of memory", "not enough memory", "allocate memory", "ALLOC_FAILED")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(text in str(error) for text in says)


def _smaller(batch_size: int) -> str:
    if batch_size == 1:
        return "data.batch_size is 1 already: try a smaller data.width and data.height, or a smaller network"
    return f"try data.batch_size={batch_size // 2} instead of {batch_size}"


@contextmanager
def garbage_set_aside() -> Iterator[None]:
    """Keep Python from looking for garbage in what is there already: that takes a quarter of a second."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def without_idle_warnings() -> Iterator[None]:
    """Keep back what libraries warn of and what is meant here."""
    with warnings.catch_warnings():
        # The crops are in memory: more workers would only hand them from process to process.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Epochs are logged, not steps.
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
        # Hydra's log file is in the run's folder before the metrics are; a resumed run has them already.
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # Lightning's own
        # With check_val_every_n_epoch a scheduler that watches the validation waits for it.
        warnings.filterwarnings(
            "ignore", message="ReduceLROnPlateau conditioned on metric .* is set to `False`.*"
        )
        # That faces come in their own order is what overfit_batches is for.
        warnings.filterwarnings("ignore", message="You requested to overfit but enabled .* shuffling.*")
        # With one channel the first layer's weights have two names for the same layout.
        warnings.filterwarnings("ignore", message=".*Grad strides do not match bucket view strides.*")
        # The report's table of layers has no column of megabytes.
        warnings.filterwarnings("ignore", message="Precision .* is not supported by the model summary.*")
        yield


def _tell(run: RunFolder, metrics: Mapping[str, float]) -> None:
    """Say what came of it."""
    constant = metrics.get("constant/mse")
    for when in ("best", "last"):
        log.info(
            "%s epoch (%d): validation MSE %s, MAE %s px, variance ratio %s",
            when,
            metrics[f"{when}/epoch"],
            fixed(metrics[f"{when}/mse"], 6),
            fixed(metrics[f"{when}/mae_px"], 2),
            fixed(metrics[f"{when}/variance_ratio"], 2),
        )
    if constant is not None:
        log.info("the constant predictor's validation MSE: %s", fixed(constant, 6))
    if warning := predicts_the_mean(metrics["best/variance_ratio"]):
        log.warning("%s", warning)
    log.info("look at it: %s", run.report)
