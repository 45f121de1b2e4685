import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from keypoints.config.overrides import all_values, first_of_sweep, named_by_data, varied_by_hand
from keypoints.config.quoting import is_given


def test_swept_keys_are_separated_from_constant_ones():
    typed = [
        "-m",
        "experiment=nose_tip",
        "seed=0,1",
        "model.net.kernel_sizes=[7,5],[5,3]",
        "output=a,b",
        "~logger",
        "x=[",
    ]
    assert varied_by_hand(typed) == (["seed", "model.net.kernel_sizes"], ["experiment", "output", "logger"])


@pytest.mark.parametrize(
    ("typed", "values"),
    [("3", [3]), ("0,null", [0, None]), ("range(4)", [0, 1, 2, 3]), ("interval(0,1)", []), ("glob(*)", [])],
)
def test_known_values_of_a_sweep_are_listed(typed, values):
    assert all_values(OverridesParser.create().parse_override(f"data.fold={typed}")) == values


def test_the_first_run_of_a_sweep_has_the_first_values():
    swept = [
        "seed=0",
        "optimizer.lr=1e-2,1e-3",
        "data.seed=range(3,5)",
        "data.width=interval(40,80)",
        "loss=glob(*)",
    ]
    assert first_of_sweep(swept) == ["seed=0", "optimizer.lr=0.01", "data.seed=3", "data.width=40.0"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (["data=udacity"], "udacity"),
        (["data=udacity", "data.folds=5"], "udacity"),
        (["data=udacity", "name=mine"], "mine"),
        (["data=udacity", "experiment=full_face"], None),
        (["data=udacity,wflw"], None),
        (["data=null"], None),
        (["data.folds=5"], None),
    ],
)
def test_data_name_a_run_without_a_name(given, name):
    assert is_given(named_by_data(given), "name") == name
    assert named_by_data(given)[: len(given)] == given
