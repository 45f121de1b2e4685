import pytest

from keypoints.errors import DataError
from keypoints.runs.history import read_history
from keypoints.runs.run_folder import RunFolder


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def test_the_history_has_one_row_per_epoch(run):
    run.path.mkdir()
    run.metrics.write_text("epoch,loss/train,val/mse,step\n,,,0\n0,,0.5,9\n0,0.7,,9\n1,,0.25,19\n1,0.3,,19\n")
    history = read_history(run)
    assert list(history.index) == [0, 1]
    assert list(history["val/mse"]) == [0.5, 0.25]
    assert list(history["loss/train"]) == [0.7, 0.3]


@pytest.mark.parametrize("contents", [None, "", "step\n1\n"])
def test_a_run_without_history_is_refused(run, contents):
    run.path.mkdir()
    if contents is not None:
        run.metrics.write_text(contents)
    with pytest.raises(DataError, match=r"metrics\.csv"):
        read_history(run)
