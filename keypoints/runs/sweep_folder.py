"""Folder of a sweep: its runs and their results. Imports no torch."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Glob, QuotedString
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from keypoints.config.overrides import override_values
from keypoints.config.registry import is_group
from keypoints.config.run_names import SEPARATOR, normal_override, run_name
from keypoints.config.values import chosen_groups, flat
from keypoints.errors import DataError, one_line
from keypoints.files import write_atomically
from keypoints.mean_face import collapse_note
from keypoints.older_names import current, current_key
from keypoints.runs.history import read_logged, summary
from keypoints.runs.run_folder import OWN_SWEEP_FILE, SWEEP_FILE, RunFolder
from keypoints.runs.status import is_alive, read_status
from keypoints.structured_files import TEXT, TEXTS, VALUES, check_kinds, or_none, read_yaml

if TYPE_CHECKING:
    import pandas as pd


NOT_BEGUN = "not begun"
"""Status of a planned run that had not begun when the sweep was stopped."""

ALL_FOLDS = "all folds"
"""Name of the setting of runs that differ in nothing but the fold of a cross-validation."""

ALL_SEEDS = "all seeds"
"""Name of the setting of runs that differ in nothing but the seed."""

_EXCLUDED = "job.config.override_dirname.exclude_keys"
"""Hydra's key for the keys that are left out of the runs' names."""

_MOST_RUNS = 10_000
"""Largest number of runs of a sweep; its page has a row for each run."""

_REPETITION = frozenset({"seed", "data.fold", "output", "name", "paths.outputs", "paths.data"})
"""Keys of a configuration in which two runs of one setting may differ."""

_SAME_BASELINE = 1e-4
"""Relative difference of two mean-shape baselines that comes from rounding alone."""

_RESOLVER = re.compile(r"\$\{[^}]*:")
"""Interpolation that calls a resolver, such as ``oc.env`` for environment variables."""

_OURS = ("hydra.mode", "hydra.sweep.dir", "hydra.job.config.override_dirname.exclude_keys")
"""Settings of Hydra that the command line adds by itself."""


_IN_STATUS = {"val/mse": "best/mse", "val/nme": "best/nme", "val/mae_px": "best/mae_px"}
"""Keys of a run's metrics that hold the value of a monitor, by its name; ``best/monitor`` for others."""

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
"""Settings of Hydra that a resumed sweep takes from its folder."""


class RememberSweep(Callback):
    """Hydra callback of a multirun: records its folder and its overrides, and ends its processes.

    Hydra's own sweeper records the overrides too, but other sweepers do not.
    """

    started: Path | None = None

    @classmethod
    def forget(cls) -> None:
        """Forget the folder of an earlier multirun."""
        cls.started = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Record the folder and the overrides before the first job.

        Args:
            config: configuration of the multirun, with Hydra's node.
            kwargs: unused.
        """
        folder = Path(config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / OWN_SWEEP_FILE, OmegaConf.to_yaml(_recorded_part(config)))
        RememberSweep.started = folder

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Kill the idle processes of ``launch=cores``: torch takes seconds to shut down.

        Args:
            config: configuration of the multirun, with Hydra's node.
            kwargs: unused.
        """
        if str(config.hydra.launcher._target_).endswith(".JoblibLauncher"):
            from joblib.externals.loky import get_reusable_executor  # type: ignore[import-untyped]

            get_reusable_executor(reuse=True).shutdown(kill_workers=True)


def _recorded_part(config: DictConfig) -> DictConfig:
    """Return the part of a multirun's configuration that resuming needs."""
    kept = OmegaConf.create()
    for key in (
        "hydra.overrides",
        "hydra.sweeper._target_",
        "hydra.sweeper.params",
        "hydra.job.config.override_dirname.exclude_keys",
    ):
        OmegaConf.update(kept, key, OmegaConf.select(config, key), force_add=True)
    return kept


@dataclass(frozen=True)
class SweepFolder:
    """Folder of one multirun.

    Args:
        path: path of the folder.
    """

    path: Path

    @property
    def name(self) -> str:
        """Name in titles: the parent folder's name, or the runs' name and the folder's if they differ."""
        kind = self.path.parent.name
        runs = self.runs()
        given = runs[0].setting("name")
        if given is None or kind.startswith(str(given)):
            return kind
        if self.path.name.startswith(str(given)):
            return self.path.name
        return f"{given}, {self.path.name}"

    @property
    def manifest(self) -> Path:
        """Record of the sweep's overrides: our own, or Hydra's for older sweeps."""
        own = self.path / OWN_SWEEP_FILE
        return own if own.is_file() else self.path / SWEEP_FILE

    @property
    def summary(self) -> Path:
        """Table of the runs, one row per run."""
        return self.path / "summary.csv"

    @property
    def settings(self) -> Path:
        """Table of the settings: one row each, with means and deviations over seeds, and the verdict."""
        return self.path / "settings.csv"

    @property
    def folds(self) -> Path:
        """Table of a cross-validation: one row per setting, with means and deviations over folds."""
        return self.path / "folds.csv"

    @property
    def fold_errors(self) -> Path:
        """Figure of a cross-validation: the errors of each fold, by setting."""
        return self.path / "folds.png"

    @property
    def report(self) -> Path:
        """Page that compares the runs."""
        return self.path / "report.html"

    @property
    def comparison(self) -> Path:
        """Figure of all validation curves on one axis."""
        return self.path / "comparison.png"

    def begun(self) -> list[RunFolder]:
        """Return the runs that have begun, in no order; none if the sweep ended before its first run."""
        return [RunFolder(status.parent) for status in self.path.glob("*/status.json")]

    def runs(self) -> list[RunFolder]:
        """Return the runs that have begun, in the order in which they were started.

        Raises:
            DataError: if no run has begun.
        """
        if not (found := self.begun()):
            raise DataError(f"{self.path}: holds no run yet")
        return sorted(found, key=lambda run: (read_status(run).job, run.path.name))

    def asked_for(self) -> list[str]:
        """Return the overrides of the command that began the sweep.

        Raises:
            DataError: if this is no sweep's folder.
        """
        asked = self._manifest()["overrides"]
        return [
            *asked["task"],
            *(each for each in asked["hydra"] if each.partition("=")[0].lstrip("+") not in _OURS),
        ]

    def _manifest(self) -> dict[str, Any]:
        """Return Hydra's node of the record, with unresolved interpolations.

        Raises:
            DataError: if this is no sweep's folder, or the record is damaged.
        """
        try:
            plain: Any = OmegaConf.to_container(read_yaml(self.manifest))
            hydra = plain.get("hydra")
            check_kinds({"hydra": hydra}, {"hydra": VALUES})
            check_kinds(hydra, {"overrides": VALUES, "sweeper": VALUES, "job": VALUES}, needed=["overrides"])
            check_kinds(hydra["overrides"], {"task": TEXTS, "hydra": TEXTS}, needed=["task", "hydra"])
            check_kinds(hydra.get("sweeper", {}), {"_target_": TEXT, "params": or_none(VALUES)})
            check_kinds({_EXCLUDED: _excluded(hydra)}, {_EXCLUDED: TEXTS})
        except FileNotFoundError as error:
            raise DataError(f"{self.path}: is no sweep's folder (no {SWEEP_FILE})") from error
        except ValueError as error:
            raise DataError(f"{self.manifest}: {one_line(error)}; start the sweep again elsewhere") from error
        return dict(hydra)

    def to_resume(self, given: Sequence[str] = ()) -> list[str]:
        """Return the recorded overrides that are safe to use, whoever wrote the record.

        Safe overrides choose options of this package's groups and set values. Classes that they name are
        checked where they are built. Any node of Hydra may run code, so only numbers and words of its
        launcher and sweeper are taken. The output, which may have moved, and ``trust`` are left out.

        Args:
            given: overrides that the user gives with the folder; they are trusted, and not returned.

        Raises:
            DataError: if this is no sweep's folder, or an override is not safe.
        """
        try:
            return list(recorded_overrides(each for each in self.asked_for() if each not in given))
        except ValueError as error:
            raise DataError(f"{self.manifest}: {error}, or start the sweep again elsewhere") from error

    def table(self) -> "pd.DataFrame":
        """Return the summary: one row per run.

        ``setting`` is the run's name without the seed and the fold, for grouping. After ``seed`` there is a
        column for each value of the configurations that differs between the runs.

        Raises:
            DataError: if no run has begun, or a configuration is damaged.
        """
        import pandas as pd

        rows = run_rows(self.runs())
        begun = {row["run"] for row in rows}
        missing = [name for name in self.planned() if name not in begun]
        return pd.DataFrame([*rows, *map(_not_begun, missing)])

    def constant_keys(self) -> list[str]:
        """Return the keys that the command sets to one value for all runs; they are not in the runs' names.

        Raises:
            DataError: if this is no sweep's folder, or the record is damaged.
        """
        return list(_excluded(self._manifest()))

    def planned(self) -> list[str]:
        """Return the names of the planned runs, in order; none for a search, which chooses its runs.

        Raises:
            DataError: if the record of the overrides is damaged.
        """
        if not self.manifest.exists():
            return []
        try:
            return _planned(self._manifest())
        except ValueError as error:
            raise DataError(f"{self.manifest}: {error}; start the sweep again elsewhere") from error


def run_rows(runs: Sequence[RunFolder]) -> list[dict[str, Any]]:
    """Return the rows of a table of runs, see :meth:`SweepFolder.table`.

    Args:
        runs: runs that have begun, of one sweep or not.

    Raises:
        DataError: if a status or a configuration is damaged.
    """
    differing = differences([_values(run) for run in runs], [_chosen(run) for run in runs])
    return [_row(run, values) for run, values in zip(runs, differing, strict=True)]


def setting_of(name: str) -> str:
    """Return a run's name without the seed and the fold.

    >>> setting_of("lr-0.1--seed-3"), setting_of("seed-3")
    ('lr-0.1', 'all seeds')

    Args:
        name: name of a run of a sweep.
    """
    without, fold = split_fold(name)
    return without_seed(without) or (ALL_SEEDS if fold is None else ALL_FOLDS)


def shared_baseline(table: "pd.DataFrame") -> float | None:
    """Return the mean-shape baseline's validation MSE; ``None`` if it is missing or differs between runs.

    Args:
        table: rows of :meth:`SweepFolder.table`. The baseline depends on the validation faces.
    """
    known = table["constant_mse"].dropna().astype(float)
    if known.empty or not math.isclose(known.min(), known.max(), rel_tol=_SAME_BASELINE):
        return None
    return float(known.iloc[0])


def recorded_overrides(overrides: Iterable[str]) -> Iterator[str]:
    """Yield the overrides of a sweep that are safe to use again, whoever recorded them.

    Raises:
        ValueError: if an override could change more than the checked configuration.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for text in overrides:
        try:
            (override,) = parser.parse_overrides([text])
        except HydraException as error:
            raise ValueError(f"{one_line(text)[:80]!r} is no override") from error
        if _RESOLVER.search(text):
            raise ValueError(f"{text!r} takes a value from outside the configuration")
        key, values = override.key_or_group, override_values(override)
        if override.package is not None:
            raise ValueError(f"{text!r} puts a group at another place of the configuration")
        if key == "hydra" or key.startswith(("hydra.", "hydra/")):
            if not _is_plain_setting(key, values):
                raise ValueError(f"{text!r} changes what Hydra itself runs; if it is yours, give it again")
        elif ("/" in key or is_group(key)) and not all(map(_is_choice, values)):
            raise ValueError(f"{text!r} does not name options of a group")
        if key not in ("output", "trust"):
            yield text.replace(key, current_key(key), 1)


def _unquoted(value: Any) -> Any:
    return value.text if isinstance(value, QuotedString) else value


def _is_choice(value: Any) -> bool:
    """Return whether a value names options of a group, as plain words."""
    if isinstance(value, list):
        return all(map(_is_choice, map(_unquoted, value)))
    return (
        value is None or isinstance(value, Glob) or re.fullmatch(r"[\w-]+(/[\w-]+)*", str(value)) is not None
    )


def _is_plain_setting(key: str, values: list[Any]) -> bool:
    """Return whether an override sets a number or a word of launcher or sweeper, which cannot run code."""
    if key != "hydra.sweeper.params":
        return key in _PLAIN_SETTINGS and all(re.fullmatch(r"[\w.-]+", str(value)) for value in values)
    if not all(isinstance(value, dict) for value in values):
        return False
    varied = [f"{_unquoted(name)}={_unquoted(own)}" for value in values for name, own in value.items()]
    return len(list(recorded_overrides(varied))) == len(varied)


def same_overrides(some: Iterable[str], others: Iterable[str]) -> bool:
    """Return whether two jobs of a sweep have the same overrides."""
    return set(map(normal_override, some)) == set(map(normal_override, others))


def differences(
    configurations: Sequence[Mapping[str, Any]], choices: Sequence[Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Return for each run the values that differ between the runs.

    >>> differences([{"lr": 1, "loss": "none"}, {"lr": 1, "loss.a": 3, "loss.b": 4}], [{}, {"loss": "mine"}])
    [{'loss': 'none'}, {'loss': 'mine'}]

    Args:
        configurations: values of each run under dotted names, see :func:`keypoints.config.values.flat`.
        choices: overrides of each run, such as the chosen option of a group. The option stands for the
            group's values where another run lacks them.
    """
    plain = {name for each in configurations for name in each}
    found: dict[str, list[Any]] = {}
    for key in dict.fromkeys(key for each in choices for key in each):
        values = [
            given.get(key, _value_at(own, key)) for own, given in zip(configurations, choices, strict=True)
        ]
        if any(value != values[0] for value in values):
            found[key] = values
    for key in dict.fromkeys(name for each in configurations for name in each):
        above = next((part for part in _nodes_above(key) if part in plain), key)
        values = [_value_at(own, above) for own in configurations]
        shared = found.get(key.rpartition(".")[2])  # such as data.seed, which is ${seed}
        if above not in found and shared != values and any(value != values[0] for value in values):
            found[above] = values
    return [{key: values[number] for key, values in found.items()} for number in range(len(configurations))]


def _nodes_above(key: str) -> Iterator[str]:
    parts = key.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))


def _value_at(values: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted name, or all values below it on one line; ``None`` if there is none."""
    if key in values:
        return values[key]
    below = [
        f"{name[len(key) + 1 :]}={value}" for name, value in values.items() if name.startswith(f"{key}.")
    ]
    return ", ".join(below) or None


def settings_but_seed(run: RunFolder) -> frozenset[tuple[str, str]]:
    """Return a run's configuration without the values that only make it a repetition, such as the seed.

    Args:
        run: folder of a run.
    """
    values = _values(run)
    seed, output = values.get("seed"), str(values.get("output"))
    return frozenset(
        (key, str(value).replace(output, "output"))
        for key, value in values.items()
        if key not in _REPETITION and not (key.endswith(".seed") and value == seed)
    )


def _values(run: RunFolder) -> dict[str, Any]:
    """Return a run's values under dotted names; none if it has no configuration file."""
    if not run.config.is_file():
        return {}
    return flat(current(OmegaConf.to_container(read_yaml(run.config, resolved=True))))


def _chosen(run: RunFolder) -> dict[str, str]:
    """Return the options of groups that the command chose for a run."""
    return chosen_groups(read_status(run).overrides)


def _row(run: RunFolder, differing: Mapping[str, Any]) -> dict[str, Any]:
    name, status = run.path.name, read_status(run)
    killed = status.state == "running" and not is_alive(run)
    # Runs of older versions recorded the epoch of the smallest MSE, whatever their monitor.
    metrics = {**status.metrics, **_logged_metrics(run)}
    ratio, mse, constant = (metrics.get(key) for key in ("best/variance_ratio", "best/mse", "constant/mse"))
    epoch, monitor = metrics.get("best/epoch"), run.monitor.metric
    row = {
        "run": name,
        "setting": setting_of(name),
        "overrides": " ".join(status.overrides),
        "seed": run.setting("seed"),
    }
    results = {
        "best_mse": mse,
        "best_epoch": None if epoch is None else int(epoch),
        "last_mse": metrics.get("last/mse"),
        "nme": metrics.get("best/nme"),
        "mae_px": metrics.get("best/mae_px"),
        "variance_ratio": ratio,
        "constant_mse": constant,
        "monitor": monitor,
        "monitored": metrics.get(_IN_STATUS.get(monitor, "best/monitor")),
        "seconds": status.seconds,
        "status": "interrupted" if killed else status.state,
        "note": collapse_note(ratio, mse, constant),
        "error": "its process was killed" if killed else status.error,
    }
    own = {key: value for key, value in differing.items() if key not in (*row, *results)}
    return {**row, **own, **results}


def _logged_metrics(run: RunFolder) -> dict[str, float]:
    """Return the metrics of a run from its table, also of one that ended early; none without a table."""
    try:
        return summary(read_logged(run), run.monitor) if run.metrics.is_file() else {}
    except DataError:  # it was stopped before its first epoch ended
        return {}


def _not_begun(name: str) -> dict[str, Any]:
    """Return the row of a planned run that has not begun."""
    setting = setting_of(name)
    return {"run": name, "setting": setting, "overrides": "", "status": NOT_BEGUN, "note": "", "error": ""}


def _excluded(hydra: Mapping[str, Any]) -> Any:
    """Return the keys that are left out of the runs' names."""
    inside: Any = hydra
    for key in _EXCLUDED.split("."):
        inside = inside.get(key) if isinstance(inside, Mapping) else None
    return [] if inside is None else inside


def _planned(hydra: Mapping[str, Any]) -> list[str]:
    """Return the names of a sweep's run folders, as Hydra's basic sweeper makes them.

    Raises:
        ValueError: if an override cannot be read, or there are more than :data:`_MOST_RUNS` runs.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    asked = hydra["overrides"]
    params = hydra.get("sweeper", {}).get("params") or {}
    if not str(hydra.get("sweeper", {}).get("_target_")).endswith(".BasicSweeper"):
        return []
    texts = [*(f"{key}={value}" for key, value in params.items()), *asked["task"]]
    excluded = _excluded(hydra)
    choices: dict[str, list[tuple[str, str]]] = {}
    try:
        overrides = OverridesParser.create().parse_overrides(texts)
    except HydraException as error:
        raise ValueError(f"its overrides cannot be read ({one_line(error)[:80]})") from error
    for override in overrides:
        each = [str(override.input_line)]
        if override.is_sweep_override():
            values = islice(override.sweep_string_iterator(), _MOST_RUNS + 1)
            each = [f"{override.get_key_element()}={value}" for value in values]
        # As in Hydra's sweeper, an override on the command line replaces the values of a file.
        choices[override.get_key_element()] = [(override.key_or_group, text) for text in each]
    if math.prod(map(len, choices.values())) > _MOST_RUNS:
        raise ValueError(f"it asks for more than {_MOST_RUNS:,} runs")
    named: dict[str, frozenset[str]] = {}
    for number, job in enumerate(product(*choices.values())):
        varied = sorted(text for key, text in job if key not in excluded)
        name, own = run_name(SEPARATOR.join(varied), number), frozenset(map(normal_override, varied))
        free = (name if place == 1 else f"{name}--{place}" for place in count(1))
        named[next(each for each in free if named.get(each, own) == own)] = own
    return list(named)


def split_fold(name: str) -> tuple[str, int | None]:
    """Return a run's name without the fold of a cross-validation, and the fold.

    >>> split_fold("fold-2--lr-0.1"), split_fold("fold-0"), split_fold("lr-0.1")
    (('lr-0.1', 2), ('all folds', 0), ('lr-0.1', None))

    Args:
        name: name of a run of a sweep.

    Returns:
        The name of the runs that differ in the fold alone, and the fold; ``None`` if the name has no fold.
    """
    parts = name.split("--")
    folds = [part for part in parts if re.fullmatch(r"fold-\d+", part)]
    if not folds:
        return name, None
    return "--".join(part for part in parts if part not in folds) or ALL_FOLDS, int(folds[0][len("fold-") :])


def without_seed(name: str) -> str:
    """Return a run's name without the seed; "" if nothing else is left.

    Args:
        name: name of a run of a sweep.
    """
    return "--".join(part for part in name.split("--") if not re.fullmatch(r"seed-\d+", part))
