"""Folder of a run: paths of its files, and its configuration. Imports no torch."""

import copy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from keypoints.data.provenance import data_name
from keypoints.errors import ConfigError, DataError, one_line
from keypoints.landmarks import LandmarkScheme
from keypoints.older_names import current
from keypoints.structured_files import (
    COUNT,
    TEXT,
    VALUES,
    Kind,
    check_kinds,
    or_none,
    read_json,
    read_yaml,
)

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
"""Kinds of the values of ``config.yaml`` that are used before the components check their own."""
_NEEDED = ("data", "model", "name", "output", "seed", "trainer")
"""Keys of a complete configuration."""

DEV_RUN = "a trial of a few batches, which logs nothing and keeps no checkpoint"
"""Description of Lightning's ``fast_dev_run``."""

OWN_SWEEP_FILE = "sweep.yaml"
"""File name of a sweep's record of its overrides; the runs' folders lie beside it."""

SWEEP_FILE = "multirun.yaml"
"""File name of Hydra's own record, written later and not atomically; older sweeps have only this one."""


class Monitor(NamedTuple):
    """Metric that decides which epoch is best."""

    metric: str
    """Name of the logged metric, such as ``val/nme``."""
    mode: str = "min"
    """``"min"`` or ``"max"``: whether small or large values are good."""


BY_MSE = Monitor("val/mse")
"""Monitor of a run that names no other."""


def is_sweep(folder: Path) -> bool:
    """Return whether a folder is a sweep's folder."""
    return any((folder / name).is_file() for name in (OWN_SWEEP_FILE, SWEEP_FILE))


def check_no_run(folder: Path) -> None:
    """Check that a folder for other results holds no run and no sweep, whose files they would replace.

    Raises:
        DataError: if it holds one.
    """
    kind = "a sweep" if is_sweep(folder) else "a run" if RunFolder(folder).status_file.is_file() else None
    if kind is not None:
        raise DataError(
            f"{folder}: is the folder of {kind}, whose report would be replaced; name another folder: "
            "output=<folder>"
        )


@dataclass(frozen=True)
class RunFolder:
    """Folder of one run.

    Args:
        path: path of the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """File of the complete configuration, resolved."""
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """Folder of ``best.ckpt`` and ``last.ckpt``."""
        return self.path / "checkpoints"

    @property
    def best_checkpoint(self) -> Path:
        """Checkpoint of the best epoch, by default the epoch with the smallest validation MSE."""
        return self.checkpoints / "best.ckpt"

    @property
    def last_checkpoint(self) -> Path:
        """Checkpoint of the last saved epoch, from which a run resumes."""
        return self.checkpoints / "last.ckpt"

    @property
    def metrics(self) -> Path:
        """Table of logged metrics, one row per log entry."""
        return self.path / "metrics.csv"

    @property
    def logger_ids(self) -> Path:
        """File of the identifiers under which loggers resume the run, by the loggers' names."""
        return self.path / "loggers.json"

    @property
    def faces(self) -> Path:
        """Table of the validation faces with the predictions of the best epoch."""
        return self.path / "faces.csv"

    @property
    def landmarks(self) -> Path:
        """File of the landmark scheme that the run predicts, as plain values."""
        return self.path / "landmarks.json"

    @property
    def network(self) -> Path:
        """File of the number of weights and operations of the run's network."""
        return self.path / "network.json"

    def scheme(self) -> LandmarkScheme | None:
        """Return the landmark scheme that the run predicts; ``None`` for an older run without the file.

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
        """Page about the run."""
        return self.path / "report.html"

    @property
    def name(self) -> str:
        """Name of the run in titles: its configured name, and in a sweep also its folder's name."""
        given = self.setting("name")
        if given is None:
            return self.path.name
        return f"{given} {self.path.name}" if is_sweep(self.path.parent) else str(given)

    def configuration(self) -> DictConfig:
        """Return the complete configuration, read from the file.

        Raises:
            DataError: if the file is missing or damaged.
        """
        try:
            loaded = copy.deepcopy(self._kept())
            check_kinds(dict.fromkeys(loaded), {}, _NEEDED)
        except FileNotFoundError as error:
            raise DataError(f"{self.config}: no such file") from error
        except ValueError as error:
            raise DataError(f"{self.config}: {error}") from error
        return loaded

    def setting(self, key: str) -> Any:
        """Return a value of the run's configuration; ``None`` if it or the file is missing.

        Args:
            key: dotted name, such as ``data.train``.

        Raises:
            DataError: if the configuration exists and is damaged.
        """
        try:
            return OmegaConf.select(self._kept(), key)
        except OSError:
            return None
        except OmegaConfBaseException as error:
            raise DataError(f"{self.config}: {key}: {one_line(error).partition(' full_key:')[0]}") from error

    def _kept(self) -> DictConfig:
        """Return the configuration that is kept, which nobody may change."""
        facts = self.config.stat()
        return _configuration(self.config, facts.st_mtime_ns, facts.st_size)

    @property
    def monitor(self) -> Monitor:
        """Metric that chooses the best checkpoint; the validation MSE for a run that keeps none."""
        metric = self.setting("callbacks.checkpoint.monitor")
        if metric is None:
            return BY_MSE
        return Monitor(str(metric), str(self.setting("callbacks.checkpoint.mode") or "min"))

    @property
    def data_name(self) -> str | None:
        """Name of the list or folder of the training data, if the configuration has one."""
        return data_name(self.setting("data.train"), self.setting("data.root"))

    def figure(self, name: str) -> Path:
        """Return the path of the figure ``name``."""
        return self.path / "figures" / f"{name}.png"

    @property
    def filters(self) -> Path:
        """First layer's weight of the best epoch, (filters, channels, height, width), in NumPy's format."""
        return self.path / "figures" / "filters.npy"

    @property
    def status_file(self) -> Path:
        """File of the run's state; a folder without it holds no run."""
        return self.path / "status.json"


@lru_cache(maxsize=1024)  # a report reads those of all its runs several times; each takes 0.1 MB
def _configuration(path: Path, changed: int, size: int) -> DictConfig:  # noqa: ARG001
    """Return the configuration in a file, kept until the file changes: a training reads it some ten times.

    Raises:
        FileNotFoundError: if the file is missing.
        DataError: if it is damaged.
    """
    try:
        loaded = read_yaml(path, resolved=True)
        check_kinds(OmegaConf.to_container(loaded), _CONFIG)  # type: ignore[arg-type]  # a mapping gives a dict
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    if not loaded:
        raise DataError(f"{path}: is empty")
    renamed: DictConfig = OmegaConf.create(current(OmegaConf.to_container(loaded)))
    return renamed
