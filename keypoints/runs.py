"""A run's folder: which file is where, and what became of the run. Imports no torch, and pandas late."""

import json
import math
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from keypoints import __version__
from keypoints.errors import CheckpointError, ConfigError, DataError, KeypointsError, one_line
from keypoints.landmarks import LandmarkScheme

if TYPE_CHECKING:
    import pandas as pd

_KEPT = ("command", "overrides", "job", "started")
"""What a resumed run's status keeps of the one before."""

_SAME_MOMENT = 2.0
"""Seconds that clocks may have been set by while a process runs."""

SWEEP_FILE = "multirun.yaml"
"""What Hydra writes into a sweep's folder; its runs lie beside it."""


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary file to write to, which takes the place of ``path`` if the block succeeds."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


MEAN_FACE = 0.1
"""A network whose predictions vary less than this share of the truth predicts the mean face."""


def predicts_the_mean(variance_ratio: float) -> str | None:
    """A warning if predictions vary that little from face to face, else nothing."""
    if variance_ratio >= MEAN_FACE:
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
            return LandmarkScheme.from_dict(json.loads(self.landmarks.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, ConfigError) as error:
            raise DataError(f"{self.landmarks}: cannot be read ({one_line(error)})") from error

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
        return f"{given} {self.path.name}" if (self.path.parent / SWEEP_FILE).is_file() else str(given)

    def configuration(self) -> DictConfig:
        """The whole configuration, read again.

        Raises:
            DataError: if the file is missing or damaged.
        """
        return _configuration(self.config)

    def setting(self, key: str) -> Any:
        """A value of the run's configuration; ``None`` where there is none.

        Raises:
            DataError: if the configuration is there and damaged.
        """
        if not self.config.is_file():
            return None
        return OmegaConf.select(_unchanged(self.config, self.config.stat().st_mtime_ns), key)

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
            return began is None or abs(psutil.Process(process).create_time() - began) < _SAME_MOMENT
        except psutil.Error:
            return True

    @property
    def status_file(self) -> Path:
        """What became of the run; a folder without it holds none."""
        return self.path / "status.json"

    def status(self) -> dict[str, Any]:
        """The contents of ``status.json``; see :meth:`recorded`.

        Raises:
            DataError: if the folder holds no run, or the file is damaged.
        """
        try:
            status = json.loads(self.status_file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DataError(f"{self.path}: holds no run (no {self.status_file.name})") from error
        except (OSError, ValueError) as error:
            raise DataError(f"{self.status_file}: cannot be read ({one_line(error)})") from error
        if not isinstance(status, dict):
            raise DataError(f"{self.status_file}: is not a status")
        return status

    def logged(self) -> "pd.DataFrame":
        """What was logged: a row a logging, with its ``epoch`` and ``step``.

        Raises:
            DataError: if nothing was logged.
        """
        import pandas as pd

        try:
            logged = pd.read_csv(self.metrics)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.metrics}: cannot be read ({one_line(error)})") from error
        if not {"epoch", "step"} <= set(logged):
            raise DataError(f"{self.metrics}: has no columns 'epoch' and 'step'")
        return logged

    def history(self) -> "pd.DataFrame":
        """The metrics of each epoch: a row an epoch, a column a metric.

        Raises:
            DataError: if nothing was logged.
        """
        logged = self.logged()
        return logged.dropna(subset=["epoch"]).astype({"epoch": int}).groupby("epoch").last()

    def resumable(self) -> bool:
        """Whether the run stopped before its end and left a checkpoint to go on from.

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
        return status["status"] != "finished" and self.last_checkpoint.is_file()

    @contextmanager
    def recorded(
        self, overrides: Sequence[str] = (), job: int = 0, *, resumed: bool = False
    ) -> Iterator[dict[str, float]]:
        """Keep ``status.json`` true while the block runs: running, then finished, failed or interrupted.

        The status keeps the run's ``overrides``, and which ``job`` of its sweep it is; a ``resumed``
        run keeps what it had. What the block puts into the dict that it is given is kept under
        ``metrics``.

        Raises:
            ConfigError: if the folder holds a run already and that is not resumed.
        """
        if self.status_file.exists() and not resumed:
            raise ConfigError(f"{self.path}: holds a run already; name another folder: output=<folder>")
        self.path.mkdir(parents=True, exist_ok=True)
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
        write_whole(self.status_file, json.dumps(status, indent=2) + "\n")


def _configuration(path: Path) -> DictConfig:
    try:
        loaded = OmegaConf.load(path)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise DataError(f"{path}: cannot be read ({one_line(error)[:200]})") from error
    if not isinstance(loaded, DictConfig):
        raise DataError(f"{path}: is no configuration")
    return loaded


@lru_cache(maxsize=32)
def _unchanged(path: Path, changed: int) -> DictConfig:  # noqa: ARG001
    """The configuration as it was read when the file was the same: a report asks for ten of its values."""
    return _configuration(path)


def describe(error: BaseException) -> str:
    """One line for ``error``, with its type unless the message was made for users."""
    if isinstance(error, KeypointsError):
        return one_line(error)
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
        raise CheckpointError(f"{path}: holds no {found.relative_to(path)}; is it a run's folder?")
    return found, run
