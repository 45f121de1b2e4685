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
from keypoints.runs.sweep_folder import shared_baseline

if TYPE_CHECKING:
    from keypoints.evaluation.result import EvaluationResult

_COLUMNS = {
    "best_mse": "best MSE",
    "best_epoch": "epoch",
    "last_mse": "last MSE",
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
    columns = {**_COLUMNS, "constant_mse": "constant"} if differs else _COLUMNS
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
        values = [shown(None if row[name] is None else float(row[name])) for name in columns]
        table.add_row(
            str(row["run"]),
            *values,
            str(row["status"] if failed else row["note"] or row["status"]),
            style=style,
        )
    if constant is not None:
        table.add_row(BASELINE, shown(constant), *[""] * (len(columns) - 1), "", style="dim")
    PlainConsole().print(table)
    if results:
        _print_folds(results)
    for row in summary.to_dict("records"):
        if row["status"] != "finished" and row["error"]:
            PlainConsole(stderr=True).print(
                one_line(f"{row['run']}: {row['error']}"), style="red", highlight=False, soft_wrap=True
            )


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
