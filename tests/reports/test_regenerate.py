import shutil

import pytest
from omegaconf import OmegaConf

from keypoints.errors import DataError
from keypoints.reports.regenerate import report


def report_of(folder):
    return report(OmegaConf.create({"folder": str(folder), "trust": None}))


def test_a_run_and_a_sweep_get_their_own_reports(finished_run, finished_sweep, tmp_path):
    for folder, title in ((finished_run, "Loss curves"), (finished_sweep, "Validation curves")):
        copy = shutil.copytree(folder, tmp_path / folder.parent.name / folder.name)
        assert title in report_of(copy).read_text()


def test_a_folder_of_neither_run_nor_sweep_is_refused(tmp_path):
    with pytest.raises(DataError, match="neither a run nor a sweep"):
        report_of(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        report_of(tmp_path / "nowhere")
