"""What became of a run: its ``status.json``, written while it runs. Imports no torch."""

import json
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
from keypoints.errors import ConfigError, DataError, KeypointsError, one_line, printable
from keypoints.files import write_whole
from keypoints.runs.checkpoint_files import other_checkpoints
from keypoints.runs.run_folder import RunFolder, is_sweep
from keypoints.stopping import stop_of
from keypoints.structured_files import (
    COUNT,
    MOST_TABLE_BYTES,
    NUMBER,
    NUMBERS,
    TEXT,
    TEXTS,
    Kind,
    check_kinds,
    is_count,
    one_of,
    or_none,
    read_json,
    read_text,
)

State = Literal["running", "finished", "failed", "interrupted"]

_KEPT = ("command", "overrides", "job", "started")
"""What a resumed run's status keeps of the one before."""

_STATUS_BYTES = 4096
"""``status.json`` is padded to a multiple of it, so that a later status fits into its place."""

_STATUS = {
    "status": one_of(("running", "finished", "failed", "interrupted")),
    "version": TEXT,
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
    "error": TEXT,
}
"""What the values of ``status.json`` are. Older ones lack some."""

_BEFORE_TRAINING = (
    *("config.yaml", "landmarks.json", "metrics.csv", "report.html"),
    *("figures/batch.png", "figures/curves.png", "figures/faces.png", "figures/feature_maps.png"),
    *("figures/filters.png", "tensorboard/hparams.yaml", "tensorboard/events.out.tfevents.*"),
)
"""What a run without a checkpoint may have written, and the report of it, but for its status and log."""

_SAME_MOMENT = 2.0
"""Seconds that clocks may have been set by while a process runs."""


@dataclass(frozen=True)
class Status:
    """Contents of ``status.json``. Older files lack some values.

    Args:
        state: what became of the run.
        version: of keypoints, when the run began.
        command: as the process had it.
        overrides: of the command.
        job: number of the run in its sweep.
        started: when the run began, in ISO 8601.
        host: name of the machine.
        process: its number there.
        process_began: when it began, in seconds since 1970.
        resumed: when the run was resumed, each time.
        seconds: that the run took, all attempts together; ``None`` before its end.
        metrics: of its best and its last epoch; ``None`` for one that is not finite.
        error: why it stopped before its end, on one line.
    """

    state: State
    version: str = "?"
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
    error: str = ""


def read_status(run: RunFolder) -> Status:
    """Return what ``status.json`` says.

    Raises:
        DataError: if the folder holds no run, or the file is damaged.
    """
    said = _read(run)
    known = {name: value for name, value in said.items() if name in Status.__dataclass_fields__}
    return Status(state=said["status"], **known)


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
    """Return whether the process that began the run still runs, as far as can be seen from here."""
    status = read_status(run)
    if status.state != "running":
        return False
    if status.host != socket.gethostname():
        return True
    process, began = status.process, status.process_began
    if process is None or not psutil.pid_exists(process):
        return False
    try:  # the number may be another process's by now, in a container even our own
        if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
            return False
        return began is None or abs(psutil.Process(process).create_time() - began) < _SAME_MOMENT
    except psutil.Error:
        return True


def is_finished(run: RunFolder) -> bool:
    """Return whether the run reached its end.

    Raises:
        DataError: if the folder holds no run.
        ConfigError: if the run is running at this moment.
    """
    status = read_status(run)
    if is_alive(run):
        where = f"process {status.process} on {status.host}"
        raise ConfigError(
            f"{run.path}: is running at this moment ({where}); if you know that it is not, write "
            f"interrupted for running in {run.status_file.name}"
        )
    return status.state == "finished"


def is_resumable(run: RunFolder) -> bool:
    """Return whether the run stopped before its end and left a checkpoint to resume from.

    Raises:
        DataError: if the folder holds no run.
        ConfigError: if the run is running at this moment.
    """
    return not is_finished(run) and run.last_checkpoint.is_file()


def never_trained(run: RunFolder) -> bool:
    """Return whether the run failed before its training began: it has no checkpoint and no metrics."""
    try:
        if read_status(run).state != "failed":
            return False
        checkpoints = [run.best_checkpoint, run.last_checkpoint, *other_checkpoints(run)]
        return not any(path.is_file() for path in checkpoints) and not _has_metrics(run)
    except (DataError, OSError):  # nobody knows what there was
        return False


def _has_metrics(run: RunFolder) -> bool:
    """Return whether anything was logged, in TensorBoard alone if the run keeps no table.

    Raises:
        DataError: if the configuration or a table cannot be read.
    """
    tables = run.path.rglob(run.metrics.name)
    if any(len(read_text(path, MOST_TABLE_BYTES).splitlines()) > 1 for path in tables):
        return True
    return run.setting("logger.csv") is None and any(run.path.rglob("events.out.tfevents.*"))


def forget(run: RunFolder) -> None:
    """Remove what a run left that never trained, but for its status and log; nothing else is touched."""
    for pattern in _BEFORE_TRAINING:
        for path in run.path.glob(pattern):
            path.unlink()
    for folder in (run.checkpoints, run.path / "figures", run.path / "tensorboard"):
        with suppress(OSError):  # it is not there, or holds something else
            folder.rmdir()


def clear(run: RunFolder) -> None:
    """Remove what a run left that starts once more: all but its configuration, status and log."""
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
) -> Iterator[dict[str, float]]:
    """Keep ``status.json`` true while the block runs: running, then finished, failed or interrupted.

    What the block puts into the dict that it is given is kept under ``metrics``. A run by itself that
    failed before its training began is replaced by the new one; those of a sweep are resumed.

    Args:
        run: its folder.
        overrides: those of the command that began the run.
        job: which of its sweep's runs it is.
        config: the whole configuration, in YAML. It is written before the status, so that whatever has a
            status can be resumed.
        resumed: keep what the status of an earlier attempt says of these.

    Raises:
        ConfigError: if the folder holds a run already and that is not resumed.
    """
    if run.status_file.exists() and not resumed:
        if is_sweep(run.path.parent) or not never_trained(run):
            raise ConfigError(f"{run.path}: holds a run already; name another folder: output=<folder>")
        forget(run)
    run.path.mkdir(parents=True, exist_ok=True)
    if config is not None:
        write_whole(run.config, config)
    metrics: dict[str, float] = {}
    began = datetime.now(UTC)
    now = began.isoformat(timespec="seconds")
    about: dict[str, Any] = {
        "status": "running",
        "version": __version__,
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
        about["resumed"] = [*earlier.get("resumed", []), now]
    _write(run, about)
    try:
        yield metrics
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        about |= {"status": "interrupted" if stopped else "failed", "error": describe(error)}
        raise
    else:
        about |= {"status": "finished"}
    finally:
        seconds = before + (datetime.now(UTC) - began).total_seconds()
        finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        _write(run, {**about, "seconds": round(seconds, 1), "metrics": finite})


def _write(run: RunFolder, status: Mapping[str, Any]) -> None:
    """Write ``status.json``; on a full disk in the place that it has already, for which it is padded."""
    text = json.dumps(status, indent=2)
    text += " " * (-(len(text) + 1) % _STATUS_BYTES) + "\n"
    try:
        write_whole(run.status_file, text)
    except OSError:
        if not run.status_file.is_file() or run.status_file.stat().st_size < len(text):
            raise
        with run.status_file.open("r+", encoding="utf-8") as file:
            file.write(text.rstrip("\n") + " " * (run.status_file.stat().st_size - len(text)) + "\n")


def describe(error: BaseException) -> str:
    """Return one line for ``error``, with its type unless the message was made for users."""
    if isinstance(error, KeyboardInterrupt):
        return str(stop_of(error))
    if isinstance(error, KeypointsError):
        return printable(" ".join(str(error).split()))  # uncut: a file need not be short
    return f"{type(error).__name__}: {one_line(error)}"
