import pytest
import torch
from torch import nn

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


BROW = IMM58.select("right_brow")
"""Five landmarks."""


class Reshaped(nn.Module):
    """Network whose outputs are the pixels of an image, in a certain shape."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, images):
        return images.flatten(1).reshape(len(images), *self.shape)


@pytest.mark.parametrize("shape", [(10,), (5, 2), (10, 1, 1)])
def test_a_network_may_give_the_coordinates_in_these_shapes(shape):
    task = RegressionTask(BROW, Crop(5, 2), net=Reshaped(*shape))
    images = torch.rand(3, 1, 2, 5)
    assert torch.equal(task(images), images.view(3, 5, 2))


@pytest.mark.parametrize("size", [(5, 4), (5, 2)])
@pytest.mark.parametrize("images", [1, 5])
def test_a_network_with_other_outputs_is_refused(size, images):
    task = RegressionTask(BROW, Crop(*size), net=Reshaped(2, -1))
    with pytest.raises(
        ConfigError, match=r"^Reshaped gives outputs of shape .*, not of shape \(10,\) or \(5, 2\)"
    ):
        task(torch.rand(images, 1, *reversed(size)))


def test_a_network_that_gives_no_tensor_is_refused():
    task = RegressionTask(IMM58, Crop(4, 3), net=nn.LSTM(4, 4))
    with pytest.raises(ConfigError, match="LSTM gives a tuple for an image"):
        task(torch.rand(3, 4))
