import pytest
import torch
from torch import nn

from keypoints.components import configure, trusting
from keypoints.errors import CheckpointError, ConfigError
from keypoints.inference.predictor import Predictor
from keypoints.schemes import IBUG68
from keypoints.tasks.base import load_task
from keypoints.tasks.heatmap import HeatmapTask
from keypoints.tasks.regression import RegressionTask
from keypoints.tasks.trusted_loss import build_loss, loss_name, untrusted_losses_left_out
from tests.conftest import BOX_CROP, save_task


class Far(nn.Module):
    """Loss of a package that is not trusted."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(3))

    def forward(self, predictions, targets):
        return (predictions - targets).abs().mean()


@pytest.fixture
def with_far_loss(tmp_path):
    from keypoints.schemes import IBUG68

    with trusting("tests"):
        task = RegressionTask(IBUG68, BOX_CROP, loss=configure(Far))
    return save_task(tmp_path / "far.ckpt", task)


def test_an_untrusted_loss_does_not_prevent_prediction(with_far_loss):
    task = load_task(with_far_loss)
    assert task.loss_words[0] == "Far"
    assert Predictor(with_far_loss).scheme.name == "ibug68"
    with pytest.raises(ConfigError, match=r"Far is outside the trusted packages.*trust=tests"):
        task.loss(torch.zeros(1), torch.zeros(1))
    assert type(load_task(with_far_loss, trust="tests").loss).__name__ == "Far"


def test_an_untrusted_heatmap_loss_does_not_prevent_loading(tmp_path):
    with trusting("tests"):
        task = HeatmapTask(
            IBUG68, BOX_CROP, heatmap_loss=configure(Far), coordinate_weight=0, heatmap_weight=1
        )
    assert load_task(save_task(tmp_path / "far.ckpt", task)).loss_words[0] == "Far"


def test_only_losses_of_checkpoints_may_be_untrusted(tmp_path):
    with pytest.raises(ConfigError, match="outside the trusted packages"):
        build_loss(configure(Far))
    with untrusted_losses_left_out():
        assert loss_name(build_loss(configure(Far))) == "Far"
        with pytest.raises(ConfigError, match="there is no torch"):
            build_loss({"_target_": "torch.nn.NoLoss"})
    with trusting("tests"):
        task = RegressionTask(IBUG68, BOX_CROP, net=configure(Net))
    with pytest.raises(CheckpointError, match=r"Net is outside the trusted packages"):
        load_task(save_task(tmp_path / "far.ckpt", task))


class Net(nn.Linear):
    """Network of a package that is not trusted."""

    def __init__(self, input_size, in_channels, out_features):
        super().__init__(in_channels, out_features)
