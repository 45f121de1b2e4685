import json

import pytest

from keypoints.commands import compose
from keypoints.config.quoting import quote_paths
from keypoints.config.run_names import check_name, run_name, sweep_name
from keypoints.errors import ConfigError


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ("optimizer.lr=0.01", "lr-0.01"),
        ("optimizer.lr=1e-05;seed=3", "lr-1e-05--seed-3"),
        ("model.net.kernel_sizes=[10,7,5]", "kernel-sizes-10-7-5"),
        ("data.width=80;model.width=64", "data.width-80--model.width-64"),
        ("paths.data='/a b, ø'", "data-a-b"),
        ("", "7"),
        ("data.train='/far/away/lists/é;x=1.csv';seed=1", "train-lists-e-x-1.csv--seed-1"),
        ("start_from=null", "start-from-null"),
    ],
)
def test_a_jobs_folder_is_named_after_its_overrides(overrides, name):
    assert run_name(overrides, 7) == name


def test_names_of_job_folders_are_short_enough_for_file_systems():
    names = {run_name(f"data.scheme={'a' * 300}{last}", 0) for last in "bc"}
    assert len(names) == 2
    assert all(len(name) <= 200 for name in names)


def test_a_folder_is_reused_only_for_the_same_settings(tmp_path):
    first, second = "optimizer.lr=0.0004430375245", "optimizer.lr=0.0004430475245"
    for overrides, name in ((first, "lr-0.000443"), (second, "lr-0.000443--2")):
        assert run_name(overrides, 0, str(tmp_path)) == name
        (tmp_path / name).mkdir()
        (tmp_path / name / "status.json").write_text(json.dumps({"overrides": ["seed=0", overrides]}))
        assert run_name(overrides, 5, str(tmp_path)) == name
    (tmp_path / "train-a.csv").mkdir()
    (tmp_path / "train-a.csv" / "status.json").write_text('{"overrides": ["data.train=\'a.csv\'"]}')
    assert run_name('data.train="a.csv"', 0, str(tmp_path)) == "train-a.csv"


def test_a_sweeps_folder_is_named_after_experiment_and_sweep():
    assert sweep_name("nose_tip", "learning_rate") == "nose_tip-learning_rate"
    assert sweep_name("nose_tip", None) == "nose_tip"


@pytest.mark.parametrize("name", ["my run: é", 'it\'s "q" #?%,<b>', "2024", "x" * 200])
def test_any_name_that_a_folder_can_have_is_allowed(name):
    check_name(name)
    (quoted,) = quote_paths([f"name={name}"])
    assert compose("train", [quoted]).name == name


@pytest.mark.parametrize(
    "name", ["a/b", "a\\b", "..", " ", "", "a\n", " a", "x" * 201, "é" * 101, 2024, None]
)
def test_a_name_that_a_folder_cannot_have_is_refused(name):
    with pytest.raises(ConfigError, match=r"^name"):
        check_name(name)
