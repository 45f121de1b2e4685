import gc

import pytest
import torch

from keypoints.errors import TrainingError
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from keypoints.tasks.base import Task
from keypoints.training.fit import garbage_frozen
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


def test_other_errors_of_a_step_keep_their_type(configured, monkeypatch):
    def step(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Task, "training_step", step)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(configured())


def test_existing_objects_are_excluded_from_garbage_collection():
    before = gc.get_freeze_count()
    with garbage_frozen():
        assert gc.get_freeze_count() > before + 10_000
    assert gc.get_freeze_count() == 0


def test_overfit_batches_has_the_same_faces_in_each_epoch(configured, tmp_path, monkeypatch):
    seen = []
    before = Task.training_step

    def training_step(self, batch, batch_idx):
        seen.append(batch.indices.tolist())
        return before(self, batch, batch_idx)

    monkeypatch.setattr(Task, "training_step", training_step)
    train(configured("+trainer.overfit_batches=1", "trainer.max_epochs=3", "data.batch_size=4"))
    assert seen == [[0, 1, 2, 3]] * 3


@pytest.mark.parametrize(
    ("debug", "epochs", "steps"), [("fast", 1, 1), ("overfit", 4, 4), ("limit", 2, 8), ("profile", 2, 12)]
)
def test_each_trial_of_a_training_runs(configured, tmp_path, monkeypatch, caplog, debug, epochs, steps):
    caplog.set_level("INFO", "keypoints")
    seen = []
    before = Task.training_step

    def training_step(self, batch, batch_idx):
        seen.append(self.trainer.current_epoch)
        return before(self, batch, batch_idx)

    monkeypatch.setattr(Task, "training_step", training_step)
    train(configured(f"debug={debug}", "trainer.max_epochs=4" if debug == "overfit" else "seed=0"))
    assert (len(set(seen)), len(seen)) == (epochs, steps)
    table = tmp_path / "run" / "fit-profile.txt"
    assert table.is_file() == (f"profile: {table}" in caplog.text) == (debug == "profile")
    assert "fit-None" not in caplog.text
    assert debug != "profile" or "run_training_batch" in table.read_text()
