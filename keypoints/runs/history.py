"""Metrics that a run logged, by log entry and by epoch. Imports no torch, and pandas late."""

import io
import math
from typing import TYPE_CHECKING

import numpy as np

from keypoints.errors import DataError, one_line
from keypoints.runs.run_folder import BY_MSE, Monitor, RunFolder
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
    except FileNotFoundError as error:
        raise DataError(
            f"{run.metrics}: is missing: the run has logged nothing yet, or ended before"
        ) from error
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


def best_epoch(history: "pd.DataFrame", monitor: Monitor = BY_MSE) -> int | None:
    """Return the best epoch; ``None`` if no epoch has the monitored metric or a validation MSE.

    Args:
        history: one row per epoch, see :func:`by_epoch`.
        monitor: metric that decides. A run that did not log it is judged by its validation MSE.
    """
    metric, mode = monitor if monitor.metric in history and history[monitor.metric].notna().any() else BY_MSE
    if metric not in history or history[metric].isna().all():
        return None
    values = history[metric].to_numpy(float)
    return int(history.index.to_numpy()[(np.nanargmax if mode == "max" else np.nanargmin)(values)])


def summary(logged: "pd.DataFrame", monitor: Monitor = BY_MSE) -> dict[str, float]:
    """Return the metrics of the best and the last epoch; empty if no epoch was validated.

    Args:
        logged: table of the logged metrics, see :func:`read_logged`.
        monitor: metric that decides which epoch is best.
    """
    if "epoch" not in logged or "val/mse" not in logged:
        return {}
    history = by_epoch(logged).dropna(subset=["val/mse"])
    best = best_epoch(history, monitor)
    if best is None:
        return {}
    metrics = {}
    for when, epoch in (("best", best), ("last", int(history.index[-1]))):
        row: dict[str, float] = {str(name): column.loc[epoch] for name, column in history.items()}
        metrics[f"{when}/epoch"] = float(epoch)
        for name in ("mse", "mae_px", "nme", "variance_ratio"):
            if name != "nme" or "val/nme" in history:
                metrics[f"{when}/{name}"] = float(row[f"val/{name}"])
        if monitor != BY_MSE and monitor.metric in history:
            metrics[f"{when}/monitor"] = float(row[monitor.metric])
    if "val/mse_constant" in history:
        metrics["constant/mse"] = float(history["val/mse_constant"].iloc[-1])
    return metrics
