"""The report of a run or a sweep, made again from what lies in its folder."""

from pathlib import Path

from omegaconf import DictConfig

from keypoints.errors import DataError
from keypoints.files import alone
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.sweep_folder import SweepFolder


def report(cfg: DictConfig) -> Path:
    """Make the report of ``cfg.folder``; gives the page.

    Raises:
        DataError: if there is no such folder, it holds neither a run nor a sweep, or another command writes
            its report.
        CheckpointError: if the run's best checkpoint cannot be used; the old page stays.
    """
    folder = Path(cfg.folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    run, sweep = RunFolder(folder), SweepFolder(folder)
    if run.status_file.exists():
        from keypoints.reports.run import report_run

        with alone(run.report, beside=True):
            return report_run(run, trust=cfg.trust)
    if not sweep.manifest.exists() and not list(folder.glob("*/status.json")):
        raise DataError(
            f"{folder}: is neither a run nor a sweep; `keypoints train` makes them under outputs/"
        )
    from keypoints.reports.sweep import report_sweep

    with alone(sweep.report, beside=True):
        report_sweep(sweep)
    return sweep.report
