"""New report of an existing run or sweep, made from the files in its folder."""

from pathlib import Path

from omegaconf import DictConfig

from keypoints.errors import DataError
from keypoints.files import locked
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.sweep_folder import SweepFolder


def report(cfg: DictConfig) -> Path:
    """Make the report of the run or sweep in ``cfg.folder`` again.

    Args:
        cfg: configuration of ``keypoints report``.

    Returns:
        The path of the page.

    Raises:
        DataError: if the folder is missing, holds neither a run nor a sweep, or another command is writing
            its report.
        CheckpointError: if the run's best checkpoint cannot be used; the old page is kept in this case.
    """
    folder = Path(cfg.folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    run, sweep = RunFolder(folder), SweepFolder(folder)
    if run.status_file.exists():
        from keypoints.reports.run import report_run

        with locked(run.report, beside=True):
            return report_run(run, trust=cfg.trust)
    if not sweep.manifest.exists() and not list(folder.glob("*/status.json")):
        raise DataError(f"{folder}: is neither a run nor a sweep; `keypoints train` writes them to outputs/")
    from keypoints.reports.sweep import report_sweep

    with locked(sweep.report, beside=True):
        report_sweep(sweep)
    return sweep.report
