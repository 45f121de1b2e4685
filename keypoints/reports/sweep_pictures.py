"""Figures of a sweep, or of any runs that are compared."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from keypoints.errors import some_of
from keypoints.files import write_atomically
from keypoints.formatting import counted, pluralised
from keypoints.geometry import FloatArray
from keypoints.mean_face import is_collapsed
from keypoints.reports import face_figures, figures, filter_figures, training_figures
from keypoints.reports.compared import Compared
from keypoints.reports.fold_results import FoldResults, as_table, mean_of_all, ranked
from keypoints.reports.page import Picture
from keypoints.reports.setting_results import MEASURES
from keypoints.runs.history import best_epoch
from keypoints.runs.run_folder import BY_MSE, RunFolder
from keypoints.runs.sweep_folder import SweepFolder, split_fold

log = logging.getLogger(__name__)

SHEETS = {"Good": "good_faces.png", "Bad": "bad_faces.png"}
"""Files of the figures of good and of bad faces."""

LOSSES = "losses.png"
"""File of the figure of training beside validation losses."""

FILTERS = "filters.png"
"""File of the figure of the first layers' filters."""

_FACES = 3
"""Number of good and of bad faces that the figures show for each run."""
_COLUMNS = 6
"""Largest number of runs in these figures, one per setting."""
_PANELS = 12
"""Largest number of settings whose training and validation losses are plotted."""
_NAMED = 6
"""Largest number of settings that a caption names."""


def draw_pictures(compared: Compared, new: SweepFolder, folds: Sequence[FoldResults]) -> list[Picture]:
    """Write the figures of runs that are compared.

    Args:
        compared: the runs.
        new: existing folder for the files.
        folds: results over folds, if the runs are a cross-validation.

    Returns:
        The figures, in the order of the page.
    """
    chosen = _one_of_each_setting(compared)
    return [
        *_of_folds(new, compared.name, folds),
        *_of_curves(compared, new, is_folded=bool(folds)),
        *_side_by_side(compared, new.path, chosen),
        *_of_filters(compared, new.path, chosen),
    ]


def _of_folds(new: SweepFolder, name: str, results: Sequence[FoldResults]) -> list[Picture]:
    """Write table and figure of a cross-validation, if there is one."""
    if not results:
        return []
    write_atomically(new.folds, as_table(results).to_csv(index=False))
    if not ranked(results):
        return []
    figure = training_figures.fold_errors(
        {each.setting: each.mse for each in results},
        mean_of_all(each.baseline for each in results),
        f"{name}: validation MSE of each fold",
    )
    figures.save(figure, new.fold_errors)
    caption = (
        "One point per fold, with its number, at the same height for all settings; the line is their mean."
    )
    return [Picture(new.fold_errors, "Folds", caption)]


def _of_curves(compared: Compared, new: SweepFolder, *, is_folded: bool) -> list[Picture]:
    """Write the figures of the validation curves, and of training beside validation loss."""
    histories = compared.histories
    if not histories:
        return []
    groups = dict(zip(compared.table["run"], compared.table["setting"], strict=True))
    best = {
        name: epoch
        for name, history in histories.items()
        if (epoch := best_epoch(history, compared.runs[name].monitor)) is not None
    }
    monitor = next(name for name, each in MEASURES.items() if each == compared.measure)
    column = monitor if all(monitor in history for history in histories.values()) else BY_MSE.metric
    title = f"{compared.name}: validation over epochs"
    figures.save(training_figures.comparison(histories, groups, title, best, column), new.comparison)
    equal, baseline = ("folds", " The baseline is that of the first run.") if is_folded else ("seeds", "")
    caption = (
        f"All runs on one log axis; {equal} of one setting share a colour; ★ marks the best epochs.{baseline}"
    )
    pictures = [Picture(new.comparison, "Validation curves", caption)]
    with_losses = {name: each for name, each in histories.items() if {"loss/train", "loss/val"} & set(each)}
    settings = list(dict.fromkeys(groups[name] for name in with_losses))[:_PANELS]
    with_losses = {name: each for name, each in with_losses.items() if groups[name] in settings}
    if with_losses:
        title = f"{compared.name}: training and validation loss"
        figure = training_figures.training_and_validation(with_losses, groups, title, best)
        figures.save(figure, new.path / LOSSES)
        left_out = len({groups[name] for name in histories}) - len(settings)
        caption = "The same axes for each setting. A gap between the curves is overfitting."
        caption += (
            f" {counted(left_out, 'setting')} {pluralised(left_out, 'is', 'are')} left out."
            if left_out
            else ""
        )
        pictures.append(Picture(new.path / LOSSES, "Training beside validation", caption))
    return pictures


def _one_of_each_setting(compared: Compared) -> pd.DataFrame:
    """Return the best run of each setting, the best first, all of the same fold."""
    ordered = compared.finished.sort_values(compared.measure.column)
    folds = [split_fold(str(run))[1] for run in ordered["run"]]
    same = [fold == folds[0] for fold in folds]  # other folds validate on other faces
    return ordered[np.asarray(same, bool)].drop_duplicates("setting")


def _left_out(chosen: pd.DataFrame, names: Sequence[str]) -> str:
    """Return words about the settings whose best run a figure does not show."""
    others = [
        str(setting)
        for run, setting in zip(chosen["run"], chosen["setting"], strict=True)
        if run not in names
    ]
    return f" Left out: {some_of(others, _NAMED)}." if others else ""


def _side_by_side(compared: Compared, folder: Path, chosen: pd.DataFrame) -> list[Picture]:
    """Plot the same good and the same bad faces for the best run of each setting.

    Runs that predict one face for everyone do not choose the faces, unless all do.
    """
    names = [str(name) for name in chosen["run"] if name in compared.faces][:_COLUMNS]
    tables = {name: compared.faces[name] for name in names}
    if not tables:
        return []
    photos = {tuple(table["photo"]) for table in tables.values()}
    points = {sum(str(column).startswith("truth_x") for column in table) for table in tables.values()}
    if len(photos) != 1 or len(points) != 1:
        log.warning("%s: the runs have different faces or points, so faces are not compared", compared.name)
        return []
    ratios = dict(zip(chosen["run"], chosen["variance_ratio"], strict=True))
    choosing = [name for name in tables if not is_collapsed(ratios[name])] or list(tables)
    order = ranked_places([tables[name] for name in choosing])
    if not order:
        return []
    count = min(_FACES, len(order) // 2 or 1)
    scheme = compared.runs[names[0]].scheme()
    lines = () if scheme is None else scheme.skeleton
    collapsed = [name for name in tables if name not in choosing]
    pictures = []
    for label, places in (("Good", order[:count]), ("Bad", order[::-1][:count])):
        rows = {name: face_figures.drawn_faces(table.iloc[places]) for name, table in tables.items()}
        path = folder / SHEETS[label]
        figures.save(
            face_figures.faces(rows, lines, f"{compared.name}: the same {label.lower()} faces"), path
        )
        which = "smallest" if label == "Good" else "largest"
        caption = f"Faces with the {which} mean error over these runs, at the best epoch of each."
        if collapsed:
            verb = "predicts" if len(collapsed) == 1 else "predict"
            caption += f" Not chosen by {some_of(collapsed, _NAMED)}, which {verb} one face for everyone."
        pictures.append(Picture(path, f"{label} faces by run", caption + _left_out(chosen, names), wide=True))
    return pictures


def ranked_places(tables: Sequence[pd.DataFrame]) -> list[int]:
    """Return the places of the faces that have a labelled point, the smallest mean error first.

    Args:
        tables: tables of the same faces, one for each run.
    """
    mean = np.sum([table["error_px"].to_numpy(np.float64) for table in tables], axis=0) / len(tables)
    ranked: list[int] = np.argsort(mean)[: np.isfinite(mean).sum()].tolist()  # NaN is sorted last
    return ranked


def _of_filters(compared: Compared, folder: Path, chosen: pd.DataFrame) -> list[Picture]:
    """Write the figure of the first layers' filters, for the best run of each setting."""
    weights: dict[str, FloatArray] = {}
    for name in map(str, chosen["run"]):
        if len(weights) < _COLUMNS and (weight := _read_filters(compared.runs[name])) is not None:
            weights[name] = weight
    if not weights:
        return []
    figure = filter_figures.filters_of_runs(weights, f"{compared.name}: first-layer filters")
    figures.save(figure, folder / FILTERS)
    caption = (
        "The best run of each setting, the best first, on one colour scale: blue below zero, red above."
        f"{_left_out(chosen, list(weights))}"
    )
    return [Picture(folder / FILTERS, "First-layer filters by run", caption)]


def _read_filters(run: RunFolder) -> FloatArray | None:
    """Return the first layer's weight; ``None`` if the run has none, as those of older versions."""
    try:
        weight = np.load(run.filters, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    usable = isinstance(weight, np.ndarray) and weight.ndim == 4 and weight.size and weight.dtype.kind == "f"
    return weight.astype(np.float64) if usable and np.isfinite(weight).all() else None
