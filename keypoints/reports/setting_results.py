"""Comparison of a sweep's settings: means over seeds, and which differences are certain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from keypoints.errors import DataError, some_of
from keypoints.evaluation.comparison import FEWEST_GROUPS, LEVEL, Contrast, Difference, Errors, compare
from keypoints.evaluation.face_errors import FaceErrors, joined
from keypoints.formatting import counted, shown

_NAMED = 6
"""Largest number of settings that a sentence names."""


class Measure(NamedTuple):
    """Error by which settings are ranked."""

    name: str
    """Name in :data:`keypoints.evaluation.face_errors.MEASURES`."""
    column: str
    """Column of the sweep's table."""
    title: str
    """Title of a column, with the unit."""
    factor: float = 1.0
    """Factor from the value to its unit, such as 100 for per cent."""

    def shown(self, value: float | None, digits: int = 3) -> str:
        """Return a value of this error in its unit."""
        return shown(None if value is None else self.factor * value, digits)


MEASURES = {
    "val/nme": Measure("nme", "nme", "NME %", 100),
    "val/mse": Measure("mse", "best_mse", "MSE"),
    "val/mae_px": Measure("mae_px", "mae_px", "MAE px"),
    "distance_px": Measure("distance_px", "distance_px", "distance px"),
}
"""Errors by the monitor that they belong to; the mean distance of a point is logged by no run."""


@dataclass(frozen=True)
class RunResult:
    """One run in a comparison.

    Args:
        name: name of the run.
        setting: name of what was trained, without the seed and the fold.
        seed: its seed and whatever else runs of one setting and fold differ in.
        fold: number of its fold; ``None`` without cross-validation.
        values: values of the table by column, such as ``best_mse``; NaN if unknown.
        faces: errors of its validation faces; ``None`` if it left no table of them.
    """

    name: str
    setting: str
    seed: str
    fold: int | None
    values: Mapping[str, float]
    faces: FaceErrors | None = None


@dataclass(frozen=True)
class SettingResult:
    """Results of one setting over its seeds.

    Args:
        setting: name of the setting.
        runs: its finished runs.
    """

    setting: str
    runs: Sequence[RunResult]

    def seeds(self, column: str) -> list[float]:
        """Return a column's value of each seed, the mean over its folds; seeds without one are left out."""
        by_seed: dict[str, list[float]] = {}
        for run in self.runs:
            by_seed.setdefault(run.seed, []).append(run.values.get(column, np.nan))
        means = [float(np.mean(values)) for values in by_seed.values()]
        return [mean for mean in means if mean == mean]  # noqa: PLR0124  NaN is not itself

    def mean(self, column: str) -> float:
        """Return the mean of a column over the seeds; NaN without a seed."""
        values = self.seeds(column)
        return float(np.mean(values)) if values else float("nan")

    def deviation(self, column: str) -> float:
        """Return the standard deviation over seeds, with n - 1 as divisor; NaN for fewer than two seeds."""
        values = self.seeds(column)
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


@dataclass(frozen=True)
class Verdict:
    """Verdict on the settings: which are different, by the errors of the same faces.

    Args:
        measure: error that is compared.
        reference: setting that the others are compared with.
        is_named: whether the user named the reference; if not, it is the best setting.
        differences: differences to the reference; empty without errors of the same faces.
        doubt: reason why there are no intervals; empty if there are.
        errors: errors of the settings; ``None`` if they cannot be compared.
    """

    measure: Measure
    reference: str
    is_named: bool
    differences: Sequence[Difference] = ()
    doubt: str = ""
    errors: Errors | None = field(default=None, repr=False)

    def of(self, setting: str) -> Difference | None:
        """Return the difference of a setting to the reference."""
        return next((each for each in self.differences if each.setting == setting), None)

    def word(self, setting: str) -> str:
        """Return the verdict on a setting in a word or two."""
        if self.errors is None:
            return "–"
        if setting == self.reference:
            return "reference" if self.is_named else "best"
        difference = self.of(setting)
        if difference is None:
            return "–"
        if self.doubt:
            return "no interval"
        if not difference.is_certain:
            return "not told apart"
        return "worse" if difference.contrast.value > 0 else "better"


def by_setting(runs: Sequence[RunResult]) -> list[SettingResult]:
    """Return the results of the settings, in the order of their first runs."""
    names = dict.fromkeys(run.setting for run in runs)
    return [SettingResult(name, [run for run in runs if run.setting == name]) for name in names]


def measure_of(monitors: Sequence[str]) -> tuple[Measure, str]:
    """Return the error by which runs are ranked, and a sentence about it.

    Args:
        monitors: the monitor of each run, the metric that chose its checkpoint.
    """
    different = sorted(set(monitors))
    if len(different) > 1:
        return MEASURES[
            "val/mse"
        ], f"Ranked by MSE, because the runs have different monitors: {some_of(different, 3)}."
    if different and different[0] in MEASURES:
        measure = MEASURES[different[0]]
        return measure, f"Ranked by {different[0]}, the metric that chose the checkpoint of each run."
    known = different[0] if different else "no monitor"
    return MEASURES["val/mse"], f"Ranked by MSE: {known}, the runs' monitor, is no error of single faces."


def _ranked(results: Sequence[SettingResult], measure: Measure) -> list[SettingResult]:
    """Return the settings whose error is known, the smallest mean first."""
    known = [each for each in results if each.seeds(measure.column)]
    return sorted(known, key=lambda each: each.mean(measure.column))


def verdict(
    results: Sequence[SettingResult], measure: Measure, reference: str | None = None
) -> Verdict | None:
    """Return which settings differ from the best, or from a named one; ``None`` without two settings.

    Args:
        results: results of the settings.
        measure: error to compare.
        reference: name of the setting to compare with; ``None`` for the best.

    Raises:
        DataError: if the reference is no finished setting.
    """
    ranked = _ranked(results, measure)
    names = [each.setting for each in ranked]
    if reference is not None and reference not in names:
        raise DataError(f"reference={reference}: is none of the settings: {some_of(names, _NAMED)}")
    if len(ranked) < 2:
        return None
    best = names[0] if reference is None else reference
    try:
        errors = joined(
            {each.setting: _folds_by_seed(each) for each in results if each.setting in names}, measure.name
        )
    except DataError as error:
        return Verdict(measure, best, reference is not None, doubt=str(error))
    # Without an honest interval, the many comparisons that correct p would be made for nothing.
    found = compare(errors, best if reference is not None or errors.doubt else None)
    chosen = found[0].reference
    return Verdict(measure, chosen, reference is not None, found, errors.doubt, errors)


def _folds_by_seed(result: SettingResult) -> list[list[FaceErrors]]:
    """Return the errors of the faces of each seed, fold by fold.

    Raises:
        DataError: if a run has no table of faces.
    """
    seeds: dict[str, list[FaceErrors]] = {}
    for run in result.runs:
        if run.faces is None:
            raise DataError(f"{run.name}: has no table of its validation faces, so errors are not compared")
        seeds.setdefault(run.seed, []).append(run.faces)
    return list(seeds.values())


def interval_of(contrast: Contrast, measure: Measure) -> str:
    """Return the interval of a contrast in the unit of the measure."""
    low, high = contrast.interval
    return f"{measure.shown(low)} to {measure.shown(high)}"


def shown_settings(
    results: Sequence[SettingResult], found: Verdict | None, measure: Measure
) -> list[dict[str, str]]:
    """Return one row per setting for pages: means ± standard deviations over seeds, and the verdict.

    Args:
        results: results of the settings.
        found: which settings differ; ``None`` if there is only one.
        measure: error by which they are ranked; its column comes first.
    """
    others = [each for each in MEASURES.values() if each != measure]
    titles = [measure, *(each for each in others if any(result.seeds(each.column) for result in results))]
    rows = []
    ranked = _ranked(results, measure)
    for result in [*ranked, *(each for each in results if not each.seeds(measure.column))]:
        row = {"setting": result.setting}
        if found is not None:
            row["verdict"] = found.word(result.setting)
        row["seeds"] = str(len({run.seed for run in result.runs}))
        for each in titles:
            text = each.shown(result.mean(each.column))
            if len(result.seeds(each.column)) > 1:
                text += f" ± {each.shown(result.deviation(each.column), 2)}"
            row[each.title] = text
        if found is not None:
            row |= _compared(result.setting, found)
        rows.append(row)
    return rows


def _compared(setting: str, found: Verdict) -> dict[str, str]:
    difference, title = found.of(setting), f"difference to {'reference' if found.is_named else 'best'}"
    if difference is None or found.doubt:
        value = None if difference is None else difference.contrast.value
        return {title: found.measure.shown(value), "95 % interval": "–", "p": "–"}
    return {
        title: found.measure.shown(difference.contrast.value),
        "95 % interval": interval_of(difference.contrast, found.measure),
        "p": shown(difference.p, 2),
    }


def setting_table(results: Sequence[SettingResult], found: Verdict | None) -> pd.DataFrame:
    """Return one row per setting for a file, with unrounded values."""
    rows: list[dict[str, Any]] = []
    for result in results:
        row: dict[str, Any] = {"setting": result.setting, "seeds": len({run.seed for run in result.runs})}
        for each in MEASURES.values():
            if any(other.seeds(each.column) for other in results):
                row |= {
                    f"{each.name}_mean": result.mean(each.column),
                    f"{each.name}_std": result.deviation(each.column),
                }
        if found is not None:
            difference = found.of(result.setting)
            low, high = (np.nan, np.nan)
            if difference is not None and not found.doubt:
                low, high = difference.contrast.interval
            row |= {
                "compared_with": found.reference,
                "compared_by": found.measure.name,
                "difference": np.nan if difference is None else difference.contrast.value,
                "low": low,
                "high": high,
                "p_holm": np.nan if difference is None or found.doubt else difference.p,
                "verdict": found.word(result.setting),
            }
        rows.append(row)
    return pd.DataFrame(rows)


def setting_findings(results: Sequence[SettingResult], found: Verdict | None, measure: Measure) -> list[str]:
    """Return sentences that rank the settings and say which differences are certain.

    Args:
        results: results of the settings.
        found: see :func:`verdict`.
        measure: error by which they are ranked.
    """
    ranked = _ranked(results, measure)
    if not ranked:
        return []
    counts = [len(each.seeds(measure.column)) for each in ranked]
    fewest, most = min(counts), max(counts)
    number = str(most) if fewest == most else f"{fewest} to {most}"
    of_seeds = f", mean over {counted(number, 'seed')}" if most > 1 else ""
    if len(ranked) == 1:
        (only,) = ranked
        spread = f" ± {measure.shown(only.deviation(measure.column), 2)}" if most > 1 else ""
        return [
            f"{only.setting}: {measure.title} {measure.shown(only.mean(measure.column))}{spread}{of_seeds}."
        ]
    order = [f"{each.setting} {measure.shown(each.mean(measure.column))}" for each in ranked]
    sentences = [f"From best to worst by {measure.title}{of_seeds}: {some_of(order, _NAMED)}."]
    return sentences if found is None else [*sentences, *_verdict_sentences(found)]


def _verdict_sentences(found: Verdict) -> list[str]:
    if not found.differences:
        return [f"No verdict: {found.doubt}."]
    errors = found.errors
    basis = (
        "" if errors is None else f" ({counted(errors.faces, 'face')} of {counted(errors.groups, 'group')})"
    )
    if found.doubt:
        return [
            f"No interval is honest, because {found.doubt}{basis}: differences may come from the faces and "
            f"the seeds alone. {_more_of(errors)}"
        ]
    sentences = []
    for word, text in (
        ("worse", "worse than"),
        ("better", "better than"),
        ("not told apart", "not told apart from"),
    ):
        named = [each.setting for each in found.differences if found.word(each.setting) == word]
        if named:
            verb = "is" if len(named) == 1 else "are"
            sentences.append(f"{some_of(named, _NAMED)} {verb} {text} {found.reference}.")
    which = "these comparisons" if found.is_named else "all pairs, since the same faces chose the best"
    sentences.append(
        f"Verdicts by {found.measure.title} on the same faces{basis}: a bootstrap over groups and seeds; "
        f"p after Holm's correction for {which}; level {100 * LEVEL:.0f} %. "
        "Intervals are not corrected: each is that of its difference alone."
    )
    return sentences


def _more_of(errors: Errors | None) -> str:
    """Return what would make an interval honest."""
    if errors is not None and errors.groups < FEWEST_GROUPS:
        return "Validate on more persons or photos, such as by a cross-validation (data.folds)."
    return "Train with more seeds: seed=0,1,2,3,4."
