import pytest
import torch

from keypoints.components import configure
from keypoints.crop import Crop
from keypoints.errors import ConfigError
from keypoints.models.convnet import ConvNet
from keypoints.schemes import IBUG68, IMM58
from keypoints.tasks.regression import RegressionTask


@pytest.mark.parametrize("scheme", [IMM58, IBUG68, IMM58.select("nose_tip")], ids=lambda scheme: scheme.name)
def test_there_is_one_point_for_each_landmark(scheme):
    task = RegressionTask(scheme, Crop(80, 60, channels=3))
    assert task(torch.zeros(2, 3, 60, 80)).shape == (2, len(scheme), 2)


def test_the_first_two_outputs_are_the_first_point():
    task = RegressionTask(IMM58, Crop(80, 60))
    images = torch.rand(1, 1, 60, 80)
    assert torch.equal(task(images)[0, 0], task.net(images)[0, :2])


def test_invalid_settings_of_the_network_are_refused():
    with pytest.raises(
        ConfigError, match=r"ConvNet: kernel_sizes=\[90, 5, 3\].*larger than the 80 × 60 pixels"
    ):
        RegressionTask(IMM58, Crop(80, 60), net=configure(ConvNet, kernel_sizes=[90, 5, 3]))
    with pytest.raises(ConfigError, match=r"ConvNet: .*unexpected keyword argument 'depth'"):
        RegressionTask(IMM58, Crop(80, 60), net=configure(ConvNet, depth=3))
