"""Table, figures and page of a sweep."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from keypoints.errors import some_of
from keypoints.evaluation.face_tables import read_faces
from keypoints.files import atomic_folder, write_atomically
from keypoints.formatting import fixed, shown
from keypoints.mean_face import predicts_the_mean
from keypoints.reports import face_figures, figures, training_figures
from keypoints.reports.fold_results import (
    FoldResults,
    against_baseline,
    as_table,
    best_of,
    fold_findings,
    mean_of_all,
    over_folds,
    ranked,
    shown_rows,
)
from keypoints.reports.page import Picture, write_page
from keypoints.runs.history import by_epoch, read_logged
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.sweep_folder import SweepFolder, shared_baseline, split_fold

log = logging.getLogger(__name__)

_SHEETS = {"Good": "good_faces.png", "Bad": "bad_faces.png"}

_FACES = 3
"""Number of good and of bad faces that the figures show for each run."""
_COLUMNS = 6
"""Largest number of runs in these figures, one per setting."""
_SETTLED = 0.9
"""Fraction of the epochs after which a best epoch means that the loss may still be falling."""
_NAMED = 6
"""Largest number of runs that a sentence names."""
_NUMBERS = (
    "best_mse",
    "best_epoch",
    "last_mse",
    "mae_px",
    "variance_ratio",
    "constant_mse",
    "seconds",
)
"""Numeric columns of a sweep's table."""
_OVERFIT = 1.3
"""Last MSE divided by best MSE above which a run counts as overfitted."""


def report_sweep(sweep: SweepFolder) -> pd.DataFrame:
    """Write ``summary.csv``, the figures and, last, ``report.html``; of a cross-validation ``folds.csv`` too.

    Args:
        sweep: folder of the sweep.

    Returns:
        The contents of ``summary.csv``, one row per run.

    Raises:
        DataError: if the folder holds no run; in this case nothing is written.
    """
    with atomic_folder(
        sweep.path,
        last=sweep.report.name,
        own=[sweep.comparison.name, sweep.folds.name, sweep.fold_errors.name, *_SHEETS.values()],
    ) as part:
        return _write(sweep, SweepFolder(part))


def _write(sweep: SweepFolder, new: SweepFolder) -> pd.DataFrame:
    """Write the files of a report into the folder ``new``."""
    table = _with_numeric_columns(sweep.table())
    runs = {run.path.name: run for run in sweep.runs()}
    histories = _histories(runs)
    if over_folds(table):
        table = _with_nme(table, histories)
    write_atomically(new.summary, table.to_csv(index=False))
    results = over_folds(table)
    finished = table[table["status"] == "finished"]
    name = sweep.name
    pictures = []
    if histories:
        groups = dict(zip(table["run"], table["setting"], strict=True))
        figures.save(
            training_figures.comparison(histories, groups, f"{name}: validation over epochs"), new.comparison
        )
        equal, baseline = ("folds", " The baseline is that of the first run.") if results else ("seeds", "")
        caption = (
            f"All runs on one log axis; {equal} of one setting share a colour; ★ marks the best epochs."
            f"{baseline}"
        )
        pictures.append(Picture(new.comparison, "Validation curves", caption))
    pictures = [*_of_folds(new, name, results), *pictures, *_side_by_side(sweep, new, runs, finished)]
    settings = _settings(finished) if finished["setting"].duplicated().any() and not results else []
    rows = table.reset_index(drop=True)
    scores = rows["best_mse"].where(rows["status"] == "finished").to_numpy(np.float64)
    best = None if np.isnan(scores).all() or results else int(np.nanargmin(scores))
    command = "keypoints train -m " + " ".join(sweep.asked_for()) if sweep.manifest.is_file() else ""
    write_page(
        new.report,
        "sweep.html",
        title=f"{name}: {len(table)} runs",
        about=f"{len(finished)} finished · {sweep.path.name}",
        notes=[("bad", f"{len(table) - len(finished)} of {len(table)} runs did not finish.")]
        if len(finished) < len(table)
        else [],
        runs=[_shown_row(row) for row in _rows(rows)],
        best=best,
        settings=settings,
        folds=shown_rows(results),
        best_setting=best_of(results),
        findings=findings(finished, histories, results),
        pictures=pictures,
        failures=[
            f"{row['run']} ({row['status']}): {row['error']}"
            for row in _rows(table)
            if row["status"] != "finished"
        ],
        command=command,
    )
    return table


def _against_baseline(finished: pd.DataFrame, best: float) -> list[str]:
    """Return a sentence about the mean-shape baseline, if there is one.

    Args:
        finished: rows of a sweep's table.
        best: the validation MSE of the best setting.
    """
    constant = shared_baseline(finished)
    if constant is not None:
        return [against_baseline(constant, best)]
    if finished["constant_mse"].isna().all():
        return []
    return [
        "The mean-shape baseline's score differs from run to run, because their faces or crops differ: "
        "compare each run with its own baseline."
    ]


def _with_numeric_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return a sweep's table with NaN instead of missing numbers, so that columns can be compared."""
    missing = {name: float for name in _NUMBERS if name in table and table[name].dtype == object}
    return table.astype(missing)


def _with_nme(table: pd.DataFrame, histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return a sweep's table with a column ``nme`` of the best epoch, if the runs logged it."""
    values = [
        float(histories[run]["val/nme"].get(epoch, np.nan))
        if run in histories and "val/nme" in histories[run]
        else np.nan
        for run, epoch in zip(table["run"], table["best_epoch"], strict=True)
    ]
    if np.isnan(values).all():
        return table
    wide = table.copy()
    wide.insert(list(table.columns).index("mae_px") + 1, "nme", values)
    return wide


def _of_folds(new: SweepFolder, name: str, results: Sequence[FoldResults]) -> list[Picture]:
    """Write table and figure of a cross-validation, if the sweep is one."""
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


def findings(
    finished: pd.DataFrame, histories: Mapping[str, pd.DataFrame], results: Sequence[FoldResults] = ()
) -> list[str]:
    """Return sentences that compare the finished runs. Runs without a valid validation MSE are left out.

    Args:
        finished: rows of a sweep's table.
        histories: validated epochs of the runs, by the run's name.
        results: results over folds, if the sweep is a cross-validation.
    """
    finished = finished[finished["best_mse"].notna()]
    if finished.empty:
        return []
    sentences = fold_findings(results) if results else _ranking(finished)
    rows = _rows(finished)
    for row in rows:
        if warning := predicts_the_mean(row["variance_ratio"]):
            sentences.append(f"{row['run']}: {warning}.")
    rising = [row["run"] for row in rows if row["last_mse"] > _OVERFIT * row["best_mse"]]
    if rising:
        sentences.append(
            f"The last epoch is over {_OVERFIT - 1:.0%} worse than the best in {some_of(rising, _NAMED)}."
        )
    ends = {name: history.index[-1] for name, history in histories.items()}
    falling = [
        row["run"] for row in rows if row["run"] in ends and row["best_epoch"] >= _SETTLED * ends[row["run"]]
    ]
    if falling:
        sentences.append(
            f"Best epoch in the last tenth, so more epochs may help: {some_of(falling, _NAMED)}."
        )
    own = set(finished["run"])
    rough = {
        name: _roughness(history) for name, history in histories.items() if name in own and len(history) > 3
    }
    if len(rough) > 1:
        smooth = pd.Series(rough).groupby(lambda name: _setting_of(finished, name)).median().dropna()
        sentences.append(
            "Smoothness, the median change of validation MSE from epoch to epoch: "
            + ", ".join(f"{name} {fixed(100 * value, 0)}%" for name, value in smooth.sort_values().items())
            + "."
        )
    return sentences


def _ranking(finished: pd.DataFrame) -> list[str]:
    """Return sentences that rank the settings and compare their seeds and the mean-shape baseline."""
    sentences = []
    by_setting = finished.groupby("setting", sort=False)["best_mse"]
    order = by_setting.median().sort_values()
    spread = by_setting.agg(lambda values: values.max() - values.min())
    if len(order) > 1:
        first, second = order.index[:2]
        text = (
            f"{first} does best: validation MSE {shown(order.iloc[0])}, against {shown(order.iloc[1])} for "
            f"{second}"
        )
        if by_setting.size().max() > 1:
            apart = by_setting.max()[first] < by_setting.min()[second]
            text += " (medians over seeds); " + (
                "all its seeds beat all of the other's" if apart else "but the ranges of their seeds overlap"
            )
        else:
            text += "; with one seed each, a small difference says little"
        sentences.append(text + ".")
        sentences.append(
            f"From best to worst: {', '.join(f'{name} {shown(value)}' for name, value in order.items())}."
        )
    if by_setting.size().max() > 1:
        sentences.append(
            f"Between seeds of one setting the best MSE differs by {shown(spread.min(), 2)} to "
            f"{shown(spread.max(), 2)}."
        )
    return sentences + _against_baseline(finished, order.iloc[0])


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain dicts."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _roughness(history: pd.DataFrame) -> float:
    """Return the median factor, minus 1, by which the validation MSE changes from epoch to epoch."""
    values = history["val/mse"].to_numpy(np.float64)
    steps = np.abs(np.diff(np.log(values[(values > 0) & (values < np.inf)])))
    return float(np.expm1(np.median(steps))) if steps.size else float("nan")


def _setting_of(table: pd.DataFrame, run: str) -> str:
    setting = table.loc[table["run"] == run, "setting"]
    return str(setting.iloc[0]) if len(setting) else run


def _histories(runs: Mapping[str, RunFolder]) -> dict[str, pd.DataFrame]:
    histories = {}
    for name, run in runs.items():
        if not run.metrics.exists():  # the run ended in its first epoch
            continue
        history = by_epoch(read_logged(run))
        if "val/mse" in history and history["val/mse"].notna().any():
            histories[name] = history.dropna(subset=["val/mse"])
    return histories


def _settings(finished: pd.DataFrame) -> list[dict[str, str]]:
    """Return the medians and ranges over the seeds of each setting."""
    rows = []
    for setting, group in finished.groupby("setting", sort=False):
        best = group["best_mse"].astype(float)
        rows.append(
            {
                "setting": str(setting),
                "seeds": str(len(group)),
                "best MSE, median": shown(best.median()),
                "min": shown(best.min()),
                "max": shown(best.max()),
                "last MSE, median": shown(group["last_mse"].astype(float).median()),
                "MAE px, median": shown(group["mae_px"].astype(float).median()),
            }
        )
    return rows


def _shown_row(row: Mapping[str, Any]) -> dict[str, str]:
    def number(name: str) -> float | None:
        value = row[name]
        return float(value) if isinstance(value, int | float) else None

    return {
        "run": str(row["run"]),
        "best MSE": shown(number("best_mse")),
        "epoch": shown(number("best_epoch")),
        "last MSE": shown(number("last_mse")),
        "MAE px": shown(number("mae_px")),
        "variance ratio": shown(number("variance_ratio"), 2),
        "seconds": shown(number("seconds")),
        "status": " · ".join(filter(None, [str(row["status"]), str(row["note"])])),
    }


def _side_by_side(
    sweep: SweepFolder, new: SweepFolder, runs: Mapping[str, RunFolder], finished: pd.DataFrame
) -> list[Picture]:
    """Plot the same good and the same bad faces for the best run of each setting."""
    ordered = finished.sort_values("best_mse")
    folds = [split_fold(str(run))[1] for run in ordered["run"]]
    same = [fold == folds[0] for fold in folds]  # other folds validate on other faces
    ordered = ordered[np.asarray(same, bool)]
    chosen = ordered.drop_duplicates("setting").head(_COLUMNS)["run"].tolist()
    tables = {name: read_faces(runs[name].faces) for name in chosen if runs[name].faces.exists()}
    if not tables:
        return []
    photos = {tuple(table["photo"]) for table in tables.values()}
    points = {sum(str(column).startswith("truth_x") for column in table) for table in tables.values()}
    if len(photos) != 1 or len(points) != 1:
        log.warning(
            "%s: the runs validate on different faces or points, so their faces are not compared", sweep.path
        )
        return []
    mean = sum(table["error_px"].to_numpy() for table in tables.values()) / len(tables)
    ranked = np.argsort(mean)
    count = min(_FACES, len(ranked) // 2 or 1)
    scheme = runs[next(iter(tables))].scheme()
    lines = () if scheme is None else scheme.skeleton
    pictures = []
    for label, places in (("Good", ranked[:count]), ("Bad", ranked[::-1][:count])):
        rows = {name: face_figures.drawn_faces(table.iloc[places]) for name, table in tables.items()}
        path = new.path / _SHEETS[label]
        figures.save(face_figures.faces(rows, lines, f"{sweep.name}: the same {label.lower()} faces"), path)
        which = "smallest" if label == "Good" else "largest"
        caption = f"Faces with the {which} mean error over these runs, at the best epoch of each."
        pictures.append(Picture(path, f"{label} faces by run", caption))
    return pictures
