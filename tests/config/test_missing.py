import pytest

from keypoints.config.compose import preview
from keypoints.config.missing import missing


@pytest.fixture
def own(tmp_path):
    """Folder for ``--config-dir`` with an experiment that lacks two values: a new one and the package's."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nname: mine\ncount: ??? # how many\noptimizer:\n  lr: ???\n"
    )
    return tmp_path


def test_a_missing_value_is_reported_with_its_description(own):
    cfg = preview("train", ["--config-dir", str(own)], ["experiment=mine"])
    told = "count has no value (???): give count=<value>, how many"
    assert missing(cfg, own) == (f"optimizer.lr has no value (???): give optimizer.lr=<value>; {told}")
    cfg = preview("train", [f"--config-dir={own}"], ["experiment=mine", "count=1", "optimizer.lr=1e-2,1e-3"])
    assert missing(cfg, own) is None


def test_many_missing_values_are_named_before_their_descriptions():
    said = missing(preview("predict", [], []), config="predict")
    assert said == (
        "checkpoint, input, output have no value (???): give checkpoint=<path> input=<path> output=<path>; "
        "--help describes them"
    )


def test_fine_tuning_requires_a_checkpoint_to_start_from():
    cfg = preview("train", [], ["experiment=ibug300w_fine"])
    assert missing(cfg).startswith("start_from has no value (???): give start_from=<path>, a run's folder or")
    cfg = preview("train", [], ["experiment=ibug300w_fine", "start_from='a','b'"])
    assert missing(cfg) is None


def test_a_value_that_a_sweep_gives_is_not_missing(own):
    (own / "sweep").mkdir()
    (own / "sweep" / "counts.yaml").write_text(
        "# @package _global_\nhydra: {sweeper: {params: {count: '1,2', optimizer.lr: '1e-3,1e-4'}}}\n"
    )
    cfg = preview("train", ["--config-dir", str(own)], ["experiment=mine", "sweep=counts"])
    assert missing(cfg) is None
    assert cfg.count == 1
