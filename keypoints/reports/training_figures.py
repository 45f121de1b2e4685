"""Figures of trainings: loss curves of a run, and the comparison of a sweep's runs."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from keypoints.formatting import counted, shown
from keypoints.reports.figures import BASELINE, legend_label, new_figure

MSE_UNIT = "MSE (ratio² of the photo)"
_UNITS = {"val/mse": MSE_UNIT, "val/nme": "NME (ratio)", "val/mae_px": "MAE per coordinate (px)"}
"""Names and units of the metrics on an axis."""
_HEIGHT = 0.66
"""Height of the folds of one setting, as a fraction of a row."""
_DASHES = ("-", "--", "-.", ":")
_COLOURED = 24
"""Largest number of settings in colours of their own, the best; a figure shows the others in grey."""


def loss_curves(history: pd.DataFrame, title: str, loss: str, unit: str, best: int | None = None) -> Figure:
    """Plot training and validation loss over epochs on a log axis, with the mean-shape baseline as a line.

    If the loss is not the MSE, the validation MSE has axes of its own.

    Args:
        history: one row per epoch, as :func:`keypoints.runs.history.by_epoch` returns it.
        title: title of the figure, with the name of the run.
        loss: name of the loss, for the axis.
        unit: unit of the loss, for the axis.
        best: best epoch; ``None`` for the epoch with the smallest validation MSE.
    """
    own_mse = "val/mse" in history and not (
        "loss/val" in history
        and np.allclose(history["val/mse"], history["loss/val"], rtol=1e-3, equal_nan=True)
    )
    figure = new_figure(8, 8 if own_mse else 4.8)
    axes = figure.subplots(1 + own_mse, 1, squeeze=False, sharex=True)[:, 0]
    figure.suptitle(title)
    _curve(axes[0], history, "loss/train", f"training {loss}", color="tab:blue")
    _curve(axes[0], history, "loss/val", f"validation {loss}", color="tab:orange")
    _constant(axes[0], history, "loss/constant")
    _finish(axes[0], f"{loss} ({unit})")
    if own_mse:
        _curve(axes[1], history, "val/mse", "validation MSE", color="tab:orange")
        _constant(axes[1], history, "val/mse_constant")
        _finish(axes[1], MSE_UNIT)
    if (found := _best(history, epoch=best)) is not None:
        epoch, column = found[0], "val/mse" if own_mse else "loss/val"
        axes[-1].plot(
            epoch, history[column][epoch], "*", ms=15, color="tab:red", label=f"best epoch: {epoch}"
        )
        axes[-1].legend(fontsize=9)
    axes[-1].set_xlabel("epoch")
    _number_epochs(axes, _epochs_of([history]))
    return figure


def comparison(
    histories: Mapping[str, pd.DataFrame],
    groups: Mapping[str, str],
    title: str,
    best: Mapping[str, int] | None = None,
    column: str = "val/mse",
) -> Figure:
    """Plot the validation curves of several runs on one log axis.

    Args:
        histories: validated epochs of each run, by the run's name.
        groups: setting of each run, by the run's name; runs of one setting (seeds) share a colour.
        title: title of the figure.
        best: best epoch of each run; of a run that it lacks, the epoch with the smallest value.
        column: metric to plot.
    """
    figure = new_figure(10, 5.6)
    axes = figure.subplots()
    points = {
        name: point
        for name, history in histories.items()
        if (point := _best(history, column, (best or {}).get(name))) is not None
    }
    ranked = sorted(points, key=lambda name: points[name][1])
    settings = [each for each in dict.fromkeys(groups.values()) if each in {groups[name] for name in points}]
    coloured = list(dict.fromkeys(groups[name] for name in ranked))[:_COLOURED]
    own = [each for each in settings if each in coloured]
    few = len(own) <= 10
    colours = {
        each: mpl.colormaps["tab10" if few else "turbo"](place if few else place / (len(own) - 1))
        for place, each in enumerate(own)
    }
    dashes = {each: _DASHES[place // 10 % len(_DASHES)] for place, each in enumerate(own)}
    others = counted(len(settings) - len(coloured), "other setting")
    labelled: set[str] = set()
    for name, (best_epoch, lowest) in points.items():
        setting = groups[name]
        many = list(groups.values()).count(setting) > 1
        label = setting if many else f"{name}: best {shown(lowest, 2)}"
        label = label if setting in colours else others
        colour = colours.get(setting, "0.7")
        axes.plot(
            histories[name].index,
            histories[name][column],
            dashes.get(setting, "-"),
            marker=_marker(histories[name][column]),
            color=colour,
            alpha=0.75 if many else 1,
            lw=1.5 if setting in colours else 0.7,
            zorder=2 if setting in colours else 1,
            label=None if label in labelled else legend_label(label),
        )
        labelled.add(label)
        if setting in colours:
            axes.plot(best_epoch, lowest, "*", ms=9, color=colour)
    for history in histories.values():
        if column == "val/mse":
            _constant(axes, history, "val/mse_constant")
        break
    axes.set_title(title)
    axes.set_xlabel("epoch (★ best)")
    unit = _UNITS.get(column, column)
    _finish(axes, f"validation {unit}", loc="center left", bbox_to_anchor=(1, 0.5))
    _number_epochs([axes], _epochs_of(histories[name] for name in points))
    return figure


def training_and_validation(
    histories: Mapping[str, pd.DataFrame], groups: Mapping[str, str], title: str, best: Mapping[str, int]
) -> Figure:
    """Plot training beside validation loss, with axes for each setting on one common log scale.

    Args:
        histories: validated epochs of each run, by the run's name.
        groups: setting of each run, by the run's name.
        title: title of the figure.
        best: best epoch of each run.
    """
    settings = list(dict.fromkeys(groups[name] for name in histories))
    columns = min(3, len(settings))
    rows = -(-len(settings) // columns)
    figure = new_figure(3.7 * columns + 0.4, 2.7 * rows + 0.7)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True, sharex=True)
    for axes, setting in zip(grid.flat, settings, strict=False):
        for name, history in histories.items():
            if groups[name] != setting:
                continue
            for column, colour, label in (
                ("loss/train", "tab:blue", "training"),
                ("loss/val", "tab:orange", "validation"),
            ):
                if column in history and not (values := history[column].dropna()).empty:
                    how = {"color": colour, "lw": 1.2, "alpha": 0.8, "marker": _marker(values)}
                    axes.plot(values.index, values, label=label, **how)
            if name in best:
                axes.axvline(best[name], color="tab:red", lw=0.8, ls=":", label="best epoch")
        axes.set_title(legend_label(setting), fontsize=9)
        axes.set_yscale("log")
        axes.grid(visible=True, which="both", alpha=0.25)
    _number_epochs(grid.flat[: len(settings)], _epochs_of(histories.values()))
    for axes in grid.flat[len(settings) :]:
        axes.axis("off")
    for row, own in enumerate(grid):
        own[0].set_ylabel("loss")
        for axes in own if row == rows - 1 else ():
            axes.set_xlabel("epoch")
    handles = {
        label: handle
        for axes in grid.flat
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=9)
    figure.suptitle(title)
    return figure


def fold_errors(errors: Mapping[str, Mapping[int, float]], constant: float, title: str) -> Figure:
    """Plot the validation MSE of each fold on a log axis, with mean and standard deviation of each setting.

    Args:
        errors: validation MSE of the finished folds, by setting and by the number of the fold.
        constant: mean MSE of the mean-shape baseline over the folds; NaN for none.
        title: title of the figure.
    """
    folds = sorted({fold for values in errors.values() for fold in values})
    figure = new_figure(9, 1.6 + len(errors) * (0.5 + 0.12 * len(folds)))
    axes = figure.subplots()
    for place, values in enumerate(errors.values()):
        points = {fold: value for fold, value in values.items() if 0 < value < np.inf}
        if points:
            heights = {
                fold: place + _HEIGHT * ((folds.index(fold) + 0.5) / len(folds) - 0.5) for fold in points
            }
            _points_of_folds(axes, points, heights)
            _mean_of_folds(axes, np.asarray(list(points.values())), place)
    if 0 < constant < np.inf:
        axes.axvline(constant, color="0.35", ls="--", lw=1.2, label=f"{BASELINE}, mean: {shown(constant)}")
    axes.set_yticks(range(len(errors)), list(errors))
    axes.set_ylim(len(errors) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.set_xlabel(f"best validation {MSE_UNIT}")
    axes.grid(visible=True, axis="x", which="both", alpha=0.25)
    axes.set_title(title)
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))  # one of each label
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _points_of_folds(axes: Axes, points: Mapping[int, float], heights: Mapping[int, float]) -> None:
    """Plot one point per fold, with its number; a fold has the same place in the rows of all settings."""
    for fold, value in points.items():
        axes.plot(value, heights[fold], "o", ms=5, color="tab:orange", label="one fold")
        place = (value, heights[fold])
        axes.annotate(str(fold), place, (6, 0), textcoords="offset points", fontsize=8, va="center")


def _mean_of_folds(axes: Axes, found: np.ndarray, place: int) -> None:
    """Plot the mean as a line through a setting's row, and one standard deviation around it as an area."""
    middle, spread = float(found.mean()), float(found.std(ddof=1)) if found.size > 1 else math.nan
    ends = (place - _HEIGHT / 2, place + _HEIGHT / 2)
    axes.plot([middle] * 2, ends, color="tab:blue", lw=2, zorder=1, label="mean over folds")
    if found.size > 1:
        lowest = max(middle - spread, found.min() / 2)  # a log axis cannot show 0
        label = "± one standard deviation"
        axes.fill_betweenx(ends, lowest, middle + spread, color="tab:blue", alpha=0.15, lw=0, label=label)
    text = f"{shown(middle)} ± {shown(spread, 2)}"
    axes.annotate(
        text,
        (middle, ends[0]),
        (0, 3),
        textcoords="offset points",
        fontsize=8,
        color="tab:blue",
        ha="center",
    )


def _best(
    history: pd.DataFrame, column: str = "val/mse", epoch: int | None = None
) -> tuple[int, float] | None:
    """Return an epoch, or that of the smallest value, and its value; ``None`` if it was never a number."""
    if column not in history or history[column].isna().all():
        return None
    values = history[column].to_numpy(np.float64)
    if epoch is not None and epoch in history.index:
        return epoch, float(values[history.index.get_loc(epoch)])
    place = int(np.nanargmin(values))
    return int(history.index.to_numpy()[place]), float(values[place])


def _curve(axes: Axes, history: pd.DataFrame, column: str, label: str, color: str) -> None:
    if column in history and not (values := history[column].dropna()).empty:
        label = f"{label}: last {shown(values.iloc[-1])}"
        axes.plot(values.index, values, label=label, color=color, marker=_marker(values))


def _marker(values: pd.Series) -> str:
    """Return matplotlib's marker of a curve: a dot for a single epoch, which a line would not show."""
    return "o" if values.notna().sum() == 1 else ""


def _epochs_of(histories: Iterable[pd.DataFrame]) -> set[int]:
    return {int(epoch) for history in histories for epoch in history.index}


def _number_epochs(shared: Iterable[Axes], epochs: Iterable[int]) -> None:
    """Set integer ticks on the axis of epochs; a single epoch is in its middle.

    Args:
        shared: axes that share their epochs.
        epochs: plotted epochs.
    """
    known = set(epochs)
    for axes in shared:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if len(known) == 1:
            (only,) = known
            axes.set_xlim(only - 1, only + 1)
            axes.set_xticks([only])


def _constant(axes: Axes, history: pd.DataFrame, column: str) -> None:
    if column in history and not (values := history[column].dropna()).empty:
        value = values.iloc[0]
        line = axes.axhline(value, color="0.35", ls="--", lw=1.2, label=f"{BASELINE}: {shown(value)}")
        line.set_visible(0 < value < np.inf)  # a log axis cannot show other values


def _finish(axes: Axes, unit: str, **legend: Any) -> None:
    """Set the log scale, labels and legend of axes with curves, as far as there is anything to show."""
    drawn = [np.asarray(line.get_ydata(), np.float64) for line in axes.lines]
    if any(((values > 0) & (values < np.inf)).any() for values in drawn):
        axes.set_yscale("log")
    axes.set_ylabel(unit)
    axes.grid(visible=True, which="both", alpha=0.25)
    if drawn:
        axes.legend(fontsize=9, **legend)
