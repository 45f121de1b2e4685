"""Tables for the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from rich import box
from rich.table import Table

from keypoints.errors import one_line
from keypoints.formatting import shown
from keypoints.reports.console import PlainConsole
from keypoints.reports.figures import BASELINE
from keypoints.reports.fold_results import FoldResults, best_of, over_folds, shown_rows
from keypoints.reports.setting_results import MEASURES
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
    table = Table(
        title="validation MSE of each run", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    table.add_column("run", overflow="fold")
    for title in columns.values():
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("status")
    results = over_folds(summary)
    best = None if results else pd.to_numeric(summary["best_mse"]).min()
    for row in summary.to_dict("records"):
        failed = row["status"] != "finished"
        style = "red" if failed else "bold green" if row["best_mse"] == best else None
        values = [_cell(name, row[name]) for name in columns]
        table.add_row(
            str(row["run"]),
            *values,
            str(row["status"] if failed else row["note"] or row["status"]),
            style=style,
        )
    if constant is not None:
        empty = [shown(constant) if name == "best_mse" else "" for name in columns]
        table.add_row(BASELINE, *empty, "", style="dim")
    PlainConsole().print(table)
    if results:
        _print_folds(results)
    for row in summary.to_dict("records"):
        if row["status"] != "finished" and row["error"]:
            PlainConsole(stderr=True).print(
                one_line(f"{row['run']}: {row['error']}"), style="red", highlight=False, soft_wrap=True
            )


def _cell(column: str, value: float | None) -> str:
    factor = 100 if column == "nme" else 1
    return shown(None if value is None else factor * float(value))


def print_comparison(settings: pd.DataFrame) -> None:
    """Print the settings of a comparison with the verdict, the best first.

    Args:
        settings: as :func:`keypoints.reports.compare.compare_folders` returns it.
    """
    table = Table(title="settings", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("setting", overflow="fold")
    known = [each for each in MEASURES.values() if f"{each.name}_mean" in settings]
    named = settings.get("compared_by", pd.Series(dtype=object)).dropna()
    measure = next((each for each in known if len(named) and each.name == named.iloc[0]), None)
    shown_measures = [each for each in known if each == measure or each.name in ("nme", "distance_px")]
    for title in ["seeds", *(each.title for each in shown_measures), "difference", "p"]:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict")
    ordered = settings if measure is None else settings.sort_values(f"{measure.name}_mean")
    for row in ordered.to_dict("records"):
        values = [each.shown(row[f"{each.name}_mean"]) for each in shown_measures]
        difference = "–" if measure is None else measure.shown(row["difference"])
        verdict = str(row.get("verdict", "–"))
        style = "bold green" if verdict in ("best", "reference") else None
        cells = [str(row["seeds"]), *values, difference, shown(row.get("p_holm"), 2), verdict]
        table.add_row(str(row["setting"]), *cells, style=style)
    PlainConsole().print(table)


def _print_folds(results: Sequence[FoldResults]) -> None:
    """Print mean and standard deviation over the folds of each setting, the best setting marked."""
    table = Table(
        title="mean ± standard deviation over folds",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    rows = shown_rows(results)
    for title in rows[0]:
        left = title == "setting"
        table.add_column(title, justify="left" if left else "right", overflow="fold", no_wrap=not left)
    best = best_of(results)
    for place, row in enumerate(rows):
        table.add_row(*row.values(), style="bold green" if place == best else None)
    PlainConsole().print(table)


def print_evaluation(result: "EvaluationResult") -> None:
    """Print the metrics of an evaluation: all faces, the mean-shape baseline, parts, tags."""
    from keypoints.reports.evaluation import rows_of  # imported late, because it loads torch

    table = Table(
        title=f"{result.scheme}, {result.split}",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    rows = rows_of(result)
    for title in rows[0][1]:
        table.add_column(title, justify="right" if title else "left", no_wrap=bool(title))
    previous = rows[0][0]
    for group, row in rows:
        if len(result.by_tag.get(group, ())) > _MOST_VALUES:
            continue
        if group != previous:
            table.add_section()
        previous = group
        style = "dim" if row[""] == BASELINE else "bold" if row is rows[0][1] else None
        table.add_row(*row.values(), style=style)
    console = PlainConsole()
    console.print(table)
    for line in [*result.notes, *result.worst_faces, *(result.stress or [])]:
        console.print(line, highlight=False)
