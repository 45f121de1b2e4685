import pytest
import torch

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
