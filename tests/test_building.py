import pytest

from keypoints.building import make_data, make_task, make_trainer
from keypoints.configuration import compose
from keypoints.errors import ConfigError
from tests.conftest import SMALL


@pytest.fixture
def cfg(made_up_imm, tmp_path):
    return compose("train", [*SMALL, "augmentation=wild", f"data.root={made_up_imm}", f"output={tmp_path}"])


def test_a_configuration_becomes_data_task_and_trainer_that_fit_together(cfg):
    data = make_data(cfg)
    data.setup()
    task = make_task(cfg, data)
    batch = next(iter(data.train_dataloader()))
    assert task(batch.images).shape == batch.targets.shape
    assert make_trainer(cfg).max_epochs == 2


def test_a_resumed_runs_tensorboard_hides_what_came_after_its_checkpoint(cfg):
    loggers = make_trainer(cfg, purge_step=7).loggers
    assert [logger._kwargs["purge_step"] for logger in loggers if hasattr(logger, "_kwargs")] == [7]


def test_what_is_no_model_or_no_datamodule_is_refused(cfg):
    data = make_data(cfg)
    cfg.model = None
    with pytest.raises(ConfigError, match="model=convnet"):
        make_task(cfg, data)
    cfg.data = {"_target_": "torch.nn.ReLU"}
    with pytest.raises(ConfigError, match="data: "):
        make_data(cfg)
