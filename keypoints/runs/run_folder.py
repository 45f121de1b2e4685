"""A run's folder: which file is where, and what became of the run. Imports no torch, and pandas late."""

import io
import json
import math
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from keypoints import __version__
from keypoints.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    KeypointsError,
    one_line,
    printable,
    some_of,
)
from keypoints.files import write_whole
from keypoints.landmarks import LandmarkScheme
from keypoints.older_names import current
from keypoints.stopping import stop_of
from keypoints.structured_files import (
    COUNT,
    MOST_TABLE_BYTES,
    NUMBER,
    NUMBERS,
    TEXT,
    TEXTS,
    VALUES,
    Kind,
    check_kinds,
    is_count,
    one_of,
    or_none,
    read_json,
    read_text,
    read_yaml,
)

if TYPE_CHECKING:
    import pandas as pd

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

_COMPONENTS = or_none(
    Kind(
        "components by name",
        lambda value: VALUES.fits(value) and all(map(or_none(VALUES).fits, value.values())),
    )
)
_CONFIG = {
    "name": TEXT,
    "seed": COUNT,
    "output": TEXT,
    "start_from": or_none(TEXT),
    **dict.fromkeys(("data", "augmentation", "loss", "optimizer", "scheduler", "model"), or_none(VALUES)),
    "trainer": or_none(VALUES),
    "callbacks": _COMPONENTS,
    "logger": _COMPONENTS,
}
"""What the values of ``config.yaml`` are, as far as they are used before a component checks its own."""

_BEFORE_TRAINING = (
    *("config.yaml", "landmarks.json", "metrics.csv", "report.html"),
    *("figures/batch.png", "figures/curves.png", "figures/faces.png", "figures/feature_maps.png"),
    *("figures/filters.png", "tensorboard/hparams.yaml", "tensorboard/events.out.tfevents.*"),
)
"""What a run without a checkpoint may have written, and the report of it, but for its status and log."""

_SAME_MOMENT = 2.0
"""Seconds that clocks may have been set by while a process runs."""

DEV_RUN = "a trial of a few batches, which logs nothing and keeps no checkpoint"
"""What Lightning's ``fast_dev_run`` is."""

OWN_SWEEP_FILE = "sweep.yaml"
"""What a sweep was asked for; its runs lie beside it."""

SWEEP_FILE = "multirun.yaml"
"""The same as Hydra writes it, later and not atomically; older sweeps have only this one."""


def is_sweep(folder: Path) -> bool:
    """Return whether a folder is a sweep's."""
    return any((folder / name).is_file() for name in (OWN_SWEEP_FILE, SWEEP_FILE))


_NAMED = 3
"""Checkpoints that a message names."""

MEAN_FACE = 0.1
"""A network whose predictions vary less than this share of the truth predicts the mean face."""


def predicts_the_mean(variance_ratio: float | None) -> str | None:
    """Return a warning if predictions vary that little from face to face, else nothing.

    Args:
        variance_ratio: as of :class:`keypoints.tasks.metrics.VarianceRatio`; ``None`` or NaN where the true
            faces do not vary, so that nothing can be said.
    """
    if variance_ratio is None or not variance_ratio < MEAN_FACE:
        return None
    return (
        "this network predicts nearly the same face for everyone: "
        f"its predictions vary {100 * variance_ratio:.1f} % as much as the truth"
    )


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The whole configuration, resolved."""
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """Holds ``best.ckpt`` and ``last.ckpt``."""
        return self.path / "checkpoints"

    @property
    def best_checkpoint(self) -> Path:
        """The epoch with the smallest validation MSE."""
        return self.checkpoints / "best.ckpt"

    @property
    def last_checkpoint(self) -> Path:
        """The last epoch that was written: what a run is resumed from."""
        return self.checkpoints / "last.ckpt"

    def other_checkpoints(self) -> list[Path]:
        """Return the checkpoints of another name or place than :attr:`best_checkpoint` and the last one.

        They lie in the run's folder, or where its configuration lets a callback write.

        Raises:
            DataError: if the configuration is there and damaged.
        """
        found = list(self.path.rglob("[!.]*.ckpt"))
        for callback in (self.setting("callbacks") or {}).values():
            if isinstance(callback, Mapping | DictConfig) and (place := callback.get("dirpath")):
                found += Path(str(place)).glob("[!.]*.ckpt")
        ours = {path.resolve() for path in (self.best_checkpoint, self.last_checkpoint)}
        others = {path.resolve(): path for path in found if path.resolve() not in ours}
        return sorted(others.values())

    @property
    def metrics(self) -> Path:
        """What was logged, a row a logging."""
        return self.path / "metrics.csv"

    @property
    def faces(self) -> Path:
        """The validation faces and what the best epoch predicts for them."""
        return self.path / "faces.csv"

    @property
    def landmarks(self) -> Path:
        """What the points are that the run predicts: the plain values of a scheme."""
        return self.path / "landmarks.json"

    def scheme(self) -> LandmarkScheme | None:
        """The landmarks that the run predicts; ``None`` of a run of before, which lacks the file.

        Raises:
            DataError: if the file is damaged.
        """
        try:
            return LandmarkScheme.from_dict(read_json(self.landmarks))
        except FileNotFoundError:
            return None
        except ConfigError as error:
            raise DataError(f"{self.landmarks}: cannot be read ({one_line(error)[:200]})") from error

    @property
    def report(self) -> Path:
        """The page about the run."""
        return self.path / "report.html"

    @property
    def name(self) -> str:
        """What titles call the run: its own name, and in a sweep that of the setting."""
        given = self.setting("name")
        if given is None:
            return self.path.name
        return f"{given} {self.path.name}" if is_sweep(self.path.parent) else str(given)

    def configuration(self) -> DictConfig:
        """The whole configuration, read again.

        Raises:
            DataError: if the file is missing or damaged.
        """
        return _configuration(self.config, needed=("data", "model", "name", "output", "seed", "trainer"))

    def setting(self, key: str) -> Any:
        """A value of the run's configuration; ``None`` where there is none.

        Raises:
            DataError: if the configuration is there and damaged.
        """
        try:
            changed = self.config.stat().st_mtime_ns
        except OSError:
            return None
        try:
            return OmegaConf.select(_unchanged(self.config, changed), key)
        except OmegaConfBaseException as error:
            raise DataError(f"{self.config}: {key}: {one_line(error).partition(' full_key:')[0]}") from error

    @property
    def data_name(self) -> str | None:
        """The name of the list or the folder that the run was trained on, if its configuration has one."""
        place = self.setting("data.train") or self.setting("data.root")
        return None if place is None else Path(str(place)).name

    def figure(self, name: str) -> Path:
        """The figure of that name."""
        return self.path / "figures" / f"{name}.png"

    def alive(self) -> bool:
        """Whether the process that began the run still runs, as far as can be seen from here."""
        status = self.status()
        if status.get("status") != "running":
            return False
        if status.get("host") != socket.gethostname():
            return True
        process, began = status.get("process"), status.get("process_began")
        if not isinstance(process, int) or not psutil.pid_exists(process):
            return False
        try:  # the number may be another process's by now, in a container even our own
            if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                return False
            return began is None or abs(psutil.Process(process).create_time() - began) < _SAME_MOMENT
        except psutil.Error:
            return True

    @property
    def status_file(self) -> Path:
        """What became of the run; a folder without it holds none."""
        return self.path / "status.json"

    def finished(self) -> bool:
        """Return whether the run reached its end.

        Raises:
            DataError: if the folder holds no run.
            ConfigError: if the run is running at this moment.
        """
        status = self.status()
        if self.alive():
            where = f"process {status.get('process')} on {status.get('host')}"
            raise ConfigError(
                f"{self.path}: is running at this moment ({where}); if you know that it is not, write "
                f"interrupted for running in {self.status_file.name}"
            )
        return bool(status["status"] == "finished")

    def never_trained(self) -> bool:
        """Return whether the run failed before its training began: it has no checkpoint and no metrics."""
        try:
            if self.status()["status"] != "failed":
                return False
            checkpoints = [self.best_checkpoint, self.last_checkpoint, *self.other_checkpoints()]
            return not any(path.is_file() for path in checkpoints) and not self._has_metrics()
        except (DataError, OSError):  # nobody knows what there was
            return False

    def _has_metrics(self) -> bool:
        """Return whether anything was logged, in TensorBoard alone if the run keeps no table.

        Raises:
            DataError: if the configuration or a table cannot be read.
        """
        tables = self.path.rglob(self.metrics.name)
        if any(len(read_text(path, MOST_TABLE_BYTES).splitlines()) > 1 for path in tables):
            return True
        return self.setting("logger.csv") is None and any(self.path.rglob("events.out.tfevents.*"))

    def forget(self) -> None:
        """Remove what a run left that never trained, but for its status and log; nothing else is touched."""
        for pattern in _BEFORE_TRAINING:
            for path in self.path.glob(pattern):
                path.unlink()
        for folder in (self.checkpoints, self.path / "figures", self.path / "tensorboard"):
            with suppress(OSError):  # it is not there, or holds something else
                folder.rmdir()

    def clear(self) -> None:
        """Remove what a run left that starts once more: all but its configuration, status and log."""
        kept = {self.config, self.status_file}
        for there in self.path.iterdir():
            if there.is_dir() and not there.is_symlink():
                shutil.rmtree(there)
            elif there not in kept and there.suffix != ".log":  # Hydra has the log open
                there.unlink()

    def status(self) -> dict[str, Any]:
        """The contents of ``status.json``; see :meth:`recorded`.

        Raises:
            DataError: if the folder holds no run, or the file is damaged.
        """
        try:
            status = read_json(self.status_file)
            check_kinds(status, _STATUS, needed=("status",))
        except FileNotFoundError as error:
            raise DataError(f"{self.path}: holds no run (no {self.status_file.name})") from error
        except ValueError as error:
            raise DataError(f"{self.status_file}: {error}") from error
        return status

    def logged(self) -> "pd.DataFrame":
        """What was logged: a row a logging, with its ``epoch`` and ``step``.

        Raises:
            DataError: if nothing was logged, or the table is damaged.
        """
        import pandas as pd

        try:
            text = read_text(self.metrics, MOST_TABLE_BYTES)
            # A line without its end was being written when the run was killed.
            logged = pd.read_csv(io.StringIO(text[: text.rfind("\n") + 1]))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.metrics}: cannot be read ({one_line(error)[:200]})") from error
        if "step" not in logged:
            raise DataError(f"{self.metrics}: has no column 'step'")
        if "epoch" not in logged:  # the run ended before its first epoch did
            logged["epoch"] = math.nan
        for name, column in logged.items():
            if column.dtype.kind not in "iuf":
                raise DataError(f"{self.metrics}: its column {name!r} holds something else than numbers")
        for name in ("epoch", "step"):
            counted = logged[name].dropna()
            if not ((counted >= 0) & (counted < 2**53) & (counted % 1 == 0)).all():
                raise DataError(
                    f"{self.metrics}: its column {name!r} holds something else than whole numbers"
                )
        return logged

    def history(self) -> "pd.DataFrame":
        """The metrics of each epoch: a row an epoch, a column a metric.

        Raises:
            DataError: if nothing was logged.
        """
        history = by_epoch(self.logged())
        if history.empty:
            raise DataError(f"{self.metrics}: holds no epoch")
        return history

    def resumable(self) -> bool:
        """Return whether the run stopped before its end and left a checkpoint to go on from.

        Raises:
            DataError: if the folder holds no run.
            ConfigError: if the run is running at this moment.
        """
        return not self.finished() and self.last_checkpoint.is_file()

    @contextmanager
    def recorded(
        self,
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
            overrides: those of the command that began the run.
            job: which of its sweep's runs it is.
            config: the whole configuration, in YAML. It is written before the status, so that whatever has a
                status can be resumed.
            resumed: keep what the status of an earlier attempt says of these.

        Raises:
            ConfigError: if the folder holds a run already and that is not resumed.
        """
        if self.status_file.exists() and not resumed:
            if is_sweep(self.path.parent) or not self.never_trained():
                raise ConfigError(f"{self.path}: holds a run already; name another folder: output=<folder>")
            self.forget()
        self.path.mkdir(parents=True, exist_ok=True)
        if config is not None:
            write_whole(self.config, config)
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
            earlier = self.status()
            before = float(earlier.get("seconds", 0))
            about |= {key: earlier[key] for key in _KEPT if key in earlier}
            about["resumed"] = [*earlier.get("resumed", []), now]
        self._write(about)
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
            self._write({**about, "seconds": round(seconds, 1), "metrics": finite})

    def _write(self, status: Mapping[str, Any]) -> None:
        """Write ``status.json``; on a full disk in the place that it has already, for which it is padded."""
        text = json.dumps(status, indent=2)
        text += " " * (-(len(text) + 1) % _STATUS_BYTES) + "\n"
        try:
            write_whole(self.status_file, text)
        except OSError:
            if not self.status_file.is_file() or self.status_file.stat().st_size < len(text):
                raise
            with self.status_file.open("r+", encoding="utf-8") as file:
                file.write(text.rstrip("\n") + " " * (self.status_file.stat().st_size - len(text)) + "\n")


def _configuration(path: Path, needed: Sequence[str] = ()) -> DictConfig:
    try:
        loaded = read_yaml(path, resolved=True)
        check_kinds(OmegaConf.to_container(loaded), _CONFIG, needed)  # type: ignore[arg-type]  # of a mapping it is one
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    if not loaded:
        raise DataError(f"{path}: is empty")
    renamed: DictConfig = OmegaConf.create(current(OmegaConf.to_container(loaded)))
    return renamed


@lru_cache(maxsize=32)
def _unchanged(path: Path, changed: int) -> DictConfig:  # noqa: ARG001
    """The configuration as it was read when the file was the same: a report asks for ten of its values."""
    return _configuration(path)


def by_epoch(logged: "pd.DataFrame") -> "pd.DataFrame":
    """Return the metrics of each epoch: a row an epoch, a column a metric."""
    return logged.dropna(subset=["epoch"]).astype({"epoch": int}).groupby("epoch").last()


def summary(logged: "pd.DataFrame") -> dict[str, float]:
    """Return the metrics of the best and the last epoch of what was logged; nothing if none was validated."""
    if "epoch" not in logged or "val/mse" not in logged:
        return {}
    history = by_epoch(logged).dropna(subset=["val/mse"])
    if history.empty:
        return {}
    metrics = {}
    for when, place in (("best", int(history["val/mse"].to_numpy().argmin())), ("last", -1)):
        row = history.iloc[place]
        metrics[f"{when}/epoch"] = float(history.index[place])
        for name in ("mse", "mae_px", "variance_ratio"):
            metrics[f"{when}/{name}"] = float(row[f"val/{name}"])
    if "val/mse_constant" in history:
        metrics["constant/mse"] = float(history["val/mse_constant"].iloc[-1])
    return metrics


def describe(error: BaseException) -> str:
    """Return one line for ``error``, with its type unless the message was made for users."""
    if isinstance(error, KeyboardInterrupt):
        return str(stop_of(error))
    if isinstance(error, KeypointsError):
        return printable(" ".join(str(error).split()))  # in full: a file has room for it
    return f"{type(error).__name__}: {one_line(error)}"


def find_checkpoint(given: str | None, which: str) -> tuple[Path, RunFolder | None]:
    """The checkpoint's file, and the run that it is of, if it lies in a run's folder.

    Args:
        given: a file, or a run's folder.
        which: ``"best"`` or ``"last"``, of a run's folder.

    Raises:
        ConfigError: if nothing is given, or ``which`` is neither.
        CheckpointError: if there is no such file.
    """
    if given is None:
        raise ConfigError("say which checkpoint: checkpoint=<file or run's folder>")
    path = Path(given)
    if not path.is_dir():
        run = RunFolder(path.resolve().parent.parent)
        return path, run if run.checkpoints == path.resolve().parent and run.config.is_file() else None
    run = RunFolder(path)
    if which not in ("best", "last"):
        raise ConfigError(f"which is best or last, not {which!r}")
    found = run.best_checkpoint if which == "best" else run.last_checkpoint
    if not found.is_file():
        raise CheckpointError(f"{path}: holds no {found.relative_to(path)}; {_instead(run)}")
    return found, run


def _instead(run: RunFolder) -> str:
    """Return what to name of a folder that lacks the checkpoint that was asked for."""
    if others := run.other_checkpoints():
        return f"name one of the checkpoints that it wrote: {some_of(list(map(str, others)), _NAMED)}"
    if not run.status_file.is_file():
        return "is it a run's folder?"
    if run.last_checkpoint.is_file():
        return f"it keeps its last epoch alone: name {run.last_checkpoint}"
    if run.best_checkpoint.is_file():
        return f"it keeps its best epoch alone: name {run.best_checkpoint}"
    return "the run was told to keep none, or ended before it wrote one"
