import pytest

from keypoints.errors import CheckpointError
from keypoints.runs.checkpoint_files import find_checkpoint, other_checkpoints
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import record


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def test_the_error_for_a_missing_checkpoint_names_existing_ones(run, tmp_path):
    run.path.mkdir()
    with pytest.raises(CheckpointError, match="is it a run's folder"):
        find_checkpoint(str(run.path), "best")
    with record(run, config=f"callbacks: {{mine: {{dirpath: {tmp_path / 'models'}}}, none: null}}"):
        pass
    with pytest.raises(CheckpointError, match="settings keep no checkpoint"):
        find_checkpoint(str(run.path), "best")
    run.checkpoints.mkdir()
    run.last_checkpoint.touch()
    with pytest.raises(CheckpointError, match=rf"only its last epoch: name {run.last_checkpoint}"):
        find_checkpoint(str(run.path), "best")
    (tmp_path / "models").mkdir()
    others = [run.checkpoints / "mine.ckpt", tmp_path / "models" / "best.ckpt"]
    for other in others:
        other.touch()
    assert other_checkpoints(run) == sorted(others)
    with pytest.raises(CheckpointError, match=rf"that it wrote: .*{others[0]}"):
        find_checkpoint(str(run.path), "best")
