import pytest
import torch
from torch import nn

from keypoints.models.convnet import ConvNet
from keypoints.models.layers import BlurPool


def test_the_default_is_the_network_of_the_course():
    net = ConvNet((80, 60), 1, 2)
    convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    assert [(layer.kernel_size[0], layer.out_channels) for layer in convolutions] == [
        (7, 12),
        (5, 24),
        (3, 32),
    ]
    assert [type(layer) for layer in net.features] == [nn.Conv2d, nn.ReLU, nn.MaxPool2d] * 3
    assert sum(isinstance(layer, nn.Linear) for layer in net.modules()) == 2


@pytest.mark.parametrize("kernels", [[10, 7, 5], [7, 5, 3], [5, 3, 2]])
@pytest.mark.parametrize("size", [(80, 60), (97, 83)])
def test_linear_layers_fit_any_kernel_and_input_size(kernels, size):
    net = ConvNet(size, 3, 116, kernel_sizes=kernels)
    assert net(torch.zeros(2, 3, size[1], size[0])).shape == (2, 116)


def test_pooling_can_differ_between_layers_and_be_omitted():
    net = ConvNet((40, 40), 1, 2, kernel_sizes=[3, 3], channels=[4, 4], pooling=[1, 4])
    assert [layer.kernel_size for layer in net.modules() if isinstance(layer, nn.MaxPool2d)] == [4]
    assert net(torch.zeros(1, 1, 40, 40)).shape == (1, 2)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kernel_sizes": [61, 5, 3]}, r"convolution 1 \(61 × 61.*larger than the 80 × 60 pixels"),
        ({"kernel_sizes": [10, 20, 10]}, "convolution 3 .* take smaller kernels"),
        ({"pooling": 8}, "convolution 2 .*less pooling, or a larger input"),
        ({"kernel_sizes": [7, 5]}, "one entry for each convolution"),
        ({"pooling": [2, 2]}, "one entry for each convolution"),
        ({"kernel_sizes": [], "channels": []}, "one entry for each"),
        ({"kernel_sizes": [7, 0, 3]}, "whole numbers from 1 up"),
        ({"hidden": 0}, "whole numbers from 1 up"),
    ],
)
def test_invalid_settings_are_refused_with_a_suggestion(settings, says):
    with pytest.raises(ValueError, match=says):
        ConvNet((80, 60), 1, 2, **settings)


def test_normalization_lies_between_convolution_and_relu():
    net = ConvNet((40, 40), 1, 2, kernel_sizes=[3, 3], channels=[4, 8], normalization="batch")
    assert [type(layer) for layer in net.features] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d] * 2
    assert net.features[0].bias is None


@pytest.mark.parametrize("kernels", [[7, 5, 3], [4, 3, 2]])
def test_padded_convolutions_keep_the_image_size(kernels):
    net = ConvNet((16, 12), 1, 4, kernel_sizes=kernels, channels=[2, 2, 2], padded=True, pooling=[2, 2, 1])
    assert net.features(torch.zeros(1, 1, 12, 16)).shape == (1, 2, 3, 4)
    assert net(torch.zeros(1, 1, 12, 16)).shape == (1, 4)


@pytest.mark.parametrize("pooling", [2, 3])
@pytest.mark.parametrize("size", [(80, 60), (81, 61)])
def test_antialiased_pooling_keeps_the_sizes(size, pooling):
    made = [
        ConvNet(size, 1, 2, (3, 3), (4, 4), pooling, antialiased=antialiased) for antialiased in (False, True)
    ]
    images = torch.rand(1, 1, size[1], size[0])
    sizes = [net.features(images).shape for net in made]
    assert sizes[0] == sizes[1]
    assert any(isinstance(layer, BlurPool) for layer in made[1].modules())
