import json
import os
import socket

import pytest

from keypoints.errors import DataError
from keypoints.runs.sweep_folder import ALL_SEEDS, SweepFolder, differences, same_overrides, split_fold


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


def test_the_table_has_one_row_per_run_in_job_order(sweep):
    table = sweep.table()
    assert list(table["run"]) == ["lr-0.1--seed-0", "lr-0.1--seed-1", "lr-0.2--seed-0", "lr-0.2--seed-1"]
    assert list(table["setting"]) == ["lr-0.1", "lr-0.1", "lr-0.2", "lr-0.2"]
    assert table["best_mse"][1] == 0.5
    assert table["error"][0] == "no"
    assert list(table["note"]) == ["", "predicts one face", "", ""]


def test_a_run_without_a_process_counts_as_interrupted(sweep):
    assert list(sweep.table()["status"]) == ["failed", "finished", "interrupted", "running"]
    assert list(sweep.table()["error"]) == ["no", "", "its process was killed", ""]


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no run yet"):
        SweepFolder(tmp_path).runs()
    with pytest.raises(DataError, match="is no sweep's folder"):
        SweepFolder(tmp_path).asked_for()


def test_runs_that_differ_only_in_seed_are_one_setting(tmp_path):
    for name in ("seed-0", "seed-1"):
        write_run(tmp_path / name)
    assert list(SweepFolder(tmp_path).table()["setting"]) == [ALL_SEEDS] * 2


def test_runs_that_differ_in_fold_and_seed_are_one_setting(tmp_path):
    for name in ("fold-0--lr-0.1--seed-0", "fold-1--lr-0.1--seed-1", "fold-0", "folds-5--lr-0.1"):
        write_run(tmp_path / name)
    table = SweepFolder(tmp_path).table().set_index("run")
    assert dict(table["setting"]) == {
        "fold-0--lr-0.1--seed-0": "lr-0.1",
        "fold-1--lr-0.1--seed-1": "lr-0.1",
        "fold-0": "all folds",
        "folds-5--lr-0.1": "folds-5--lr-0.1",
    }


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("fold-12--lr-0.1", ("lr-0.1", 12)),
        ("lr-0.1--fold-0--seed-1", ("lr-0.1--seed-1", 0)),
        ("fold-0", ("all folds", 0)),
        ("fold-null", ("fold-null", None)),
    ],
)
def test_the_fold_is_split_off_a_runs_name(name, parts):
    assert split_fold(name) == parts


def test_titles_name_the_experiment_in_any_folder(tmp_path):
    for name in ("nose_tip-learning_rate/now", "elsewhere/first", "elsewhere/nose_tip-grid"):
        folder = tmp_path / name
        write_run(folder / "lr-0.1")
        (folder / "lr-0.1" / "config.yaml").write_text("name: nose_tip")
    assert SweepFolder(tmp_path / "nose_tip-learning_rate" / "now").name == "nose_tip-learning_rate"
    assert SweepFolder(tmp_path / "elsewhere" / "first").name == "nose_tip, first"
    assert SweepFolder(tmp_path / "elsewhere" / "nose_tip-grid").name == "nose_tip-grid"


def write_manifest(folder, *overrides, **params):
    """Write the record of a sweep by Hydra's own sweeper."""
    excluded = [each.partition("=")[0] for each in overrides if "," not in each]
    hydra = {
        "overrides": {"task": list(overrides), "hydra": []},
        "sweeper": {"_target_": "hydra.BasicSweeper", "params": params or None},
        "job": {"config": {"override_dirname": {"exclude_keys": excluded}}},
    }
    (folder / "sweep.yaml").write_text(json.dumps({"hydra": hydra}))


@pytest.mark.parametrize(
    ("overrides", "params", "runs"),
    [
        (["seed=0", "optimizer.lr=1e-3,0.001,1e-2"], {}, ["lr-0.001", "lr-0.01"]),
        (["data.train='a/b','a-b'"], {}, ["train-a-b", "train-a-b--2"]),
        (["seed=1,2"], {"seed": "3,4"}, ["seed-1", "seed-2"]),
    ],
)
def test_planned_runs_have_the_names_that_hydra_gives(tmp_path, overrides, params, runs):
    write_manifest(tmp_path, *overrides, **params)
    assert SweepFolder(tmp_path).planned() == runs


def test_order_and_quotes_of_overrides_do_not_matter():
    assert same_overrides(["a=1", "b='x'"], ['b="x"', "a=1"])
    assert not same_overrides(["a=1"], ["a=1", "b=1"])


def test_each_value_that_differs_between_runs_has_a_column(tmp_path):
    common = {"output": "run", "seed": 0, "trainer": {"devices": 1}}
    runs = {
        "first": {**common, "augmentation": {}, "start_from": None, "flags": [1, True]},
        "second": {**common, "augmentation": {"p": 0.5, "q": 1}, "start_from": "a", "flags": [1, False]},
    }
    for number, (name, config) in enumerate(runs.items()):
        write_run(tmp_path / name, job=number, overrides=["augmentation=none" if number == 0 else "seed=0"])
        (tmp_path / name / "config.yaml").write_text(json.dumps(config))
    table = SweepFolder(tmp_path).table()
    assert list(table.columns[3:8]) == ["seed", "augmentation", "start_from", "flags", "best_mse"]
    assert table["augmentation"].tolist() == ["none", "p=0.5, q=1"]
    assert table["start_from"].tolist() == ["null", "a"]
    assert table["flags"].tolist() == ["[1, true]", "[1, false]"]


def test_values_that_follow_from_the_seed_have_no_column():
    values = [{"seed": seed, "data.seed": seed, "lr": 1} for seed in (0, 1)]
    assert differences(values, [{}, {}]) == [{"seed": 0}, {"seed": 1}]
