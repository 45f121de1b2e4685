"""``keypoints train``: training of one run, from its configuration to its report."""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from keypoints.commands.verb import Paths, Trusting, Verb
from keypoints.components import package_names, trusting
from keypoints.config.checks import check_values
from keypoints.config.missing import check_complete
from keypoints.config.settings import FilePath, OutputFolder, Text, setting, within
from keypoints.errors import ConfigError, KeypointsError, some_of
from keypoints.files import write_atomically
from keypoints.formatting import counted, pluralised
from keypoints.runs.checkpoint_files import other_checkpoints
from keypoints.runs.length import lengthened
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import is_finished, read_status, record

log = logging.getLogger(__name__)

_NAMED = 6
"""Largest number of checkpoints that a message names."""


@dataclass
class Train(Trusting):
    """Settings of ``keypoints train``, besides the settings in its groups."""

    name: Text = setting(
        "imm", "Name in figures, logs and folders: any text without / and \\; by default that of the data."
    )
    start_from: FilePath | None = setting(
        None,
        "Checkpoint or run's folder whose weights initialise the network, where they fit (fine-tuning).",
    )
    seed: int = setting(
        0, "Seed of the initial weights, the order of the faces and the augmentation.", at_least=0
    )
    threads: int | None = setting(
        None,
        "Threads of torch on the CPU; null: OMP_NUM_THREADS, or as many as the network is worth, up to the "
        "allowed cores.",
        at_least=1,
    )
    keep: str = setting(
        "all",
        "Checkpoints that a finished run keeps; best needs a third of the disk space, but a run that keeps "
        "only this one cannot be lengthened.",
        choices=("all", "best"),
    )
    output: OutputFolder = setting(
        "${paths.outputs}/${name}/${now:%Y-%m-%d_%H-%M-%S}", "Folder of the run, or of the sweep."
    )
    paths: dict[str, Any] = within(Paths)


@dataclass
class Resuming:
    """Setting that is typed instead of a configuration."""

    resume: FilePath | None = setting(
        None, "Folder of a run or a sweep to resume, with its original configuration."
    )


def run(cfg: DictConfig) -> dict[str, float]:
    """Train one run from Python, in the folder ``cfg.output``; there is no ``train.log``.

    Args:
        cfg: the configuration, as :func:`keypoints.commands.compose` returns it.

    Returns:
        The run's metrics, as in its ``status.json``.

    Raises:
        KeypointsError: for an error that the user can fix.
    """
    check_values("train", cfg)
    check_complete(cfg)
    with open_dict(cfg):
        cfg.output = str(cfg.output)  # resolved once, since the name may contain the time
    with trusting(*package_names(cfg.trust)):
        return train(cfg)


def train(
    cfg: DictConfig,
    overrides: Sequence[str] = (),
    job: int = 0,
    *,
    resumed: bool = False,
    recorded: bool = False,
) -> dict[str, float]:
    """Train one run, in the folder ``cfg.output``: prepare data, task and trainer; fit, measure, report.

    Args:
        cfg: the configuration of ``keypoints train``.
        overrides: overrides of the command, for the record.
        job: number of the run in its sweep.
        resumed: resume from the folder's last checkpoint; see :func:`resume`.
        recorded: ``cfg`` was read from a folder, so only trusted classes are instantiated.

    Returns:
        Validation metrics of the best and the last epoch, and the MSE of the mean-shape baseline; empty in
        a further process of a training that a launcher started.

    Raises:
        KeypointsError: for an error that the user can fix; the run's status is then ``failed``.
    """
    from keypoints.distributed import is_first
    from keypoints.instantiate import trust_of

    run = RunFolder(Path(cfg.output))
    if not is_first():
        _join(run, cfg, resumed=resumed, recorded=recorded)
        return {}
    try:
        return _train(run, cfg, overrides, job, resumed=resumed, recorded=recorded)
    except KeyboardInterrupt as error:
        _report_ended_epochs(run, trust_of(cfg, recorded=recorded))
        error.add_note(_stop_message(run))
        raise
    except OSError as error:  # such as a full disk
        error.add_note(f"resume with: keypoints train {shlex.quote(f'resume={run.path}')}")
        raise


def _train(
    run: RunFolder, cfg: DictConfig, overrides: Sequence[str], job: int, *, resumed: bool, recorded: bool
) -> dict[str, float]:
    from keypoints.evaluation.per_face import measure_faces
    from keypoints.loggers.opening import opened
    from keypoints.reports.run import draw_batch, draw_feature_maps, report_run
    from keypoints.training.fit import fit_in_all_processes, without_expected_warnings
    from keypoints.training.prepare import best_task, prepare
    from keypoints.training.summary import summarised, tell, tell_end
    from keypoints.training.torch_threads import torch_threads

    config = None if resumed else OmegaConf.to_yaml(cfg, resolve=True)
    with record(run, overrides, job, config, resumed=resumed) as attempt, without_expected_warnings():
        parts = prepare(run, cfg, resumed=resumed, recorded=recorded)  # data, task, trainer
        attempt.record_threads(parts.threads)
        with torch_threads(parts.threads):
            draw_batch(run, parts.data)
            with summarised(run, parts.trainer, attempt.metrics), opened(parts.trainer, run, parts.loggers):
                fit_in_all_processes(parts, run, recorded=recorded)
            best = best_task(run, parts, cfg, recorded=recorded)
            faces = measure_faces(best, parts.data.dataset("val"))
            write_atomically(run.faces, faces.to_csv(index=False))
            draw_feature_maps(run, parts.data, best)
            tell_end(parts.trainer)
        tell(run, attempt.metrics, is_trial=bool(cfg.trainer.get("fast_dev_run")))
    report_run(run, best)
    if cfg.get("keep") == "best" and run.best_checkpoint.is_file():
        run.last_checkpoint.unlink(missing_ok=True)
    return attempt.metrics


def resume(folder: Path, epochs: int | None = None) -> dict[str, float]:
    """Resume the run in ``folder`` from its last checkpoint, or restart it if there is none.

    The metrics equal those of a run that was never stopped: the order of the faces, augmentation and dropout
    are functions of seed and epoch, and the checkpoint has all other state. Only trusted classes are
    instantiated from the folder's files, see :mod:`keypoints.components`.

    Args:
        folder: the run's folder.
        epochs: new number of epochs, by which a finished run is lengthened; ``None`` for the recorded one.

    Returns:
        The run's metrics, as :func:`train` returns them.

    Raises:
        DataError: if the folder holds no run.
        ConfigError: if the run is finished and not lengthened, or still running, its folder was moved, it
            names code that is not trusted, or all its checkpoints have names other than ``last.ckpt``.
        CheckpointError: if its checkpoint is damaged, or holds only weights.
    """
    run = RunFolder(folder)
    status = read_status(run)
    if is_finished(run) and epochs is None:
        raise ConfigError(
            f"{run.path}: is finished; there is nothing to resume; to train it longer, add "
            "trainer.max_epochs=<epochs>"
        )
    cfg = run.configuration()
    if not run.last_checkpoint.is_file() and (others := other_checkpoints(run)):
        raise ConfigError(
            f"{run.path}: has no {run.last_checkpoint.relative_to(run.path)} to resume from; copy one of its "
            f"checkpoints there, or remove them to start again: {some_of(list(map(str, others)), _NAMED)}"
        )
    if Path(str(cfg.get("output"))).resolve() != folder.resolve():
        raise ConfigError(
            f"{folder}: was started as {cfg.get('output')}, and its files name that folder; move it back, or "
            "give the command in the directory where the first one was given"
        )
    if epochs is not None and not run.last_checkpoint.is_file():
        raise ConfigError(
            f"{run.path}: has no {run.last_checkpoint.relative_to(run.path)}, as with keep=best, and cannot "
            f"be lengthened; start a new run from its weights: start_from={run.path}"
        )
    overrides = status.overrides
    if epochs is not None:
        from keypoints.training.lengthen import lengthen

        cfg = lengthen(run, cfg, epochs)
        overrides = lengthened(overrides, cfg)
    log.info("resuming %s", folder)
    try:
        return train(cfg, overrides, status.job, resumed=True, recorded=True)
    except ConfigError as error:
        raise ConfigError(f"{error} (as {run.config} says)") from error


def join_run(folder: Path, *, recorded: bool) -> None:
    """Train as a further process of the run in ``folder``, whose files the first process writes.

    Args:
        folder: the run's folder.
        recorded: the configuration was read from a folder, as in :func:`train`.

    Raises:
        DataError: if the folder holds no run.
        KeypointsError: as raised by :func:`train`.
    """
    run = RunFolder(folder)
    _join(run, run.configuration(), resumed=bool(read_status(run).resumed), recorded=recorded)


def _join(run: RunFolder, cfg: DictConfig, *, resumed: bool, recorded: bool) -> None:
    from keypoints.training.fit import fit_in_all_processes, without_expected_warnings
    from keypoints.training.prepare import prepare_to_join
    from keypoints.training.torch_threads import torch_threads

    with without_expected_warnings():
        parts = prepare_to_join(run, cfg, resumed=resumed, recorded=recorded)
        with torch_threads(parts.threads):
            fit_in_all_processes(parts, run, recorded=recorded)


def _report_ended_epochs(run: RunFolder, trust: Sequence[str]) -> None:
    """Write the report of a stopped run, if at least one epoch has ended."""
    from keypoints.reports.run import report_run

    if run.metrics.is_file():
        try:
            report_run(run, trust=trust)
        except (KeypointsError, OSError) as error:
            log.warning("no report was made: %s", error)


def _stop_message(run: RunFolder) -> str:
    """Return a message about a stopped run: how many epochs are kept, and the command to resume it."""
    from keypoints.tasks.checkpoint import read_checkpoint

    kept = "no epoch had ended"
    if run.last_checkpoint.is_file():
        epochs = int(read_checkpoint(run.last_checkpoint)["epoch"]) + 1
        kept = f"{counted(epochs, 'epoch')} {pluralised(epochs, 'is', 'are')} kept"
    return f"{kept}; resume with: keypoints train {shlex.quote(f'resume={run.path}')}"


VERB = Verb(
    name="train",
    what="train a model, or with -m one model for each value of a sweep",
    doing="training",
    schema=Train,
    run=None,
    typed=Resuming,
    examples=(
        "train experiment=nose_tip",
        "train -m experiment=nose_tip optimizer.lr=1e-2,1e-3 seed=0,1,2",
        "train resume=outputs/nose_tip/2026-01-31_12-00-00",
    ),
    writes="config.yaml, checkpoints/, metrics.csv, faces.csv, figures/ and report.html in output; for a "
    "sweep one folder per run, summary.csv, comparison.png and report.html",
    subjects=("name",),
)
