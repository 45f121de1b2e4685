"""State of a run: its ``status.json``, written while it runs. Imports no torch."""

import json
import logging
import math
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import psutil

from keypoints import __version__
from keypoints.config.quoting import flag, is_multirun, shell_command
from keypoints.errors import ConfigError, DataError, KeypointsError, one_line, printable
from keypoints.files import write_atomically
from keypoints.library_versions import library_versions, opencv_changed
from keypoints.runs.checkpoint_files import other_checkpoints
from keypoints.runs.run_folder import RunFolder, is_sweep
from keypoints.stopping import stop_of
from keypoints.structured_files import (
    COUNT,
    MOST_TABLE_BYTES,
    NUMBER,
    NUMBERS,
    TEXT,
    TEXT_VALUES,
    TEXTS,
    Kind,
    check_kinds,
    is_count,
    one_of,
    or_none,
    read_json,
    read_text,
)

log = logging.getLogger(__name__)

State = Literal["running", "finished", "failed", "interrupted"]

_KEPT = ("command", "job", "started", "threads")
"""Keys that a resumed run keeps from its earlier status."""

_STATUS_BYTES = 4096
"""While a run trains, ``status.json`` is padded to a multiple of this size, so that its last status fits."""

_STATUS = {
    "status": one_of(("running", "finished", "failed", "interrupted")),
    "version": TEXT,
    "versions": TEXT_VALUES,
    "command": TEXTS,
    "overrides": TEXTS,
    "job": COUNT,
    "started": TEXT,
    "host": TEXT,
    "process": or_none(Kind("a process's number", lambda value: is_count(value) and value < 2**31)),
    "process_began": or_none(NUMBER),
    "resumed": TEXTS,
    "seconds": NUMBER,
    "metrics": NUMBERS,
    "threads": or_none(Kind("a number of threads", lambda value: is_count(value) and value > 0)),
    "error": TEXT,
}
"""Kinds of the values of ``status.json``. Older files lack some of them."""

_BEFORE_TRAINING = (
    *("config.yaml", "landmarks.json", "loggers.json", "network.json", "metrics.csv", "report.html"),
    *("figures/batch.png", "figures/curves.png", "figures/faces.png", "figures/feature_maps.png"),
    *(
        "figures/filters.png",
        "figures/filters.npy",
        "tensorboard/hparams.yaml",
        *(f"{folder}events.out.tfevents.*" for folder in ("", "validation/", "baseline/", "tensorboard/")),
    ),
)
"""Files that a run and its report may have written before the training, except status and log."""

_FOLDERS = ("figures", "validation", "baseline", "tensorboard")
"""Folders of these files, besides the checkpoints'; tensorboard is the folder of older runs."""

_SAME_MOMENT = 2.0
"""Tolerance of a process's start time in seconds, because the clock may be set while it runs."""


@dataclass(frozen=True)
class Status:
    """Contents of ``status.json``. Older files lack some values.

    Args:
        state: running, finished, failed or interrupted.
        version: keypoints version of the last attempt.
        versions: versions of the libraries of the last attempt, see :mod:`keypoints.library_versions`.
        command: command line of the process.
        overrides: overrides of the command.
        job: number of the run in its sweep.
        started: start of the run, in ISO 8601.
        host: name of the machine.
        process: process number on that machine.
        process_began: start of the process, in seconds since 1970.
        resumed: times at which the run was resumed, in ISO 8601.
        seconds: duration of all attempts together; ``None`` before the end.
        metrics: metrics of the best and the last epoch; ``None`` for a value that is not finite.
        threads: threads of torch in each process; ``None`` before they are chosen.
        error: reason why the run stopped before its end, on one line.
    """

    state: State
    version: str = "?"
    versions: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ("", "?")
    overrides: Sequence[str] = ()
    job: int = 0
    started: str = "?"
    host: str | None = None
    process: int | None = None
    process_began: float | None = None
    resumed: Sequence[str] = ()
    seconds: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    threads: int | None = None
    error: str = ""


@dataclass
class Attempt:
    """An attempt to train a run, for whose ``status.json`` it keeps values.

    Args:
        metrics: metrics of the run, which are written at the end.
        about: values of the status, which :meth:`record_threads` completes.
        run: folder of the run.
    """

    run: RunFolder
    about: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)

    def record_threads(self, threads: int) -> None:
        """Write the number of threads at once, for an attempt that is killed.

        Args:
            threads: threads of torch in each process.
        """
        self.about["threads"] = threads
        _write(self.run, self.about)


def read_status(run: RunFolder) -> Status:
    """Return the contents of ``status.json``.

    Raises:
        DataError: if the folder holds no run, or the file is damaged.
    """
    said = _read(run)
    known = {name: value for name, value in said.items() if name in Status.__dataclass_fields__}
    return Status(state=said["status"], **known)


def command_of(run: RunFolder) -> str:
    """Return the command that trains a run, to be pasted into a shell; one run of a sweep trains by itself.

    The command names no folder, so that it does not meet the run that exists.

    Args:
        run: folder of the run.

    Raises:
        DataError: if the folder holds no run, or its status is damaged.
    """
    overrides = [each for each in read_status(run).overrides if each.partition("=")[0] != "output"]
    # Hydra records ~key as ~key=null, which would remove the key only if its value were null.
    plain = [each.removesuffix("=null") if each.startswith("~") else each for each in overrides]
    # A file of sweep/ asks for a multirun, also if each of its values is given.
    single = ["hydra.mode=RUN"] if is_multirun(plain) else []
    return shell_command(["keypoints", "train", *own_options(run), *plain, *single])


def own_options(run: RunFolder) -> list[str]:
    """Return the flag with the folder of the user's own options, if the command of the run has one."""
    folder = flag(read_status(run).command, "--config-dir", "-cd")
    return [] if folder is None else ["--config-dir", folder]


def _read(run: RunFolder) -> dict[str, Any]:
    try:
        status = read_json(run.status_file)
        check_kinds(status, _STATUS, needed=("status",))
    except FileNotFoundError as error:
        raise DataError(f"{run.path}: holds no run (no {run.status_file.name})") from error
    except ValueError as error:
        raise DataError(f"{run.status_file}: {error}") from error
    return status


def is_alive(run: RunFolder) -> bool:
    """Return whether the run's process still runs; true for another machine, which cannot be checked."""
    status = read_status(run)
    if status.state != "running":
        return False
    if status.host != socket.gethostname():
        return True
    process, began = status.process, status.process_began
    if process is None or not psutil.pid_exists(process):
        return False
    try:  # another process may have the number by now, in a container even this one
        if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
            return False
        return began is None or abs(psutil.Process(process).create_time() - began) < _SAME_MOMENT
    except psutil.Error:
        return True


def is_finished(run: RunFolder) -> bool:
    """Return whether the run reached its end.

    Raises:
        DataError: if the folder holds no run.
        ConfigError: if the run is still running.
    """
    status = read_status(run)
    if is_alive(run):
        where = f"process {status.process} on {status.host}"
        raise ConfigError(
            f"{run.path}: is running at this moment ({where}); if it is not, change running to "
            f"interrupted in {run.status_file.name}"
        )
    return status.state == "finished"


def is_resumable(run: RunFolder) -> bool:
    """Return whether the run stopped before its end and left a checkpoint to resume from.

    Raises:
        DataError: if the folder holds no run.
        ConfigError: if the run is still running.
    """
    return not is_finished(run) and run.last_checkpoint.is_file()


def never_trained(run: RunFolder) -> bool:
    """Return whether the run failed before its training: it has no checkpoint and no metrics."""
    try:
        if read_status(run).state != "failed":
            return False
        checkpoints = [run.best_checkpoint, run.last_checkpoint, *other_checkpoints(run)]
        return not any(path.is_file() for path in checkpoints) and not _has_metrics(run)
    except (DataError, OSError):  # unknown, so keep the files
        return False


def _has_metrics(run: RunFolder) -> bool:
    """Return whether the run logged anything, in its table or, without a table, in TensorBoard.

    Raises:
        DataError: if the configuration or a table cannot be read.
    """
    tables = run.path.rglob(run.metrics.name)
    if any(len(read_text(path, MOST_TABLE_BYTES).splitlines()) > 1 for path in tables):
        return True
    return run.setting("logger.csv") is None and any(run.path.rglob("events.out.tfevents.*"))


def forget(run: RunFolder) -> None:
    """Remove the files of a run that never trained, except status and log; keep all other files."""
    for pattern in _BEFORE_TRAINING:
        for path in run.path.glob(pattern):
            path.unlink()
    for folder in (run.checkpoints, *(run.path / name for name in _FOLDERS)):
        with suppress(OSError):  # it is missing, or holds other files
            folder.rmdir()


def clear(run: RunFolder) -> None:
    """Remove the files of a run that starts again, except configuration, status and log."""
    kept = {run.config, run.status_file}
    for there in run.path.iterdir():
        if there.is_dir() and not there.is_symlink():
            shutil.rmtree(there)
        elif there not in kept and there.suffix != ".log":  # Hydra has the log open
            there.unlink()


@contextmanager
def record(
    run: RunFolder,
    overrides: Sequence[str] = (),
    job: int = 0,
    config: str | None = None,
    *,
    resumed: bool = False,
) -> Iterator[Attempt]:
    """Keep ``status.json`` up to date while the block runs: running, then finished, failed or interrupted.

    The block fills the metrics of the attempt. A single run that failed
    before its training is replaced by the new run; a run of a sweep has to be resumed. A warning says if a
    run resumes with another major version of OpenCV.

    Args:
        run: its folder.
        overrides: overrides of the command that began the run, with the new length if it is lengthened.
        job: number of the run in its sweep.
        config: the complete configuration, in YAML. It is written before the status, so that every run with
            a status can be resumed.
        resumed: continue the status of an earlier attempt.

    Yields:
        The attempt.

    Raises:
        ConfigError: if the folder holds a run that is not resumed.
    """
    if run.status_file.exists() and not resumed:
        if is_sweep(run.path.parent) or not never_trained(run):
            raise ConfigError(f"{run.path}: holds a run already; name another folder: output=<folder>")
        forget(run)
    run.path.mkdir(parents=True, exist_ok=True)
    if config is not None:
        write_atomically(run.config, config)
    began = datetime.now(UTC)
    now = began.isoformat(timespec="seconds")
    about: dict[str, Any] = {
        "status": "running",
        "version": __version__,
        "versions": library_versions(),
        "command": sys.argv,
        "overrides": list(overrides),
        "job": job,
        "started": now,
        "host": socket.gethostname(),
        "process": os.getpid(),
        "process_began": psutil.Process().create_time(),
    }
    before = 0.0
    if resumed:
        earlier = _read(run)
        before = float(earlier.get("seconds", 0))
        about |= {key: earlier[key] for key in _KEPT if key in earlier}
        if changed := opencv_changed(earlier.get("versions", {})):
            log.warning("%s: %s", run.path, changed)
        about["resumed"] = [*earlier.get("resumed", []), now]
    _write(run, about)
    attempt = Attempt(run, about)
    try:
        yield attempt
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        about |= {"status": "interrupted" if stopped else "failed", "error": describe(error)}
        raise
    else:
        about |= {"status": "finished"}
    finally:
        seconds = before + (datetime.now(UTC) - began).total_seconds()
        finite = {name: value if math.isfinite(value) else None for name, value in attempt.metrics.items()}
        _write(run, {**about, "seconds": round(seconds, 1), "metrics": finite})


def _write(run: RunFolder, status: Mapping[str, Any]) -> None:
    """Write ``status.json``; on a full disk overwrite it in place, which its padding allows."""
    text = json.dumps(status, indent=2)
    reserve = -(len(text) + 1) % _STATUS_BYTES if status["status"] == "running" else 0
    text += " " * reserve + "\n"
    try:
        write_atomically(run.status_file, text)
    except OSError:
        if not run.status_file.is_file() or run.status_file.stat().st_size < len(text):
            raise
        with run.status_file.open("r+", encoding="utf-8") as file:
            file.write(text.rstrip("\n") + " " * (run.status_file.stat().st_size - len(text)) + "\n")


def describe(error: BaseException) -> str:
    """Return one line about ``error``, with its type unless its message is meant for users."""
    if isinstance(error, KeyboardInterrupt):
        return str(stop_of(error))
    if isinstance(error, KeypointsError):
        return printable(" ".join(str(error).split()))  # not shortened: it goes into a file
    return f"{type(error).__name__}: {one_line(error)}"
