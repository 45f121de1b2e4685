import json
import os
import socket

import pytest

from keypoints.errors import DataError
from keypoints.sweeps import SweepFolder


def write_run(folder, **status):
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"status": "finished", "metrics": {}, **status}))


@pytest.fixture
def sweep(tmp_path):
    write_run(
        tmp_path / "lr-0.1--seed-1",
        job=1,
        metrics={"best/mse": 0.5, "best/epoch": 3.0, "best/variance_ratio": 0.01},
        seconds=2,
    )
    write_run(tmp_path / "lr-0.1--seed-0", job=0, status="failed", error="no")
    write_run(
        tmp_path / "lr-0.2--seed-0", job=2, status="running", host=socket.gethostname(), process=0x3FFFFFF0
    )
    write_run(
        tmp_path / "lr-0.2--seed-1", job=3, status="running", host=socket.gethostname(), process=os.getpid()
    )
    return SweepFolder(tmp_path)


def test_a_row_a_run_in_the_order_of_the_jobs(sweep):
    table = sweep.table()
    assert list(table["run"]) == ["lr-0.1--seed-0", "lr-0.1--seed-1", "lr-0.2--seed-0", "lr-0.2--seed-1"]
    assert list(table["setting"]) == ["lr-0.1", "lr-0.1", "lr-0.2", "lr-0.2"]
    assert table["best_mse"][1] == 0.5
    assert table["error"][0] == "no"
    assert list(table["note"]) == ["", "predicts the mean face", "", ""]


def test_a_run_whose_process_is_gone_was_interrupted(sweep):
    assert list(sweep.table()["status"]) == ["failed", "finished", "interrupted", "running"]
    assert list(sweep.table()["error"]) == ["no", "", "its process was killed", ""]


def test_a_folder_without_runs_says_so(tmp_path):
    with pytest.raises(DataError, match="holds no run yet"):
        SweepFolder(tmp_path).runs()
    with pytest.raises(DataError, match="is no sweep's folder"):
        SweepFolder(tmp_path).asked_for()


def test_seeds_alone_are_one_setting_each_by_name(tmp_path):
    write_run(tmp_path / "seed-0")
    assert list(SweepFolder(tmp_path).table()["setting"]) == ["seed-0"]


def test_titles_name_the_experiment_wherever_the_sweep_lies(tmp_path):
    for folder in (tmp_path / "nose_tip-learning_rate" / "now", tmp_path / "elsewhere" / "first"):
        write_run(folder / "lr-0.1")
        (folder / "lr-0.1" / "config.yaml").write_text("name: nose_tip")
    assert SweepFolder(tmp_path / "nose_tip-learning_rate" / "now").name == "nose_tip-learning_rate"
    assert SweepFolder(tmp_path / "elsewhere" / "first").name == "nose_tip, first"
