"""Hydra jobs of ``keypoints train``: a single run or a run of a sweep, and the end of a sweep."""

import logging
import math
import shlex
from collections.abc import Iterable
from contextlib import AbstractContextManager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from omegaconf import DictConfig, OmegaConf, open_dict

from keypoints.commands.train import VERB, resume, train
from keypoints.components import package_names, trusting
from keypoints.config.checks import check_values, given_to_multirun
from keypoints.config.missing import check_complete
from keypoints.config.options import is_ours
from keypoints.config.overrides import all_values
from keypoints.errors import DataError, KeypointsError, TrainingError, one_line, printable, some_of
from keypoints.formatting import counted, pluralised
from keypoints.logs import log_in_files, log_start
from keypoints.runs.checkpoint_files import other_checkpoints
from keypoints.runs.length import LENGTH
from keypoints.runs.status import clear, describe, is_resumable, read_status

if TYPE_CHECKING:
    from keypoints.runs.run_folder import RunFolder

log = logging.getLogger(__name__)

_NAMED = 6
"""Largest number of runs that a message names."""

_POLL_SECONDS = 0.2
"""Seconds between two checks whether another job has ended."""

OBJECTIVE = "best/mse"
"""Metric that a hyperparameter search minimises."""


def job(cfg: DictConfig, *, resumed: bool) -> float | None:
    """Train a single run or a run of a sweep in Hydra's folder for it, and return a search's objective.

    Args:
        cfg: the configuration of ``keypoints train``.
        resumed: resume the run in that folder; ``cfg`` may then be untrusted, see
            :mod:`keypoints.instantiate`.

    Raises:
        KeypointsError: for an error that the user can fix.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    in_sweep = hydra.mode == RunMode.MULTIRUN
    with open_dict(cfg):
        cfg.output = hydra.runtime.output_dir  # a multirun gives each job a folder of its own
    overrides = list(hydra.overrides.task)
    try:
        if not resumed:
            check_values("train", cfg)
        check_complete(cfg)
        # The name of a single run that is resumed is in its own configuration, which is not read yet.
        alone = resumed and not in_sweep
        log_start(log, f"reading the run in {cfg.output}" if alone else f"{VERB.start(cfg)}, in {cfg.output}")
        with trusting(*package_names(cfg.trust)):
            if not in_sweep:
                if resumed and (epochs := _epochs(cfg, overrides)) is not None:
                    return resume(Path(cfg.output), epochs).get(OBJECTIVE)
                return _train(cfg, overrides, 0, resumed)
            with _run_locked(Path(cfg.output)):
                if not resumed and (before := _earlier_objective(Path(cfg.output), overrides)) is not None:
                    return before
                return _train(cfg, overrides, hydra.job.num, resumed)
    except KeyboardInterrupt as error:
        log_in_files(log, "%s", _with_notes(error))
        raise
    except Exception as error:
        trace = None if isinstance(error, KeypointsError) else error
        if in_sweep:  # the error of a single run is printed at the end of the command
            log.log(logging.ERROR, "failed: %s", one_line(error), exc_info=trace)
        else:
            log_in_files(log, "failed: %s", _with_notes(error), level=logging.ERROR, error=trace)
        raise


def _with_notes(error: BaseException) -> str:
    """Return what an error says, with the notes about what is kept, on one line."""
    return " ".join("; ".join([describe(error), *getattr(error, "__notes__", ())]).split())


def check_swept_folds(cfg: DictConfig, overrides: Iterable[str]) -> None:
    """Check the folds of a multirun's cross-validation before its first run trains.

    Args:
        cfg: the configuration of the first run, with Hydra's own node.
        overrides: the command's overrides, as :func:`keypoints.config.checks.as_typed` returns them.

    Raises:
        ConfigError: if ``data.folds`` or ``data.fold`` of a run cannot be used.
    """
    from keypoints.data.splits import check_fold

    if not is_ours(cfg, "data.fold"):  # a user's own class may give the name another meaning
        return
    given = given_to_multirun(cfg, overrides)
    if "data" in given and given["data"].is_sweep_override():  # other data may have another number of folds
        return
    keys = ("data.folds", "data.fold")
    values = [all_values(given[key]) if key in given else [OmegaConf.select(cfg, key)] for key in keys]
    for folds, fold in product(*values):
        check_fold(folds, fold)


def _run_locked(folder: Path) -> AbstractContextManager[None]:
    """Wait until no other job of a sweep trains the run in ``folder``: two jobs may have equal settings."""
    from keypoints.files import locked_in_turn

    return locked_in_turn(folder, beside=True, pause=_POLL_SECONDS)


def _earlier_objective(folder: Path, overrides: list[str]) -> float | None:
    """Return the objective of the run, if an earlier job of the same sweep trained it with these settings.

    Raises:
        TrainingError: if that run did not finish.
    """
    from keypoints.runs.run_folder import RunFolder
    from keypoints.runs.sweep_folder import same_overrides

    run = RunFolder(folder)
    if not run.status_file.exists() or not same_overrides(read_status(run).overrides, overrides):
        return None
    status = read_status(run)
    if status.state != "finished":
        raise TrainingError(
            f"has the settings of an earlier job, whose status is {status.state} ({folder.name})"
        )
    log.info("%s: an earlier job has the same settings; its result is kept", folder.name)
    return _objective(run)


def _train(cfg: DictConfig, overrides: list[str], number: int, resumed: bool) -> float | None:
    from keypoints.runs.run_folder import RunFolder

    left = _remaining_work(Path(cfg.output)) if resumed else "all"
    if left == "nothing":
        return _objective(RunFolder(Path(cfg.output)))
    if left == "some":
        return resume(Path(cfg.output)).get(OBJECTIVE)
    return train(cfg, overrides, number, recorded=resumed).get(OBJECTIVE)


def _epochs(cfg: DictConfig, overrides: Iterable[str]) -> int | None:
    """Return the number of epochs by which the command lengthens a run; ``None`` if it does not."""
    given = any(each.startswith(f"{LENGTH}=") for each in overrides)
    return int(cfg.trainer.max_epochs) if given else None


def _objective(run: "RunFolder") -> float:
    """Return the objective of a finished run.

    Raises:
        DataError: if the run's status lacks it.
    """
    metrics = read_status(run).metrics
    if OBJECTIVE not in metrics:
        raise DataError(
            f"{run.status_file}: is finished, but lacks the metric {OBJECTIVE}; delete the run's folder"
        )
    objective = metrics[OBJECTIVE]
    return math.nan if objective is None else float(objective)


def _remaining_work(folder: Path) -> Literal["all", "some", "nothing"]:
    """Return which part of a resumed run is left to do; clear a run of a sweep that cannot be resumed.

    Raises:
        ConfigError: if the run is still running.
    """
    from keypoints.runs.run_folder import RunFolder, is_sweep

    run = RunFolder(folder)
    if not run.status_file.exists():
        return "all"
    if is_resumable(run) or not is_sweep(folder.parent):
        return "some"  # or a single run that cannot be resumed, which resuming reports
    if read_status(run).state == "finished":
        log.info("%s: is already finished", folder.name)
        return "nothing"
    if other_checkpoints(run):
        return "some"  # resuming reports them; clearing would delete them
    clear(run)
    run.status_file.unlink()
    return "all"


def kept_of_sweep(folder: Path) -> str:
    """Return a message about a stopped sweep: how many runs are finished, and the command to resume it."""
    from keypoints.runs.sweep_folder import SweepFolder

    sweep, kept = SweepFolder(folder), "no run had started"
    if sweep.begun():
        rows = sweep.table()["status"]
        done = (rows == "finished").sum()
        kept = f"{done} of {counted(len(rows), 'run')} {pluralised(done, 'is', 'are')} finished"
    return f"{kept}; resume with: keypoints train {shlex.quote(f'resume={folder}')}"


def killed_workers(folder: Path | None) -> TrainingError:
    """Return the error of a sweep whose worker process was killed, and write and print its summary.

    Args:
        folder: the sweep's folder; ``None`` if it has not started.
    """
    from keypoints.runs.sweep_folder import SweepFolder

    why = "a process of launch=cores was killed, perhaps for lack of memory (try hydra.launcher.n_jobs=1)"
    if folder is None or not SweepFolder(folder).begun():
        return TrainingError(f"{why} before the first run started")
    end_sweep(folder, stopped=True)
    table = SweepFolder(folder).table()
    left = table.loc[table["status"] != "finished", "run"].tolist()
    return TrainingError(f"{why}; unfinished: {some_of(left, _NAMED)}; {kept_of_sweep(folder)}")


def end_sweep(folder: Path, *, stopped: bool) -> int:
    """Write and print the summary of a sweep; return how many of its runs did not finish.

    Args:
        folder: the sweep's folder.
        stopped: whether the sweep was stopped; the caller then reports how to resume it.
    """
    from keypoints.reports.sweep import report_sweep
    from keypoints.reports.terminal import print_sweep
    from keypoints.runs.sweep_folder import SweepFolder
    from keypoints.workers import end_workers

    end_workers()
    sweep = SweepFolder(folder)
    if not sweep.begun():
        return 0
    table = report_sweep(sweep)
    print_sweep(table)
    print(printable(f"The report: {sweep.report}"))
    failed = int((table["status"] != "finished").sum())
    if failed and not stopped:
        resume = shlex.quote(f"resume={folder}")
        print(printable(f"Once the errors are fixed, resume with: keypoints train {resume}"))
    return failed
