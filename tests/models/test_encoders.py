import pytest
import torch
from torch import nn

from keypoints.errors import ConfigError
from keypoints.models.encoders import ConvEncoder, TorchvisionEncoder
from keypoints.models.pretrained import blank
from keypoints.models.torchvision import torchvision_network


def sides(maps):
    return {level: tuple(own.shape) for level, own in maps.items()}


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x1_0"])
@pytest.mark.parametrize("antialiased", [False, True])
def test_each_level_halves_the_previous_one(name, antialiased):
    encoder = TorchvisionEncoder((97, 83), 1, name, antialiased=antialiased)
    widths, heights = (49, 25, 13, 7, 4), (42, 21, 11, 6, 3)
    assert sides(encoder(torch.zeros(2, 1, 83, 97))) == {
        level: (2, encoder.channels[level], heights[level - 1], widths[level - 1]) for level in range(1, 6)
    }


def test_a_level_ends_with_the_last_maps_of_its_size():
    torch.manual_seed(0)
    encoder = TorchvisionEncoder((64, 64), 3).eval()
    torch.manual_seed(0)
    net = torchvision_network("resnet18", 3, None).eval()
    images = torch.rand(2, 3, 64, 64)
    stem = net.maxpool(torch.relu(net.bn1(net.conv1(images))))
    assert torch.allclose(encoder(images)[3], net.layer2(net.layer1(stem)), atol=1e-6)


def test_the_output_of_a_level_is_not_blurred():
    torch.manual_seed(0)
    plain = TorchvisionEncoder((64, 64), 1).eval()
    torch.manual_seed(0)
    blurred = TorchvisionEncoder((64, 64), 1, antialiased=True).eval()
    images = torch.rand(1, 1, 64, 64)
    assert torch.equal(plain(images)[1], blurred(images)[1])
    assert not torch.allclose(plain(images)[2], blurred(images)[2])


def test_a_level_that_a_network_lacks_is_not_listed():
    assert next(iter(TorchvisionEncoder((64, 64), 3, "convnext_tiny").channels)) == 2


@pytest.mark.parametrize("name", ["efficientnet_b0", "googlenet", "mnasnet0_5", "regnet_x_400mf"])
def test_all_layers_but_the_classifier_contribute_to_the_levels(name):
    encoder = TorchvisionEncoder((64, 64), 3, name).eval()
    maps = encoder(torch.rand(1, 3, 64, 64))
    assert {level: own.shape[2] for level, own in maps.items()} == {1: 32, 2: 16, 3: 8, 4: 4, 5: 2}
    sum(own.sum() for own in maps.values()).backward()
    used = {id(weight) for weight in encoder.parameters() if weight.grad is not None}
    idle = [name for name, weight in encoder.named_parameters() if id(weight) not in used]
    assert not [name for name in idle if not name.startswith(("classifier", "fc"))]


OTHERS = r"; take resnet18, .* or convnext_tiny$"


@pytest.mark.parametrize(
    ("name", "size", "settings", "says"),
    [
        ("swin_t", (64, 64), {}, rf"swin_t .* 64 × 64: it has no maps of 1/8, 1/16 of .*{OTHERS}"),
        ("vit_b_16", (64, 64), {"image_size": 64}, rf"\d\d of its layers come after .* left out{OTHERS}"),
        ("squeezenet1_1", (64, 64), {}, rf"none of its maps have .*{OTHERS}"),
        (
            "vgg11",
            (80, 60),
            {},
            r"4 of its layers come after .* 1/4 of .*take a crop of 96 × 64, .* resnet18$",
        ),
    ],
)
def test_networks_that_lose_levels_or_layers_are_refused(name, size, settings, says):
    with pytest.raises(ConfigError, match=says) as caught:
        TorchvisionEncoder(size, 3, name, **settings)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{name} cannot encode images of {size[0]} × {size[1]}: ")


def test_older_checkpoints_of_refused_networks_still_load():
    with blank():
        assert list(TorchvisionEncoder((64, 64), 3, "swin_t").channels) == [2, 5]


def made_of(monkeypatch, *layers):
    """Return an encoder of 56 × 56 pixels whose network has these layers, then a classifier."""
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    monkeypatch.setattr("keypoints.models.encoders.torchvision_network", lambda *_, **__: net)
    return TorchvisionEncoder((56, 56), 3, "made_up")


def halving(channels, times=2):
    return nn.Conv2d(channels, 4, times + 1, stride=times, padding=1)


def test_a_network_without_the_first_two_levels_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match=r"made_up .* it has no maps of 1/4 of"):
        made_of(monkeypatch, halving(3, 8), halving(4))


def test_pooling_to_a_fixed_size_is_no_level(monkeypatch):
    encoder = made_of(
        monkeypatch, halving(3), halving(4), halving(4), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(7)
    )
    maps = encoder(torch.rand(1, 3, 56, 56))
    assert list(maps) == [1, 2, 3]
    assert len(maps[3].unique()) == maps[3].numel()  # not 3 × 3 values, spread over 7 × 7


def test_conv_encoder_has_one_level_per_channel_count():
    encoder = ConvEncoder((40, 33), 3, channels=[4, 6], depth=2)
    assert sides(encoder(torch.zeros(1, 3, 33, 40))) == {1: (1, 4, 17, 20), 2: (1, 6, 9, 10)}
    assert encoder.channels == {1: 4, 2: 6}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"channels": []}, "from 1 up"),
        ({"channels": [4, 0]}, "from 1 up"),
        ({"depth": -1}, "depth from 0 up"),
        ({"input_size": (160, 20)}, "160 × 20 to nothing"),
        ({"normalization": "layer"}, "'batch', 'group' or 'none'"),
    ],
)
def test_invalid_settings_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        ConvEncoder(**{"input_size": (160, 120), "in_channels": 1, **settings})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"name": "resnet19"}, "no classification network 'resnet19'"),
        ({"in_channels": 2}, "1 or 3 channels, not 2"),
        ({"name": "alexnet", "input_size": (16, 16)}, "alexnet does not take images of 16 × 16"),
    ],
)
def test_unknown_networks_and_unsuitable_images_are_refused(settings, says):
    with pytest.raises(ConfigError, match=says):
        TorchvisionEncoder(**{"input_size": (64, 64), "in_channels": 1, **settings})
