"""Comparison of any finished runs and evaluations."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from keypoints.errors import DataError, one_line, some_of
from keypoints.formatting import counted
from keypoints.inference.ready_models import find_model
from keypoints.mean_face import collapse_note
from keypoints.reports.compared import Compared, completed, face_tables, first_runs
from keypoints.reports.comparison_page import PageText, replaced_report, write_comparison
from keypoints.reports.factors import levels_of
from keypoints.reports.setting_results import MEASURES, measure_of, setting_table
from keypoints.runs.run_folder import RunFolder, is_sweep
from keypoints.runs.status import command_of, read_status
from keypoints.runs.sweep_folder import SweepFolder, run_rows, setting_of, settings_but_seed
from keypoints.structured_files import read_json

log = logging.getLogger(__name__)

_EVALUATION = "metrics.json"
_ROUNDS, _SECONDS = 3, 0.5
"""Rounds, and seconds of each, in which the time of a face is measured."""


def compare_folders(
    folders: Sequence[Path],
    output: Path,
    *,
    reference: str | None = None,
    measure: str | None = None,
    which: str | None = None,
    trust: str | Sequence[str] | None = None,
    command: str = "",
) -> pd.DataFrame:
    """Compare the runs and evaluations in folders, and write tables, figures and a page.

    Args:
        folders: folders of finished runs, of sweeps, or of evaluations.
        output: folder for the results.
        reference: setting that the others are compared with; ``None`` for the best.
        measure: error to compare, see :data:`keypoints.evaluation.face_errors.MEASURES`; ``None`` for the
            metric that chose the checkpoints.
        which: ``"best"`` or ``"last"`` checkpoint, whose time for a face is measured; ``None`` for no times.
        trust: packages of the user whose classes a checkpoint may name.
        command: command that made the comparison, for the page.

    Returns:
        One row per setting, with the verdict.

    Raises:
        DataError: if a folder holds no finished run and no evaluation, the reference is none of the settings,
            or the measure is unknown for a run.
        CheckpointError: if a model whose time is measured cannot be used.
    """
    named = _named(list(_expanded(folders)))
    found = _without_repetitions(named)
    repeated = f" · {len(named) - len(found)} repeated and left out" if len(found) < len(named) else ""
    table = _table(found)
    if which is not None:
        table["ms_per_face"] = [_milliseconds(run, which, trust) for run in found.values()]
    faces = face_tables(found)
    table = completed(table, faces, found)
    chosen, ranked_by = measure_of(table["monitor"].tolist())
    if measure is not None:
        chosen = next(each for each in MEASURES.values() if each.name == measure)
        ranked_by = f"Ranked by {chosen.title}, as asked for."
    if chosen.column not in table or table[chosen.column].isna().any():
        lacking = (
            table["run"][table[chosen.column].isna()].iloc[0] if chosen.column in table else table["run"][0]
        )
        raise DataError(f"{found[lacking].path}: has no {chosen.title}; compare another measure: measure=mse")
    compared = Compared("comparison", table, found, faces, chosen, reference)
    runs = {name: run for name, run in found.items() if run.status_file.is_file()}
    overrides = {name: list(read_status(run).overrides) for name, run in runs.items()}
    first = first_runs(compared.settings)
    text = PageText(
        f"{counted(len(table), 'run')} of {counted(len(compared.settings), 'setting')}{repeated}",
        ranked_by,
        {name: _address(run.report, output) for name, run in found.items() if run.report.is_file()},
        command,
        [command_of(run) for run in runs.values()],
    )
    known = set(first.values()) <= overrides.keys()
    levels = levels_of({setting: overrides[name] for setting, name in first.items()}) if known else {}
    with replaced_report(SweepFolder(output)) as new:
        write_comparison(compared, new, text, levels)
    return setting_table(compared.settings, compared.verdict)


def _address(page: Path, output: Path) -> str:
    """Return the address of a page, relative to the folder of the comparison's page if it can be."""
    try:
        return Path(os.path.relpath(page, output)).as_posix()
    except ValueError:  # on another drive
        return page.resolve().as_uri()


def _expanded(folders: Sequence[Path]) -> Iterator[RunFolder]:
    """Yield the runs and evaluations in folders; of a sweep its finished runs.

    Raises:
        DataError: if a folder holds none.
    """
    for folder in folders:
        if is_sweep(folder):
            finished = [run for run in SweepFolder(folder).runs() if read_status(run).state == "finished"]
            if not finished:
                raise DataError(f"{folder}: is a sweep without a finished run")
            yield from finished
        elif (folder / "status.json").is_file():
            if (state := read_status(RunFolder(folder)).state) != "finished":
                raise DataError(
                    f"{folder}: is a run that is not finished ({state}); finish it, or leave it out"
                )
            yield RunFolder(folder)
        elif (folder / _EVALUATION).is_file():
            yield RunFolder(folder)
        else:
            raise DataError(
                f"{folder}: is no folder of a run, of a sweep or of an evaluation (no status.json, no "
                f"{_EVALUATION})"
            )


def _named(runs: Sequence[RunFolder]) -> dict[str, RunFolder]:
    """Return the runs by names that tell them apart: the different part of their paths.

    Raises:
        DataError: if a folder is given twice, or there is only one.
    """
    paths = [run.path.resolve() for run in runs]
    if twice := [path for place, path in enumerate(paths) if path in paths[:place]]:
        raise DataError(f"{twice[0]}: is given twice")
    if len(paths) < 2:
        raise DataError(f"{runs[0].path}: is the only run; name two or more")
    shared = os.path.commonpath([path.parent for path in paths])
    return {"--".join(path.relative_to(shared).parts): run for path, run in zip(paths, runs, strict=True)}


def _without_repetitions(runs: Mapping[str, RunFolder]) -> dict[str, RunFolder]:
    """Return the runs without those that were trained as another one was: they are no further seeds.

    Raises:
        DataError: if there is only one run left.
    """
    first: dict[Any, str] = {}
    repeated: dict[str, str] = {}
    for name, run in runs.items():
        values = settings_but_seed(run), run.setting("seed"), run.setting("data.fold")
        other = first.setdefault(values if run.config.is_file() else name, name)
        if other != name:
            repeated[name] = other
    if len(first) < 2:
        name, other = next(iter(repeated.items()))
        raise DataError(
            f"{runs[name].path}: has the settings and the seed of {runs[other].path}; name runs that differ"
        )
    if repeated:
        pairs = [f"{name} ({other})" for name, other in repeated.items()]
        log.warning("left out, because another run has the same settings and seed: %s", some_of(pairs, 3))
    return {name: runs[name] for name in first.values()}


def _table(runs: Mapping[str, RunFolder]) -> pd.DataFrame:
    """Return one row per run; runs with the same configuration but for the seed have the same setting."""
    trained = {name: run for name, run in runs.items() if run.status_file.is_file()}
    rows = dict(zip(trained, run_rows(list(trained.values())), strict=True))
    settings: dict[Any, str] = {}
    listed = []
    for name, run in runs.items():
        row = rows.get(name) or _evaluation_row(run)
        setting = setting_of(name)
        same = settings_but_seed(run) if run.config.is_file() else setting
        while same not in settings and setting in settings.values():
            setting += " (other)"
        row |= {"run": name, "setting": settings.setdefault(same, setting)}
        listed.append(row)
    return pd.DataFrame(listed)


def _evaluation_row(folder: RunFolder) -> dict[str, Any]:
    """Return the row of an evaluation.

    Raises:
        DataError: if its metrics cannot be read.
    """
    path = folder.path / _EVALUATION
    values = read_json(path)
    metrics, constant = values.get("metrics"), values.get("constant")
    if not isinstance(metrics, dict) or not all(
        value is None or isinstance(value, int | float) for value in metrics.values()
    ):
        raise DataError(f"{path}: is no result of an evaluation (no metrics); evaluate again")
    baseline = constant.get("mse") if isinstance(constant, dict) else None
    ratio, mse = metrics.get("variance_ratio"), metrics.get("mse")
    return {
        "overrides": "",
        "seed": folder.path.as_posix(),
        "best_mse": mse,
        "best_epoch": None,
        "last_mse": None,
        "nme": metrics.get("nme"),
        "mae_px": metrics.get("mae_px"),
        "variance_ratio": ratio,
        "constant_mse": baseline,
        "monitor": "val/nme",
        "monitored": metrics.get("nme"),
        "seconds": None,
        "status": "finished",
        "note": collapse_note(ratio, mse, baseline),
        "error": "",
    }


def _milliseconds(run: RunFolder, which: str, trust: str | Sequence[str] | None) -> float:
    """Return the median time that a model takes for a single face in memory, in milliseconds."""
    from keypoints.benchmark.prediction_speed import measure_prediction
    from keypoints.inference.predictor import Predictor

    model = run.path
    if not run.status_file.is_file():
        named = read_json(run.path / _EVALUATION).get("checkpoint")
        if not isinstance(named, str) or not Path(named).exists():
            raise DataError(f"{run.path}: its model {one_line(str(named))} is not there; leave out time=true")
        model = Path(named)
    path, _ = find_model(str(model), which)
    log.info("measuring the time of %s", path)
    speed = measure_prediction(Predictor(path, refine=False, trust=trust), run.path.name, _ROUNDS, _SECONDS)
    return speed.wall_ms["1"].median
