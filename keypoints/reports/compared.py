"""Runs that are compared: those of a sweep, or any finished runs and evaluations."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from keypoints.evaluation.face_errors import FaceErrors, face_errors
from keypoints.evaluation.face_tables import read_faces
from keypoints.formatting import shown
from keypoints.reports.setting_results import (
    MEASURES,
    Measure,
    RunResult,
    SettingResult,
    Verdict,
    by_setting,
    verdict,
)
from keypoints.runs.history import by_epoch, read_logged
from keypoints.runs.network_file import read_network_cost
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.sweep_folder import split_fold

_NUMBERS = (
    *("best_mse", "best_epoch", "last_mse", "nme", "distance_px", "mae_px", "variance_ratio"),
    *("constant_mse", "monitored", "ms_per_face", "seconds"),
)
"""Numeric columns of the table."""


@dataclass(frozen=True)
class Compared:
    """Runs that are compared.

    Args:
        name: name in titles.
        table: one row per run, see :func:`completed`.
        runs: folders of the runs that have begun, by their names in the table.
        faces: tables of the validation faces of the runs that have one.
        measure: error by which runs are ranked.
        reference: setting that the others are compared with; ``None`` for the best.
    """

    name: str
    table: pd.DataFrame
    runs: Mapping[str, RunFolder]
    faces: Mapping[str, pd.DataFrame]
    measure: Measure
    reference: str | None = None

    @property
    def finished(self) -> pd.DataFrame:
        """Rows of the runs that reached their end."""
        return self.table[self.table["status"] == "finished"]

    @cached_property
    def histories(self) -> dict[str, pd.DataFrame]:
        """Validated epochs of the runs that have some."""
        found = {}
        for name, run in self.runs.items():
            if not run.metrics.exists():  # the run ended in its first epoch
                continue
            history = by_epoch(read_logged(run))
            if "val/mse" in history and history["val/mse"].notna().any():
                found[name] = history.dropna(subset=["val/mse"])
        return found

    @cached_property
    def settings(self) -> list[SettingResult]:
        """Results of the settings, from the finished runs."""
        columns = [each.column for each in MEASURES.values() if each.column in self.table]
        runs = [
            RunResult(
                name=str(row["run"]),
                setting=str(row["setting"]),
                seed=str(row["seed"]),
                fold=self._fold(str(row["run"])),
                values={column: float(row[column]) for column in columns},
                faces=self._errors(str(row["run"])),
            )
            for row in rows_of(self.finished)
        ]
        times = Counter((run.setting, run.seed, run.fold) for run in runs)
        return by_setting(
            [
                run
                if times[run.setting, run.seed, run.fold] == 1
                else replace(run, seed=split_fold(run.name)[0])  # they differ in another seed: data.seed
                for run in runs
            ]
        )

    @cached_property
    def verdict(self) -> Verdict | None:
        """Verdict on the settings; ``None`` if there is only one."""
        return verdict(self.settings, self.measure, self.reference)

    def _fold(self, name: str) -> int | None:
        """Return the number of a run's fold: its configuration's, or that in its name."""
        fold = self.runs[name].setting("data.fold") if name in self.runs else None
        return fold if isinstance(fold, int) else split_fold(name)[1]

    def _errors(self, name: str) -> FaceErrors | None:
        table = self.faces.get(name)
        return None if table is None else face_errors(table, self.runs[name].scheme())


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain dicts."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def face_tables(runs: Mapping[str, RunFolder]) -> dict[str, pd.DataFrame]:
    """Return the tables of validation faces of the runs that have one.

    Args:
        runs: folders of the runs, by name.
    """
    return {name: read_faces(run.faces) for name, run in runs.items() if run.faces.exists()}


def completed(
    table: pd.DataFrame, faces: Mapping[str, pd.DataFrame], runs: Mapping[str, RunFolder]
) -> pd.DataFrame:
    """Return a table of runs with the mean distance of a point, the size of the network, and NaN for gaps.

    Args:
        table: as :meth:`keypoints.runs.sweep_folder.SweepFolder.table` returns it.
        faces: tables of the validation faces of the runs that have one.
        runs: folders of the runs, by name.

    Raises:
        DataError: if the file of a network's size is damaged.
    """
    wide = table.copy()
    costs = [read_network_cost(runs[name]) if name in runs else None for name in table["run"]]
    if any(cost is not None for cost in costs):
        wide["parameters"] = [np.nan if cost is None else cost.parameters for cost in costs]
        wide["flops"] = [np.nan if cost is None else cost.flops for cost in costs]
    distances = [
        float(faces[run]["error_px"].mean()) if run in faces and status == "finished" else np.nan
        for run, status in zip(table["run"], table["status"], strict=True)
    ]
    wide.insert(list(table.columns).index("mae_px"), "distance_px", distances)
    if wide["nme"].isna().all():  # the landmarks have no normalising points
        wide = wide.drop(columns="nme")
    return wide.astype({name: float for name in _NUMBERS if name in wide and wide[name].dtype == object})


def size_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the size of a run's network for a table, if it is known.

    Args:
        row: row of a table of :func:`completed`.
    """
    if "parameters" not in row:
        return {}
    known = not np.isnan(row["parameters"])
    return {
        "parameters": f"{row['parameters']:,.0f}" if known else "–",
        "MFLOPs a face": shown(row["flops"] / 1e6) if known else "–",
    }


def first_runs(settings: Sequence[SettingResult]) -> dict[str, str]:
    """Return the name of one run of each setting, by the setting's name."""
    return {each.setting: each.runs[0].name for each in settings}
