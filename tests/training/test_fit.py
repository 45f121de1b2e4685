import gc

import pytest
import torch

from keypoints.errors import TrainingError
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from keypoints.tasks.base import Task
from keypoints.training.fit import garbage_set_aside
from tests.working import train


@pytest.mark.parametrize(
    ("error", "batch_size", "says"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
            6,
            "try data.batch_size=3 ",
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 6, "try data.batch_size=3 instead of 6"),
        (MemoryError(), 7, r"out of memory \(MemoryError\); try data.batch_size=3 instead of 7"),
        (torch.OutOfMemoryError("CUDA out of memory."), 1, "is 1 already: try a smaller data.width"),
    ],
    ids=["gpu", "cpu", "numpy", "one face"],
)
def test_out_of_memory_says_which_batch_size_to_try(
    configured, tmp_path, monkeypatch, error, batch_size, says
):
    def step(*_):
        raise error

    monkeypatch.setattr(Task, "training_step", step)
    with pytest.raises(TrainingError, match=says) as caught:
        train(configured(f"data.batch_size={batch_size}"))
    status = read_status(RunFolder(tmp_path / "run"))
    assert (status.state, status.error) == ("failed", str(caught.value))


def test_another_fault_of_a_step_keeps_its_own_type(configured, monkeypatch):
    def step(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Task, "training_step", step)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(configured())


def test_what_was_there_before_a_training_is_not_searched_for_garbage():
    before = gc.get_freeze_count()
    with garbage_set_aside():
        assert gc.get_freeze_count() > before + 10_000
    assert gc.get_freeze_count() == 0


def test_the_faces_of_overfit_batches_stay_the_same(configured, tmp_path, monkeypatch):
    met = []
    before = Task.training_step

    def training_step(self, batch, batch_idx):
        met.append(batch.indices.tolist())
        return before(self, batch, batch_idx)

    monkeypatch.setattr(Task, "training_step", training_step)
    train(configured("+trainer.overfit_batches=1", "trainer.max_epochs=3", "data.batch_size=4"))
    assert met == [[0, 1, 2, 3]] * 3
