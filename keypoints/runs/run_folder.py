"""The folder of a run: which file is where, and its configuration. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

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
"""What the values of ``config.yaml`` are, as far as they are used before a component checks its own."""

DEV_RUN = "a trial of a few batches, which logs nothing and keeps no checkpoint"
"""What Lightning's ``fast_dev_run`` is."""

OWN_SWEEP_FILE = "sweep.yaml"
"""What a sweep was asked for; its runs lie beside it."""

SWEEP_FILE = "multirun.yaml"
"""The same as Hydra writes it, later and not atomically; older sweeps have only this one."""


def is_sweep(folder: Path) -> bool:
    """Return whether a folder is a sweep's."""
    return any((folder / name).is_file() for name in (OWN_SWEEP_FILE, SWEEP_FILE))


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
        """Return the landmarks that the run predicts; ``None`` for an older run, which lacks the file.

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

    @property
    def status_file(self) -> Path:
        """What became of the run; a folder without it holds none."""
        return self.path / "status.json"


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
