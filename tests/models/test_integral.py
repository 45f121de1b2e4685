import pytest
import torch

from keypoints.models.integral import IntegralNet, soft_argmax


@pytest.mark.parametrize("beyond", [0, 2])
def test_a_peak_is_read_off_at_the_centre_of_its_cell(beyond):
    maps = torch.full((1, 2, 30 + 2 * beyond, 40 + 2 * beyond), -100.0)
    maps[0, 0, 12 + beyond, 7 + beyond] = 100
    maps[0, 1, 0, 39 + 2 * beyond] = 100
    points = soft_argmax(maps, (40, 30), beyond)[0]
    assert torch.allclose(points[0], torch.tensor([7.5 / 40, 12.5 / 30]))
    assert torch.allclose(points[1], torch.tensor([(39.5 + beyond) / 40, (0.5 - beyond) / 30]))


def test_a_point_between_cells_is_found_between_them():
    maps = torch.full((1, 1, 4, 4), -100.0)
    maps[0, 0, 1, 1] = maps[0, 0, 1, 2] = 100
    assert torch.allclose(soft_argmax(maps, (4, 4))[0, 0], torch.tensor([0.5, 1.5 / 4]))


def test_mixed_precision_does_not_round_positions():
    torch.manual_seed(0)
    net = IntegralNet((128, 128), 1, 8, channels=[4, 4], width=4)
    with torch.autocast("cpu", torch.bfloat16):
        points = net(torch.rand(4, 1, 128, 128))
    assert points.dtype == torch.float32
    assert not torch.equal(points, points.bfloat16().float())


@pytest.mark.parametrize("size", [(160, 120), (97, 83), (224, 224)])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_inputs_and_levels_go_together_by_themselves(size, level):
    net = IntegralNet(size, 3, 136, channels=[4, 4, 4, 4], width=4, level=level)
    points = net(torch.zeros(2, 3, size[1], size[0]))
    assert points.shape == (2, 136)


def test_a_picture_moved_by_whole_cells_moves_the_points_with_it():
    torch.manual_seed(0)
    net = IntegralNet((128, 128), 1, 2, channels=[4, 4], width=4, level=2, beyond=0).eval()
    with torch.no_grad():
        for weights in net.parameters():
            weights.abs_()  # what is bright in the picture is bright in the maps
        net.maps.weight.mul_(1e4)  # with peaks as sharp as a trained network's
        picture = torch.zeros(1, 1, 128, 128)
        picture[:, :, 56:60, 48:54] = 1
        x, y = net(picture)[0]
        moved_x, moved_y = net(picture.roll((16, 32), (2, 3)))[0]
    assert float(moved_x - x) == pytest.approx(32 / 128, abs=0.02)
    assert float(moved_y - y) == pytest.approx(16 / 128, abs=0.02)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"out_features": 3}, "even, not 3"),
        ({"level": 6}, "one of 1 to 5"),
        ({"level": 0}, "one of 1 to 5"),
        ({"width": 0}, "from 1 up"),
        ({"beyond": -1}, "from 0 up"),
        ({"input_size": (160, 20)}, "160 × 20 to nothing"),
        ({"normalization": "layer"}, "'batch', 'group' or 'none'"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        IntegralNet(**{"input_size": (160, 120), "in_channels": 1, "out_features": 116, **settings})
