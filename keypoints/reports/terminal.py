"""Tables for the terminal."""

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from keypoints.reports.page import shown

_COLUMNS = {
    "best_mse": "best MSE",
    "best_epoch": "epoch",
    "last_mse": "last MSE",
    "mae_px": "MAE px",
    "variance_ratio": "var.",
}


def print_sweep(summary: pd.DataFrame) -> None:
    """Print the summary of a sweep, the best run marked, with the constant predictor as its last row.

    ``var.`` is the variance of the predictions over the truth's, from face to face.
    """
    table = Table(
        title="validation MSE of each run", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    table.add_column("run", overflow="fold")
    for title in _COLUMNS.values():
        table.add_column(title, justify="right")
    table.add_column("status")
    best = pd.to_numeric(summary["best_mse"]).min()
    for row in summary.to_dict("records"):
        failed = row["status"] != "finished"
        style = "red" if failed else "bold green" if row["best_mse"] == best else None
        values = [shown(None if row[name] is None else float(row[name])) for name in _COLUMNS]
        table.add_row(str(row["run"]), *values, str(row["note"] or row["status"]), style=style)
    constant = pd.to_numeric(summary["constant_mse"]).dropna()
    if not constant.empty:
        table.add_row(
            "constant predictor", shown(constant.iloc[0]), *[""] * (len(_COLUMNS) - 1), "", style="dim"
        )
    Console().print(table)
    for row in summary.to_dict("records"):
        if row["status"] != "finished" and row["error"]:
            Console(stderr=True).print(
                f"{row['run']}: {row['error']}", style="red", highlight=False, soft_wrap=True
            )
