import pytest
import torch

from keypoints.components import configure
from keypoints.data.dataset import full_batch
from keypoints.datamodules.imm import IMMDataModule
from keypoints.tasks.epoch_mean import EpochMean
from keypoints.tasks.regression import RegressionTask
from tests.tasks.test_base import CROP, NET, NOSE, trainer_for


def test_the_mean_is_over_faces_not_steps():
    mean = EpochMean()
    assert not mean
    mean.add(torch.tensor(1.0, requires_grad=True), 3)
    mean.add(torch.tensor(5.0), 1)
    assert mean
    assert mean.faces == 4
    assert mean.compute() == 2.0
    assert not mean.compute().requires_grad
    mean.reset()
    assert not mean


def trained(folder, data, **attributes):
    """Train for three epochs of unequal batches; return the losses logged and the calls of ``log``."""
    torch.manual_seed(0)
    task = RegressionTask(NOSE, CROP, net=NET)
    calls, log = [], task.log
    task.log = lambda name, *values, **named: (calls.append(name), log(name, *values, **named))
    for name, value in attributes.items():
        setattr(task, name, value)
    trainer = trainer_for(folder, max_epochs=3)
    module = IMMDataModule(data, landmarks="nose_tip", width=40, height=30, batch_size=5)
    trainer.fit(task, datamodule=module)
    return float(trainer.callback_metrics["loss/train"]), calls.count("loss/train")


def test_lightning_takes_the_same_mean_where_it_is_asked_to(made_up_imm, tmp_path):
    """Fails when Lightning changes how it averages over an epoch."""
    own, epochs = trained(tmp_path / "own", made_up_imm)
    lightnings, steps = trained(tmp_path / "lightning", made_up_imm, logs_each_step=True)
    assert own == pytest.approx(lightnings, rel=1e-6)
    assert epochs == 3
    assert steps > 3


def test_the_mean_is_over_labelled_points():
    mean = EpochMean()
    mean.add(torch.tensor(1.0), 4, torch.tensor(3.0))
    mean.add(torch.tensor(5.0), 4, torch.tensor(1.0))
    mean.add(torch.tensor(0.0), 4, torch.tensor(0.0))
    assert mean.faces == 12
    assert mean.compute() == 2.0


@pytest.mark.parametrize("logs_each_step", [False, True])
def test_logged_losses_are_means_over_labelled_points(made_up_imm, tmp_path, monkeypatch, logs_each_step):
    """The weights stay the same, so each mean is the loss of all faces in one batch."""
    task = RegressionTask(NOSE, CROP, net=NET, optimizer=configure(torch.optim.SGD, lr=0.0))
    task.logs_each_step = logs_each_step
    data = IMMDataModule(made_up_imm, landmarks="nose_tip", width=40, height=30, batch_size=1)
    for split in ("train", "val"):
        for face in data.splits[split][1::3]:
            face.landmarks()[:] = torch.nan
    monkeypatch.setattr(data, "val_dataloader", lambda: data._loader("val", 1, shuffle=False))
    trainer = trainer_for(tmp_path)
    trainer.fit(task, datamodule=data)
    for split in ("train", "val"):
        expected = task.compute_loss(full_batch(data.dataset(split)))[0]
        assert float(trainer.callback_metrics[f"loss/{split}"]) == pytest.approx(expected.item(), rel=1e-5)
