"""Tables for the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from keypoints.errors import one_line
from keypoints.formatting import shown
from keypoints.reports.console import PlainConsole
from keypoints.reports.figures import BASELINE
from keypoints.reports.fold_results import FoldResults, best_of, over_folds, shown_rows
from keypoints.reports.setting_results import MEASURES
from keypoints.reports.terminal_table import Column, TerminalTable
from keypoints.runs.sweep_folder import shared_baseline

if TYPE_CHECKING:
    from keypoints.evaluation.result import EvaluationResult

_COLUMNS = {
    "best_mse": "best MSE",
    "best_epoch": "epoch",
    "last_mse": "last MSE",
    "nme": "NME %",
    "distance_px": "dist. px",
    "mae_px": "MAE px",
    "variance_ratio": "var.",
}


_SPARE = ("var.", "distance px", "dist. px", "epoch", "last MSE", "MAE px", "fail %", "AUC", "seeds", "p")
"""Titles of columns that a narrow terminal leaves out, from the last to the first; the pages have all."""

_MOST_VALUES = 6
"""Largest number of values of a tag in the terminal; the page shows tags with more values too."""


def print_sweep(summary: pd.DataFrame) -> None:
    """Print the summary of a sweep, the best run marked, with the mean-shape baseline as its last row.

    For a cross-validation, the means over folds follow, and the best setting is marked instead of a run.

    If the baseline's MSE differs between runs, each row shows its own baseline. ``var.`` is the variance of
    the predictions over faces, divided by the truth's variance.

    Args:
        summary: as :func:`keypoints.reports.sweep.report_sweep` returns it.
    """
    constant = shared_baseline(summary)
    differs = constant is None and summary["constant_mse"].notna().any()
    columns = {name: title for name, title in _COLUMNS.items() if name in summary}
    columns |= {"constant_mse": "constant"} if differs else {}
    titles = [_column("run", text=True), *map(_column, columns.values()), _column("status", text=True)]
    table = TerminalTable(titles, "validation MSE of each run")
    results = over_folds(summary)
    best = None if results else pd.to_numeric(summary["best_mse"]).min()
    for row in summary.to_dict("records"):
        failed = row["status"] != "finished"
        style = "red" if failed else "bold green" if row["best_mse"] == best else None
        values = [_cell(name, row[name]) for name in columns]
        status = str(row["status"] if failed else row["note"] or row["status"])
        table.add([str(row["run"]), *values, status], style)
    if constant is not None:
        empty = [shown(constant) if name == "best_mse" else "" for name in columns]
        table.add([BASELINE, *empty, ""], "dim")
    table.print(PlainConsole())
    if results:
        _print_folds(results)
    for row in summary.to_dict("records"):
        if row["status"] != "finished" and row["error"]:
            PlainConsole(stderr=True).print(
                one_line(f"{row['run']}: {row['error']}"), style="red", highlight=False, soft_wrap=True
            )


def _column(title: str, *, text: bool = False) -> Column:
    return Column(title, text, 1 + _SPARE.index(title) if title in _SPARE else 0)


def _cell(column: str, value: float | None) -> str:
    factor = 100 if column == "nme" else 1
    return shown(None if value is None else factor * float(value))


def print_comparison(settings: pd.DataFrame) -> None:
    """Print the settings of a comparison with the verdict, the best first.

    Args:
        settings: as :func:`keypoints.reports.compare.compare_folders` returns it.
    """
    known = [each for each in MEASURES.values() if f"{each.name}_mean" in settings]
    named = settings.get("compared_by", pd.Series(dtype=object)).dropna()
    measure = next((each for each in known if len(named) and each.name == named.iloc[0]), None)
    shown_measures = [each for each in known if each == measure or each.name in ("nme", "distance_px")]
    numbers = ["seeds", *(each.title for each in shown_measures), "difference", "p"]
    titles = [_column("setting", text=True), *map(_column, numbers), _column("verdict", text=True)]
    table = TerminalTable(titles, "settings")
    ordered = settings if measure is None else settings.sort_values(f"{measure.name}_mean")
    for row in ordered.to_dict("records"):
        values = [each.shown(row[f"{each.name}_mean"]) for each in shown_measures]
        difference = "–" if measure is None else measure.shown(row["difference"])
        verdict = str(row.get("verdict", "–"))
        style = "bold green" if verdict in ("best", "reference") else None
        cells = [str(row["seeds"]), *values, difference, shown(row.get("p_holm"), 2), verdict]
        table.add([str(row["setting"]), *cells], style)
    table.print(PlainConsole())


def _print_folds(results: Sequence[FoldResults]) -> None:
    """Print mean and standard deviation over the folds of each setting, the best setting marked."""
    rows = shown_rows(results)
    titles = [_column(title, text=title == "setting") for title in rows[0]]
    table = TerminalTable(titles, "mean ± standard deviation over folds")
    best = best_of(results)
    for place, row in enumerate(rows):
        table.add(list(row.values()), "bold green" if place == best else None)
    table.print(PlainConsole())


def print_evaluation(result: "EvaluationResult") -> None:
    """Print the metrics of an evaluation: all faces, the mean-shape baseline, parts, tags; their units."""
    from keypoints.reports.evaluation import rows_of, units_of  # imported late: loads torch

    rows = [
        (group, row) for group, row in rows_of(result) if len(result.by_tag.get(group, ())) <= _MOST_VALUES
    ]
    titles = [_column(title, text=not title) for title in rows[0][1]]
    table = TerminalTable(titles, f"{result.scheme}, {result.split}")
    for place, (group, row) in enumerate(rows):
        style = "dim" if row[""] == BASELINE else "bold" if place == 0 else None
        ends = place + 1 < len(rows) and rows[place + 1][0] != group
        table.add(list(row.values()), style, ends_section=ends)
    console = PlainConsole()
    table.print(console)
    for line in [units_of(result), *result.notes, *result.worst_faces, *(result.stress or [])]:
        console.print(line, highlight=False, soft_wrap=True)
