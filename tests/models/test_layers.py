import pytest
import torch
from torch import nn

from keypoints.models.layers import CoordinateLayer, convolution, normalization_layer


@pytest.mark.parametrize(
    ("kind", "made"), [("batch", [nn.BatchNorm2d]), ("group", [nn.GroupNorm]), ("none", [])]
)
def test_normalization_is_a_choice_by_name(kind, made):
    assert [type(layer) for layer in normalization_layer(kind, 12)] == made


@pytest.mark.parametrize("channels", [1, 7, 12, 28, 64])
def test_groups_divide_any_number_of_channels(channels):
    normalization_layer("group", channels)[0](torch.zeros(1, channels, 2, 2))


def test_an_unknown_normalization_lists_the_known_ones():
    with pytest.raises(ValueError, match="'batch', 'group' or 'none', not 'layer'"):
        normalization_layer("layer", 8)


@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_a_convolution_is_padded_and_has_a_bias_only_where_nothing_normalises(kernel):
    assert convolution(1, 8, kernel)(torch.zeros(2, 1, 9, 10)).shape == (2, 8, 9, 10)
    assert convolution(1, 8, kernel, stride=2)(torch.zeros(2, 1, 8, 10)).shape == (2, 8, 4, 5)
    assert convolution(1, 8)[0].bias is None
    assert convolution(1, 8, normalization="none")[0].bias is not None


def test_coordinates_keep_full_precision_under_mixed_precision():
    torch.manual_seed(0)
    layer, plain = CoordinateLayer(8, 2), nn.Linear(8, 2)
    features = torch.rand(4, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert plain(features).dtype == torch.bfloat16
        mixed = layer(features)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, layer(features))
