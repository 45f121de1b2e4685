"""Sentences about a sweep, or about any runs that are compared."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from keypoints.errors import some_of
from keypoints.formatting import counted, fixed, pluralised
from keypoints.mean_face import collapse, collapse_note
from keypoints.reports.fold_results import FoldResults, against_baseline, fold_findings
from keypoints.reports.setting_results import MEASURES, Measure, SettingResult, Verdict, setting_findings
from keypoints.runs.run_folder import BY_MSE
from keypoints.runs.sweep_folder import shared_baseline

_SETTLED = 0.9
"""Fraction of the epochs after which a best epoch means that the loss may still be falling."""
_NAMED = 6
"""Largest number of runs that a sentence names."""
_SMOOTH = 12
"""Largest number of settings whose smoothness is told."""
_OVERFIT = 1.3
"""Last MSE divided by best MSE above which a run counts as overfitted."""


def findings(
    finished: pd.DataFrame,
    histories: Mapping[str, pd.DataFrame],
    folds: Sequence[FoldResults] = (),
    settings: Sequence[SettingResult] = (),
    found: Verdict | None = None,
    measure: Measure = MEASURES[BY_MSE.metric],
) -> list[str]:
    """Return sentences that compare the finished runs. Runs without a valid validation MSE are left out.

    Args:
        finished: rows of a sweep's table.
        histories: validated epochs of the runs, by the run's name.
        folds: results over folds, if the sweep is a cross-validation.
        settings: results of the settings.
        found: which settings differ; ``None`` if there is only one.
        measure: error by which settings are ranked.
    """
    finished = finished[finished["best_mse"].notna()]
    if finished.empty:
        return []
    if folds:
        sentences = [*fold_findings(folds), *setting_findings(settings, found, measure)[1:]]
    else:
        means = finished.groupby("setting")["best_mse"].mean()
        sentences = [
            *setting_findings(settings, found, measure),
            *_against_baseline(finished, float(means.min())),
        ]
    rows = finished.to_dict("records")
    sentences += _collapsed(rows)
    rising = [row["run"] for row in rows if row["last_mse"] > _OVERFIT * row["best_mse"]]
    if rising:
        sentences.append(
            f"The last epoch is over {_OVERFIT - 1:.0%} worse than the best in {some_of(rising, _NAMED)}."
        )
    ends = {name: history.index[-1] for name, history in histories.items()}
    falling = [
        row["run"] for row in rows if row["run"] in ends and row["best_epoch"] >= _SETTLED * ends[row["run"]]
    ]
    if falling:
        sentences.append(
            f"Best epoch in the last tenth, so more epochs may help: {some_of(falling, _NAMED)}."
        )
    own = set(finished["run"])
    rough = {
        name: _roughness(history) for name, history in histories.items() if name in own and len(history) > 3
    }
    if len(rough) > 1:
        smooth = pd.Series(rough).groupby(lambda name: _setting_of(finished, name)).median().dropna()
        sentences.append(
            "Smoothness, the median change of validation MSE from epoch to epoch: "
            + some_of(
                [f"{name} {fixed(100 * value, 0)}%" for name, value in smooth.sort_values().items()], _SMOOTH
            )
            + "."
        )
    return sentences


def _collapsed(rows: Sequence[Mapping[Any, Any]]) -> list[str]:
    """Return sentences about the runs that predict nearly the same face for everyone."""
    by_note: dict[str, list[Mapping[Any, Any]]] = {}
    for row in rows:
        values = row["variance_ratio"], row["best_mse"], row["constant_mse"]
        if note := collapse_note(*values):
            by_note.setdefault(note, []).append(row)
    sentences = []
    for note, own in by_note.items():
        if len(own) == 1:
            warning = collapse(own[0]["variance_ratio"], own[0]["best_mse"], own[0]["constant_mse"])
            sentences.append(f"{own[0]['run']}: {warning}.")
            continue
        which = "about the mean face" if note == "predicts the mean face" else "not the mean face"
        sentences.append(
            f"{counted(len(own), 'run')} {pluralised(len(own), 'predicts', 'predict')} nearly the same "
            f"face for everyone, {which}: "
            f"{some_of([str(row['run']) for row in own], _NAMED)}."
        )
    return sentences


def _against_baseline(finished: pd.DataFrame, best: float) -> list[str]:
    """Return a sentence about the mean-shape baseline, if there is one.

    Args:
        finished: rows of a sweep's table.
        best: the validation MSE of the best setting.
    """
    constant = shared_baseline(finished)
    if constant is not None:
        return [against_baseline(constant, best)]
    if finished["constant_mse"].isna().all():
        return []
    return [
        "The mean-shape baseline's score differs from run to run, because their faces or crops differ: "
        "compare each run with its own baseline."
    ]


def _roughness(history: pd.DataFrame) -> float:
    """Return the median factor, minus 1, by which the validation MSE changes from epoch to epoch."""
    values = history["val/mse"].to_numpy(np.float64)
    steps = np.abs(np.diff(np.log(values[(values > 0) & (values < np.inf)])))
    return float(np.expm1(np.median(steps))) if steps.size else float("nan")


def _setting_of(table: pd.DataFrame, run: str) -> str:
    setting = table.loc[table["run"] == run, "setting"]
    return str(setting.iloc[0]) if len(setting) else run
