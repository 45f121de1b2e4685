import math

import pytest
import torch
from torch import nn

from keypoints.callbacks import terminate_on_nan
from keypoints.callbacks.terminate_on_nan import FiniteLoss
from keypoints.commands import compose
from keypoints.errors import TrainingError
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from keypoints.tasks.base import Task, load_task
from tests.conftest import SMALL
from tests.working import train

STEPS = 6
"""Steps of an epoch: 24 faces in batches of 4."""


class Turning(nn.MSELoss):
    """Loss that is finite for a number of training steps, and then NaN or infinite."""

    def __init__(self, steps, becomes="nan"):
        super().__init__()
        self.left = steps
        self.becomes = float(becomes)

    def forward(self, predictions, targets):
        loss = super().forward(predictions, targets)
        if not predictions.requires_grad:
            return loss
        self.left -= 1
        return loss * self.becomes if self.left < 0 else loss


@pytest.fixture
def turning(made_up_imm, tmp_path):
    """Train until the loss becomes bad after so many steps; return the error and the run's folder."""

    def run(steps, becomes="nan"):
        loss = [f"loss._target_={__name__}.Turning", f"+loss.steps={steps}", f"+loss.becomes={becomes}"]
        folder = RunFolder(tmp_path / "run")
        cfg = compose("train", [*SMALL, f"data.root={made_up_imm}", f"output={folder.path}", *loss])
        with pytest.raises(TrainingError) as caught:
            train(cfg)
        return str(caught.value), folder

    return run


def names_of(folder, step):
    """Return the names of the faces in a step of the first two epochs."""
    from keypoints.instantiate import make_data

    data = make_data(folder.configuration())
    data.setup("fit")
    loader = data.train_dataloader()
    loader.sampler.set_epoch(step // STEPS)
    batch = list(loader)[step % STEPS]
    return ", ".join(data.dataset("train").faces[index].photo.path.name for index in batch.indices)


@pytest.mark.parametrize("becomes", ["nan", "inf"])
@pytest.mark.parametrize("every_step", [True, False], ids=["at once", "later, as on a GPU"])
def test_a_bad_loss_stops_the_training_with_a_hint(turning, monkeypatch, becomes, every_step):
    if not every_step:
        monkeypatch.setattr(terminate_on_nan, "_checks_each_step", lambda *_: False)
    message, folder = turning(STEPS + 2, becomes)
    assert (
        f"step {STEPS + 2} of epoch 1: the loss is {becomes} with {names_of(folder, STEPS + 2)}; " in message
    )
    assert "smaller optimizer.lr (here it was 0.001)" in message
    assert str(folder.last_checkpoint) in message
    status = read_status(folder)
    assert (status.state, status.error) == ("failed", message)
    for kept in (folder.best_checkpoint, folder.last_checkpoint):
        assert torch.load(kept, weights_only=True)["epoch"] == 0
        assert all(weight.isfinite().all() for weight in load_task(kept).state_dict().values())


def test_weights_made_bad_by_the_last_step_are_not_saved(turning, monkeypatch):
    monkeypatch.setattr(FiniteLoss, "on_train_batch_end", lambda *_: None)  # the step's loss passes
    message, folder = turning(2 * STEPS - 1)
    assert f"step {2 * STEPS - 1} of epoch 1: the validation loss is nan; " in message
    assert torch.load(folder.last_checkpoint, weights_only=True)["epoch"] == 0
    assert all(weight.isfinite().all() for weight in load_task(folder.best_checkpoint).state_dict().values())


def test_a_bad_first_epoch_leaves_no_checkpoint(turning):
    message, folder = turning(0)
    assert "step 0 of epoch 0" in message
    assert "no checkpoint is kept" in message
    assert not list(folder.path.rglob("*.ckpt"))


def test_only_some_faces_of_a_large_batch_are_named(turning, monkeypatch):
    monkeypatch.setattr(terminate_on_nan, "_NAMED", 1)
    message, folder = turning(0)
    assert f"{names_of(folder, 0).split(', ')[0]} and 3 more; " in message


def test_processes_stop_together_at_the_earliest_bad_step(monkeypatch):
    late, early = terminate_on_nan._Step(9, math.nan, [1]), terminate_on_nan._Step(7, math.inf, [2])
    said = []

    def gather(found, own):
        said.append(own)
        found[:] = [late, early, None]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    assert terminate_on_nan._first_of_all(None, 3) == early
    assert said == [None]


def test_a_skipped_batch_has_no_loss(made_up_imm, tmp_path, monkeypatch):
    """Lightning skips a batch whose training_step returns None."""
    before = Task.training_step
    monkeypatch.setattr(
        Task,
        "training_step",
        lambda task, batch, batch_idx: None if batch_idx == 1 else before(task, batch, batch_idx),
    )
    train(compose("train", [*SMALL, f"data.root={made_up_imm}", f"output={tmp_path / 'run'}"]))
    assert read_status(RunFolder(tmp_path / "run")).state == "finished"
