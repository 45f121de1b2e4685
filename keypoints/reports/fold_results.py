"""Results of a sweep's cross-validation: mean and standard deviation over the folds of each setting."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from keypoints.errors import some_of
from keypoints.formatting import counted, fixed, shown
from keypoints.runs.sweep_folder import ALL_FOLDS, split_fold, without_seed

_NAMED = 6
"""Largest number of settings that a sentence names."""


@dataclass(frozen=True)
class FoldResults:
    """Results of the finished folds of one setting, by the number of the fold.

    Args:
        setting: name of the runs without the fold.
        asked: number of folds in the sweep, also those that failed or were not begun.
        mse: best validation MSE, in ratio² of the photo.
        nme: NME of the same epoch, as a ratio; empty if the landmarks have no normalising points.
        baseline: validation MSE of the mean-shape baseline.
    """

    setting: str
    asked: int
    mse: Mapping[int, float]
    nme: Mapping[int, float]
    baseline: Mapping[int, float]

    @property
    def finished(self) -> str:
        """Number of finished folds, such as ``4 of 5``."""
        return f"{len(self.mse)} of {self.asked}"


def over_folds(table: pd.DataFrame) -> list[FoldResults]:
    """Return the results of each setting over its folds; none if no runs differ in the fold alone.

    Args:
        table: as :meth:`keypoints.runs.sweep_folder.SweepFolder.table` returns it; a column ``nme`` is used
            if there is one.
    """
    rows: dict[str, dict[int, Any]] = {}
    for row in table.to_dict("records"):
        setting, fold = split_fold(str(row["run"]))
        if fold is not None:
            rows.setdefault(setting, {})[fold] = row
    if all(len(folds) < 2 for folds in rows.values()):
        return []
    return [
        FoldResults(
            setting,
            len(folds),
            _finished(folds, "best_mse"),
            _finished(folds, "nme"),
            _finished(folds, "constant_mse"),
        )
        for setting, folds in rows.items()
    ]


def _finished(rows: Mapping[int, Mapping[str, Any]], column: str) -> dict[int, float]:
    """Return the values of a column by fold, of the finished runs that have one."""
    values = {fold: row.get(column) for fold, row in sorted(rows.items()) if row["status"] == "finished"}
    return {fold: float(value) for fold, value in values.items() if not pd.isna(value)}


def mean(values: Mapping[int, float]) -> float:
    """Return the mean over folds; NaN without a fold."""
    return float(np.mean(list(values.values()))) if values else float("nan")


def mean_of_all(values: Iterable[Mapping[int, float]]) -> float:
    """Return the mean over folds, each fold counted once; NaN without a fold."""
    return mean({fold: value for each in values for fold, value in each.items()})


def deviation(values: Mapping[int, float]) -> float:
    """Return the standard deviation over folds, with n - 1 as divisor; NaN for fewer than two folds."""
    return float(np.std(list(values.values()), ddof=1)) if len(values) > 1 else float("nan")


def ranked(results: Sequence[FoldResults]) -> list[FoldResults]:
    """Return the settings with a finished fold, the smallest mean MSE first."""
    return sorted((each for each in results if each.mse), key=lambda each: mean(each.mse))


def over_seeds(results: Sequence[FoldResults]) -> list[FoldResults]:
    """Return the results with the seeds of one setting as one, by the mean over seeds in each fold."""
    seeds: dict[str, list[FoldResults]] = {}
    for each in results:
        seeds.setdefault(without_seed(each.setting) or ALL_FOLDS, []).append(each)
    return [
        FoldResults(
            setting,
            max(each.asked for each in own),
            _mean_by_fold([each.mse for each in own]),
            _mean_by_fold([each.nme for each in own]),
            _mean_by_fold([each.baseline for each in own]),
        )
        for setting, own in seeds.items()
    ]


def _mean_by_fold(seeds: Sequence[Mapping[int, float]]) -> dict[int, float]:
    folds = sorted({fold for values in seeds for fold in values})
    return {fold: float(np.mean([values[fold] for values in seeds if fold in values])) for fold in folds}


def best_of(results: Sequence[FoldResults]) -> int | None:
    """Return the place of the best setting; ``None`` if nothing but seeds can be compared."""
    order = ranked(results)
    if len(order) < 2 or len(over_seeds(results)) < len(results):
        return None
    return list(results).index(order[0])


def as_table(results: Sequence[FoldResults]) -> pd.DataFrame:
    """Return one row per setting with numbers of folds, means and standard deviations, for a file."""
    with_nme = any(each.nme for each in results)
    rows: list[dict[str, Any]] = [
        {
            "setting": each.setting,
            "folds": len(each.mse),
            "folds_asked": each.asked,
            "best_mse_mean": mean(each.mse),
            "best_mse_std": deviation(each.mse),
            **({"nme_mean": mean(each.nme), "nme_std": deviation(each.nme)} if with_nme else {}),
            "constant_mse_mean": mean(each.baseline),
        }
        for each in results
    ]
    return pd.DataFrame(rows)


def shown_rows(results: Sequence[FoldResults]) -> list[dict[str, str]]:
    """Return one row per setting for pages and the terminal, with mean ± standard deviation over folds."""
    with_nme = any(each.nme for each in results)
    rows = []
    for each in results:
        nme = {fold: 100 * value for fold, value in each.nme.items()}
        row = {"setting": each.setting, "folds": each.finished, "best MSE": "–"}
        if each.mse:
            row["best MSE"] = f"{shown(mean(each.mse))} ± {shown(deviation(each.mse), 2)}"
        if with_nme:
            row["NME %"] = f"{fixed(mean(nme), 2)} ± {fixed(deviation(nme), 2)}" if nme else "–"
        rows.append({**row, "baseline": shown(mean(each.baseline))})
    return rows


def fold_findings(results: Sequence[FoldResults]) -> list[str]:
    """Return sentences that compare the settings, and the mean-shape baseline, by their means over folds."""
    merged = over_seeds(results)
    order = ranked(merged)
    if not order:
        return []
    first, *others = order
    seeds = "" if len(merged) == len(results) else " (in each the mean over seeds)"
    score = (
        f"mean validation MSE {shown(mean(first.mse))} over {counted(len(first.mse), 'fold')}{seeds}, "
        f"standard deviation {shown(deviation(first.mse), 2)}"
    )
    sentences = [f"{first.setting}: {score}."]
    if others:
        means = ", ".join(f"{each.setting} {shown(mean(each.mse))}" for each in order)
        sentences = [
            f"{first.setting} does best: {score}. {_compared(first, others[0])}",
            f"From best to worst, by the mean over folds: {means}.",
        ]
    if first.baseline:
        sentences.append(against_baseline(mean(first.baseline), mean(first.mse), "on average over its folds"))
    unfinished = [f"{each.setting} ({each.finished})" for each in results if len(each.mse) < each.asked]
    if unfinished:
        sentences.append(
            "Means over different folds are of different faces. Folds that did not finish: "
            f"{some_of(unfinished, _NAMED)}."
        )
    return sentences


def against_baseline(constant: float, best: float, when: str = "") -> str:
    """Return a sentence that compares the best setting with the mean-shape baseline.

    Args:
        constant: validation MSE of the baseline.
        best: validation MSE of the best setting.
        when: further words about the baseline's MSE.
    """
    text = " ".join(filter(None, [f"The mean-shape baseline scores {shown(constant)}", when]))
    if best > 0 and constant > 0:
        times, word = (constant / best, "better") if best <= constant else (best / constant, "worse")
        text += f"; the best setting is {fixed(times, 1)} times {word}"
    return f"{text}."


def _compared(first: FoldResults, second: FoldResults) -> str:
    """Return a sentence about the folds in which the best setting is better than the second."""
    shared = first.mse.keys() & second.mse.keys()
    if not shared:
        return f"{second.setting}, the second, has finished other folds."
    better = sum(first.mse[fold] < second.mse[fold] for fold in shared)
    return (
        f"Its MSE is smaller than that of {second.setting} ({shown(mean(second.mse))}) in {better} of "
        f"{counted(len(shared), 'fold')}."
    )
