import pytest
import torch

from keypoints.building import make_data, make_task, make_trainer
from keypoints.configuration import compose, conf_dir
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


def test_callbacks_are_called_at_each_step_only_if_they_do_something_at_it(cfg):
    hooks = {type(each).__name__: each for each in make_trainer(cfg).callbacks}
    assert callable(hooks["FiniteLoss"].on_train_batch_end)
    assert hooks["FiniteLoss"].on_before_backward is None
    assert hooks["SeedEachEpoch"].on_train_batch_end is None
    assert callable(hooks["SeedEachEpoch"].on_train_epoch_start)


def test_a_hook_that_was_put_on_a_callback_itself_is_called(cfg):
    hook = {"_target_": "hydra.utils.get_method", "path": "builtins.print"}
    cfg.callbacks = {
        "mine": {"_target_": "pytorch_lightning.callbacks.LambdaCallback", "on_train_batch_end": hook}
    }
    mine = make_trainer(cfg).callbacks[0]
    assert mine.on_train_batch_end is print
    assert mine.on_before_backward is None


@pytest.mark.parametrize(
    "experiment", sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))
)
def test_any_model_can_take_the_place_of_an_experiments_own(experiment):
    for model in sorted(path.stem for path in (conf_dir() / "model").glob("*.yaml")):
        cfg = compose(
            "train", [f"experiment={experiment}", f"model={model}", "data.width=160", "data.height=160"]
        )
        data = make_data(cfg)
        images = torch.zeros(2, data.crop.channels, data.crop.height, data.crop.width)
        assert make_task(cfg, data)(images).shape == (2, len(data.scheme), 2)
