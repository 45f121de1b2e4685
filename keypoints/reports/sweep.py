"""Report of a sweep."""

import pandas as pd

from keypoints.config.quoting import shell_command
from keypoints.reports.compared import Compared, completed, face_tables, first_runs
from keypoints.reports.comparison_page import PageText, replaced_report, write_comparison
from keypoints.reports.factors import levels_of
from keypoints.reports.setting_results import measure_of
from keypoints.runs.status import command_of, own_options, read_status
from keypoints.runs.sweep_folder import SweepFolder


def report_sweep(sweep: SweepFolder) -> pd.DataFrame:
    """Write ``summary.csv``, ``settings.csv``, the figures and, last, ``report.html``.

    A cross-validation has ``folds.csv`` too.

    Args:
        sweep: folder of the sweep.

    Returns:
        The contents of ``summary.csv``, one row per run.

    Raises:
        DataError: if the folder holds no run; in this case nothing is written.
    """
    runs = {run.path.name: run for run in sweep.runs()}
    faces = face_tables(runs)
    table = completed(sweep.table(), faces, runs)
    measure, ranked_by = measure_of(table[table["status"] == "finished"]["monitor"].tolist())
    compared = Compared(sweep.name, table, runs, faces, measure)
    overrides = {name: list(read_status(run).overrides) for name, run in runs.items()}
    text = PageText(
        f"{len(compared.finished)} finished · {sweep.path.name}",
        ranked_by,
        {name: f"{name}/report.html" for name, run in runs.items() if run.report.is_file()},
        _command_of_sweep(sweep),
        [command_of(run) for run in runs.values()],
    )
    levels = levels_of({setting: overrides[name] for setting, name in first_runs(compared.settings).items()})
    with replaced_report(sweep) as new:
        write_comparison(compared, new, text, levels)
    return table


def _command_of_sweep(sweep: SweepFolder) -> str:
    """Return the command that began a sweep, to be pasted into a shell; empty if it left no record."""
    if not sweep.manifest.is_file():
        return ""
    return shell_command(["keypoints", "train", "-m", *own_options(sweep.runs()[0]), *sweep.asked_for()])
