"""A sweep's folder: which runs there are, and what came of each. Imports no torch."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, QuotedString
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from keypoints.configuration import conf_dir
from keypoints.errors import DataError, one_line
from keypoints.runs import SWEEP_FILE, RunFolder, predicts_the_mean, write_whole

if TYPE_CHECKING:
    import pandas as pd


_OURS = ("hydra.mode", "hydra.sweep.dir", "hydra.job.config.override_dirname.exclude_keys")
"""What the command line adds by itself."""


_PLAIN_SETTINGS = frozenset(
    {
        *("hydra/launcher", "hydra/sweeper", "hydra/sweeper/sampler"),
        *("hydra.sweeper.direction", "hydra.sweeper.n_trials", "hydra.sweeper.n_jobs"),
        *("hydra.sweeper.max_failure_rate", "hydra.sweeper.sampler.seed", "hydra.sweeper.max_batch_size"),
        *("hydra.launcher.n_jobs", "hydra.launcher.partition", "hydra.launcher.timeout_min"),
        *("hydra.launcher.gpus_per_node", "hydra.launcher.tasks_per_node", "hydra.launcher.cpus_per_task"),
        *("hydra.launcher.mem_gb", "hydra.launcher.nodes", "hydra.launcher.array_parallelism"),
    }
)
"""Hydra's settings that a resumed sweep takes over from its folder."""


class RememberSweep(Callback):
    """Hydra's callback for a multirun: tells the command line which folder it writes to, and tidies up.

    It keeps there what was asked for, as Hydra's own sweeper does, but others do not.
    """

    started: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Note the folder before the first job."""
        folder = Path(config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(config, folder / SWEEP_FILE)
        RememberSweep.started = folder

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """End the processes of ``launch=cores``, which are done: it takes seconds to take torch apart."""
        if str(config.hydra.launcher._target_).endswith(".JoblibLauncher"):
            from joblib.externals.loky import get_reusable_executor  # type: ignore[import-untyped]

            get_reusable_executor(reuse=True).shutdown(kill_workers=True)


@dataclass(frozen=True)
class SweepFolder:
    """The folder of one multirun."""

    path: Path

    @property
    def name(self) -> str:
        """What titles call the sweep: what its runs are called, and what varies or where it lies."""
        kind = self.path.parent.name
        runs = self.runs()
        given = runs[0].setting("name")
        if given is None or kind.startswith(str(given)):
            return kind
        return f"{given}, {self.path.name}"

    @property
    def manifest(self) -> Path:
        """Hydra's record of what was asked for."""
        return self.path / SWEEP_FILE

    @property
    def summary(self) -> Path:
        """A row a run."""
        return self.path / "summary.csv"

    @property
    def report(self) -> Path:
        """The page that sets the runs side by side."""
        return self.path / "report.html"

    @property
    def comparison(self) -> Path:
        """All validation curves on one axis."""
        return self.path / "comparison.png"

    def begun(self) -> list[RunFolder]:
        """The runs there are, in no order; none, if the sweep ended before its first began."""
        return [RunFolder(status.parent) for status in self.path.glob("*/status.json")]

    def runs(self) -> list[RunFolder]:
        """The runs there are, in the order in which they were started.

        Raises:
            DataError: if there is none.
        """
        if not (found := self.begun()):
            raise DataError(f"{self.path}: holds no run yet")
        return sorted(found, key=lambda run: (run.status().get("job", 0), run.path.name))

    def asked_for(self) -> list[str]:
        """The overrides of the command that began the sweep.

        Raises:
            DataError: if the folder is no sweep's.
        """
        if not self.manifest.is_file():
            raise DataError(f"{self.path}: is no sweep's folder (no {SWEEP_FILE})")
        overrides = OmegaConf.load(self.manifest).hydra.overrides
        of_hydra = [str(override) for override in overrides.hydra]
        return [
            *(str(override) for override in overrides.task),
            *(override for override in of_hydra if override.partition("=")[0].lstrip("+") not in _OURS),
        ]

    def to_resume(self) -> list[str]:
        """Return the overrides of the command that began the sweep, as far as they may come from anybody.

        They choose among our own groups and set values. What they name besides, such as classes, is checked
        where it is built. Hydra's own nodes, of which any may run code, are ours: but for numbers and words
        of its launcher and sweeper, nothing is taken of them. Nor is the output, which may have moved, or
        what the command trusted.

        Raises:
            DataError: if the folder is no sweep's, or an override could change more than that.
        """
        try:
            return list(recorded_overrides(self.asked_for()))
        except ValueError as error:
            raise DataError(f"{self.manifest}: {error}; start the sweep anew") from error

    def table(self) -> "pd.DataFrame":
        """The summary: a row a run, with ``setting``, the name without the seed, to group by.

        Raises:
            DataError: if there is no run.
        """
        import pandas as pd

        return pd.DataFrame([_row(run) for run in self.runs()])

    def write_summary(self) -> "pd.DataFrame":
        """Write ``summary.csv``, and give its contents."""
        table = self.table()
        write_whole(self.summary, table.to_csv(index=False))
        return table


def recorded_overrides(overrides: Iterable[str]) -> Iterator[str]:
    """Give those overrides of a sweep that may be used again, whoever recorded them.

    Raises:
        ValueError: if one could reach beyond the configuration that is checked.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for text in overrides:
        try:
            (override,) = parser.parse_overrides([text])
        except HydraException as error:
            raise ValueError(f"{one_line(text)[:80]!r} is no override") from error
        key, values = override.key_or_group, _values(override)
        if override.package is not None:
            raise ValueError(f"{text!r} puts a group elsewhere")
        if key == "hydra" or key.startswith(("hydra.", "hydra/")):
            if not _is_plain_setting(key, values):
                raise ValueError(f"{text!r} changes what Hydra itself runs")
        elif ("/" in key or (conf_dir() / key).is_dir()) and not all(map(_is_choice, values)):
            raise ValueError(f"{text!r} is no choice of a group")
        if key not in ("output", "trust"):
            yield text


def _values(override: Override) -> list[Any]:
    """Return the values of an override, those of a sweep one by one, without their quotes."""
    value = override.value()
    listed = value.list if isinstance(value, ChoiceSweep) else value if isinstance(value, list) else [value]
    return [_unquoted(each) for each in listed]


def _unquoted(value: Any) -> Any:
    return value.text if isinstance(value, QuotedString) else value


def _is_choice(value: Any) -> bool:
    return (
        value is None or isinstance(value, Glob) or re.fullmatch(r"[\w-]+(/[\w-]+)*", str(value)) is not None
    )


def _is_plain_setting(key: str, values: list[Any]) -> bool:
    """Return whether it sets a number or a word of the launcher or the sweeper, which cannot run anything."""
    if key != "hydra.sweeper.params":
        return key in _PLAIN_SETTINGS and all(re.fullmatch(r"[\w.-]+", str(value)) for value in values)
    if not all(isinstance(value, dict) for value in values):
        return False
    varied = [f"{_unquoted(name)}={_unquoted(own)}" for value in values for name, own in value.items()]
    return len(list(recorded_overrides(varied))) == len(varied)


def _row(run: RunFolder) -> dict[str, Any]:
    name, status = run.path.name, run.status()
    metrics = status.get("metrics", {})
    ratio = metrics.get("best/variance_ratio")
    epoch = metrics.get("best/epoch")
    return {
        "run": name,
        "setting": _without_seed(name),
        "overrides": " ".join(status.get("overrides", [])),
        "seed": run.setting("seed"),
        "best_mse": metrics.get("best/mse"),
        "best_epoch": None if epoch is None else int(epoch),
        "last_mse": metrics.get("last/mse"),
        "mae_px": metrics.get("best/mae_px"),
        "variance_ratio": ratio,
        "constant_mse": metrics.get("constant/mse"),
        "seconds": status.get("seconds"),
        "status": status["status"] if status["status"] != "running" or run.alive() else "interrupted",
        "note": "" if ratio is None or not predicts_the_mean(ratio) else "predicts the mean face",
        "error": status.get("error", ""),
    }


def _without_seed(name: str) -> str:
    parts = [part for part in name.split("--") if not re.fullmatch(r"seed-\d+", part)]
    return "--".join(parts) or name
