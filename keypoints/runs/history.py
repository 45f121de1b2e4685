"""Metrics that a run logged, by log entry and by epoch. Imports no torch, and pandas late."""

import io
import math
from typing import TYPE_CHECKING

from keypoints.errors import DataError, one_line
from keypoints.runs.run_folder import RunFolder
from keypoints.structured_files import MOST_TABLE_BYTES, read_text

if TYPE_CHECKING:
    import pandas as pd


def read_logged(run: RunFolder) -> "pd.DataFrame":
    """Return the table of logged metrics: one row per log entry, with its ``epoch`` and ``step``.

    Raises:
        DataError: if nothing was logged, or the table is damaged.
    """
    import pandas as pd

    try:
        text = read_text(run.metrics, MOST_TABLE_BYTES)
        # The last line is incomplete if the run was killed while writing it.
        logged = pd.read_csv(io.StringIO(text[: text.rfind("\n") + 1]))
    except (OSError, ValueError) as error:
        raise DataError(f"{run.metrics}: cannot be read ({one_line(error)[:200]})") from error
    if "step" not in logged:
        raise DataError(f"{run.metrics}: has no column 'step'")
    if "epoch" not in logged:  # the run ended before its first epoch did
        logged["epoch"] = math.nan
    for name, column in logged.items():
        if column.dtype.kind not in "iuf":
            raise DataError(f"{run.metrics}: its column {name!r} holds something else than numbers")
    for name in ("epoch", "step"):
        counted = logged[name].dropna()
        if not ((counted >= 0) & (counted < 2**53) & (counted % 1 == 0)).all():
            raise DataError(f"{run.metrics}: its column {name!r} holds something else than whole numbers")
    return logged


def read_history(run: RunFolder) -> "pd.DataFrame":
    """Return a run's metrics: one row per epoch, one column per metric.

    Raises:
        DataError: if nothing was logged.
    """
    history = by_epoch(read_logged(run))
    if history.empty:
        raise DataError(f"{run.metrics}: holds no epoch")
    return history


def by_epoch(logged: "pd.DataFrame") -> "pd.DataFrame":
    """Return the last logged value of each metric in each epoch: one row per epoch, one column per metric."""
    return logged.dropna(subset=["epoch"]).astype({"epoch": int}).groupby("epoch").last()


def summary(logged: "pd.DataFrame") -> dict[str, float]:
    """Return the metrics of the best and the last epoch; empty if no epoch was validated."""
    if "epoch" not in logged or "val/mse" not in logged:
        return {}
    history = by_epoch(logged).dropna(subset=["val/mse"])
    if history.empty:
        return {}
    metrics = {}
    for when, place in (("best", int(history["val/mse"].to_numpy().argmin())), ("last", -1)):
        row = history.iloc[place]
        metrics[f"{when}/epoch"] = float(history.index[place])
        for name in ("mse", "mae_px", "variance_ratio"):
            metrics[f"{when}/{name}"] = float(row[f"val/{name}"])
    if "val/mse_constant" in history:
        metrics["constant/mse"] = float(history["val/mse_constant"].iloc[-1])
    return metrics
