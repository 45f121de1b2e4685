import math

import pytest
import torch

from keypoints.components import configure
from keypoints.models.encoders import ConvEncoder, TorchvisionEncoder
from keypoints.models.heatmap import HeatmapNet, gaussian_maps, heatmap_shares, share_near, soft_argmax
from keypoints.tasks.losses import HeatmapKLLoss


def gaussian(points, maps, sigma, padding=0):
    """Return the logarithms of the target heatmaps, (B, K, h, w)."""
    across, down = gaussian_maps(points, maps, sigma, padding)
    return across[..., None, :] + down[..., None]


SMALL = configure(ConvEncoder, channels=[4, 4])


@pytest.mark.parametrize("padding", [0, 2])
def test_a_peak_is_located_at_the_centre_of_its_cell(padding):
    maps = torch.full((1, 2, 30 + 2 * padding, 40 + 2 * padding), -100.0)
    maps[0, 0, 12 + padding, 7 + padding] = 100
    maps[0, 1, 0, 39 + 2 * padding] = 100
    points = soft_argmax(maps, padding)[0]
    assert torch.allclose(points[0], torch.tensor([7.5 / 40, 12.5 / 30]))
    assert torch.allclose(points[1], torch.tensor([(39.5 + padding) / 40, (0.5 - padding) / 30]))


def test_two_equal_peaks_give_the_point_between_them():
    maps = torch.full((1, 1, 4, 4), -100.0)
    maps[0, 0, 1, 1] = maps[0, 0, 1, 2] = 100
    assert torch.allclose(soft_argmax(maps)[0, 0], torch.tensor([0.5, 1.5 / 4]))


@pytest.mark.parametrize("point", [(0.31, 0.62), (0.0, 1.0), (-0.04, 1.03)])
def test_target_heatmaps_decode_to_their_points_even_outside_the_image(point):
    points = torch.tensor([[point]])
    maps = gaussian(points, torch.zeros(1, 1, 32 + 12, 48 + 12), sigma=1.2, padding=6)
    assert maps.max() > -0.4  # the nearest cell centre is close to the point
    assert torch.allclose(soft_argmax(maps, 6), points, atol=1e-4)


def test_a_point_far_outside_decodes_to_the_nearest_border():
    point, flat = torch.tensor([[[3.0, 0.5]]]), torch.zeros(1, 1, 9, 9)
    maps = gaussian(point, flat, sigma=1.0)
    assert torch.allclose(soft_argmax(maps), torch.tensor([[[8.5 / 9, 0.5]]]), atol=1e-3)
    assert HeatmapKLLoss()(flat, *gaussian_maps(point, flat, 1.0)).isfinite()


def test_the_share_near_a_point_is_that_of_a_gaussian():
    points = torch.tensor([[[0.5, 0.5]]])
    maps = gaussian(points, torch.zeros(1, 1, 64, 64), sigma=4.0)
    assert share_near(heatmap_shares(maps), points, radius=8).item() == pytest.approx(
        1 - math.exp(-2), abs=0.01
    )
    assert share_near(heatmap_shares(maps), points + 0.5, radius=8).item() < 1e-3


def test_mixed_precision_does_not_round_heatmaps():
    torch.manual_seed(0)
    net = HeatmapNet((128, 128), 1, 4, SMALL, width=4)
    with torch.autocast("cpu", torch.bfloat16):
        maps = net(torch.rand(4, 1, 128, 128))
    assert maps.dtype == torch.float32
    assert not torch.equal(maps, maps.bfloat16().float())


@pytest.mark.parametrize("size", [(160, 120), (97, 83), (224, 224)])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_heatmap_size_follows_from_input_size_and_level(size, level):
    encoder = configure(ConvEncoder, channels=[4, 4, 4, 4])
    net = HeatmapNet(size, 3, 68, encoder, width=4, level=level, heatmap_padding=2)
    width, height = (-(-side // 2**level) + 4 for side in size)
    assert net(torch.zeros(2, 3, size[1], size[0])).shape == (2, 68, height, width)


def test_any_encoder_can_be_used():
    net = HeatmapNet((64, 64), 1, 5, configure(TorchvisionEncoder, name="mobilenet_v3_small"), width=8)
    assert net(torch.zeros(2, 1, 64, 64)).shape == (2, 5, 18, 18)


def test_points_shift_with_the_image():
    torch.manual_seed(0)
    net = HeatmapNet((128, 128), 1, 1, SMALL, width=4, level=2, heatmap_padding=0).eval()
    with torch.no_grad():
        for weights in net.parameters():
            weights.abs_()  # bright parts of the image then give high values in the heatmaps
        net.maps.weight.mul_(1e4)  # peaks as sharp as those of a trained network
        picture = torch.zeros(1, 1, 128, 128)
        picture[:, :, 56:60, 48:54] = 1
        moved = soft_argmax(net(picture.roll((16, 32), (2, 3)))) - soft_argmax(net(picture))
    assert moved[0, 0].tolist() == pytest.approx([32 / 128, 16 / 128], abs=0.02)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"level": 6}, "levels are 1, 2, 3, 4, 5, so level is one of them, not 6"),
        ({"level": 0}, "not 0"),
        ({"width": 0}, "from 1 up"),
        ({"heatmap_padding": -1}, "from 0 up"),
    ],
)
def test_invalid_settings_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        HeatmapNet(**{"input_size": (160, 120), "in_channels": 1, "landmarks": 58, **settings})
