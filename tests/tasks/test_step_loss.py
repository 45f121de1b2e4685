import pytest
import torch

from keypoints.datamodules.imm import IMMDataModule
from keypoints.runs.metrics_table import MetricsTable
from keypoints.tasks.regression import RegressionTask
from keypoints.tasks.step_loss import STEP_LOSS
from tests.tasks.test_base import CROP, NET, NOSE, trainer_for


@pytest.fixture
def trained(made_up_imm, tmp_path):
    """Return a function that trains epochs of 6 batches; it returns losses of steps and of all batches."""

    def train(**settings):
        torch.manual_seed(0)
        task = RegressionTask(NOSE, CROP, net=NET)
        batches, loss_of = [], task.training_loss
        task.training_loss = lambda batch: batches.append(loss_of(batch)) or batches[-1]
        table = MetricsTable()
        trainer = trainer_for(tmp_path, logger=table, **settings)
        data = IMMDataModule(made_up_imm, landmarks="nose_tip", width=40, height=30, batch_size=4)
        trainer.fit(task, datamodule=data)
        rows = [row for row in table.rows if STEP_LOSS in row]
        assert all("epoch" not in row for row in rows)
        return {row["step"]: row[STEP_LOSS] for row in rows}, [each.item() for each in batches]

    return train


def test_every_nth_step_logs_its_own_loss(trained):
    logged, batches = trained(max_epochs=2, log_every_n_steps=5)
    assert logged == {4: batches[4], 9: batches[9]}


def test_a_step_of_several_batches_logs_their_mean(trained):
    logged, batches = trained(max_epochs=2, log_every_n_steps=1, accumulate_grad_batches=4)
    assert sorted(logged) == [0, 1, 2, 3]  # each epoch has a step of 4 batches and one of 2
    assert logged[0] == pytest.approx(sum(batches[:4]) / 4)
    assert logged[1] == pytest.approx(sum(batches[4:6]) / 2)
    assert logged[3] == pytest.approx(sum(batches[10:]) / 2)


def test_no_step_is_logged_if_the_interval_is_zero(trained):
    assert trained(log_every_n_steps=0)[0] == {}
