import pytest
import torch
from torch import nn

from keypoints.models.layers import BlurPool, CoordinateLayer, convolution, low_passed, normalization_layer


@pytest.mark.parametrize(
    ("kind", "made"), [("batch", [nn.BatchNorm2d]), ("group", [nn.GroupNorm]), ("none", [])]
)
def test_normalization_is_chosen_by_name(kind, made):
    assert [type(layer) for layer in normalization_layer(kind, 12)] == made


@pytest.mark.parametrize("channels", [1, 7, 12, 28, 64])
def test_group_normalization_accepts_any_number_of_channels(channels):
    normalization_layer("group", channels)[0](torch.zeros(1, channels, 2, 2))


def test_an_unknown_normalization_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'batch', 'group' or 'none', not 'layer'"):
        normalization_layer("layer", 8)


@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_a_convolution_has_a_bias_only_without_normalization(kernel):
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


@pytest.mark.parametrize("stride", [1, 2])
def test_blur_pool_keeps_constant_images_and_subsamples(stride):
    maps = torch.ones(2, 3, 7, 9)
    assert torch.allclose(
        BlurPool(stride)(maps), torch.ones(2, 3, 7 // stride + stride // 2, 9 // stride + stride // 2)
    )
    checkers = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 1.0
    assert torch.allclose(BlurPool(stride)(checkers[None, None])[..., 1:-1, 1:-1], torch.tensor(0.5))


def change_by_one_pixel(net):
    """Return the change of the maps' mean, relative to its spread, when the image shifts by one pixel."""
    torch.manual_seed(1)
    pictures = torch.rand(16, 1, 64, 64)
    with torch.no_grad():
        means = [net(pictures.roll(shift, 3)).mean((2, 3)) for shift in (0, 1)]
    return ((means[1] - means[0]).abs().mean() / means[0].std(0).mean()).item()


def test_low_passed_maps_change_less_when_the_image_shifts():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, padding_mode="circular"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, padding_mode="circular"),
        nn.ReLU(),
    )
    before = change_by_one_pixel(net)
    size = net(torch.zeros(1, 1, 64, 64)).shape
    low_passed(net)
    assert net(torch.zeros(1, 1, 64, 64)).shape == size
    assert change_by_one_pixel(net) < 0.7 * before


def test_the_first_layer_and_layers_of_stride_1_stay_unchanged():
    net = nn.Sequential(nn.Conv2d(1, 4, 7, stride=2), nn.Conv2d(4, 4, 3), nn.MaxPool2d(3, 1))
    before = list(net)
    low_passed(net)
    assert list(net) == before
