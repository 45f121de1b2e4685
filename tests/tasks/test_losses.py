import math

import pytest
import torch

from keypoints.models.heatmap import gaussian_maps
from keypoints.tasks.losses import AdaptiveWingLoss, HeatmapKLLoss, WingLoss


def loss_of(error, **settings):
    return WingLoss(**settings)(torch.full((2, 3, 2), error), torch.zeros(2, 3, 2)).item()


def test_wing_loss_is_logarithmic_then_linear():
    width, curvature = 0.1, 0.02
    assert loss_of(0.05, width=width, curvature=curvature) == pytest.approx(0.1 * math.log(1 + 0.05 / 0.02))
    offset = width - width * math.log(1 + width / curvature)
    assert loss_of(0.3, width=width, curvature=curvature) == pytest.approx(0.3 - offset)


def test_wing_loss_is_continuous():
    assert loss_of(0.1 - 1e-6, width=0.1) == pytest.approx(loss_of(0.1 + 1e-6, width=0.1), abs=1e-4)


def test_wing_loss_is_symmetric_and_zero_without_error():
    assert loss_of(-0.03) == pytest.approx(loss_of(0.03))
    assert loss_of(0.0) == 0


@pytest.mark.parametrize("settings", [{"width": 0}, {"curvature": -1}])
def test_invalid_settings_of_wing_loss_are_refused(settings):
    with pytest.raises(ValueError, match="are positive"):
        WingLoss(**settings)


def test_heatmap_kl_loss_is_the_divergence_of_the_distributions():
    maps = torch.tensor([0.1, 0.3, 0.6]).log().view(1, 1, 1, 3) + 7  # softmax ignores a constant
    across, down = torch.tensor([[[0.5, 0.25, 0.25]]]).log() - 3, torch.zeros(1, 1, 1)
    expected = 0.5 * math.log(0.5 / 0.1) + 0.25 * math.log(0.25 / 0.3) + 0.25 * math.log(0.25 / 0.6)
    assert HeatmapKLLoss()(maps, across, down).item() == pytest.approx(expected, abs=1e-5)
    assert HeatmapKLLoss()(across[..., None, :], across, down).item() == pytest.approx(0, abs=1e-6)


def test_heatmap_kl_loss_equals_the_sum_over_cells():
    torch.manual_seed(0)
    maps, across, down = torch.randn(2, 3, 5, 7), torch.randn(2, 3, 7), torch.randn(2, 3, 5)
    wanted = (across[..., None, :] + down[..., None]).flatten(2).log_softmax(-1)
    apart = torch.nn.functional.kl_div(
        maps.flatten(2).log_softmax(-1), wanted, log_target=True, reduction="none"
    ).sum(-1)
    assert torch.allclose(HeatmapKLLoss()(maps, across, down), apart.mean())


def test_heatmap_kl_loss_does_not_depend_on_the_landmark_count():
    maps, across, down = torch.randn(2, 1, 5, 5), torch.randn(2, 1, 5), torch.randn(2, 1, 5)
    one = HeatmapKLLoss()(maps, across, down)
    many = HeatmapKLLoss()(maps.repeat(1, 9, 1, 1), across.repeat(1, 9, 1), down.repeat(1, 9, 1))
    assert torch.allclose(many, one)


def adaptive_wing(predicted, target, **settings):
    """Return the loss of a constant heatmap against a constant target."""
    maps = torch.full((1, 1, 4, 4), math.log(predicted))
    across, down = torch.full((1, 1, 4), math.log(target)), torch.zeros(1, 1, 4)
    return AdaptiveWingLoss(**settings)(maps, across, down).item()


def test_adaptive_wing_follows_its_formula_around_theta():
    assert adaptive_wing(0.1, 0.4, emphasis=0) == pytest.approx(14 * math.log(1 + 0.3**1.7), rel=1e-4)
    slope = 14 * 1.2 * 0.5**0.2 / (1 + 0.5**1.2)
    offset = 0.5 * slope - 14 * math.log(1 + 0.5**1.2)
    assert adaptive_wing(0.2, 0.9, emphasis=0) == pytest.approx(slope * 0.7 - offset, rel=1e-4)


def test_adaptive_wing_is_smooth_and_emphasises_the_point():
    just_below, just_above = (adaptive_wing(0.9 - shift, 0.9, emphasis=0) for shift in (0.4999, 0.5001))
    assert just_above - just_below == pytest.approx(0.0002 * 14 * 1.2 * 0.5**0.2 / (1 + 0.5**1.2), rel=0.01)
    assert adaptive_wing(0.1, 0.4) == pytest.approx(11 * adaptive_wing(0.1, 0.4, emphasis=0))
    assert adaptive_wing(0.01, 0.1) == pytest.approx(adaptive_wing(0.01, 0.1, emphasis=0))


def test_adaptive_wing_has_finite_gradients():
    across, down = gaussian_maps(torch.tensor([[[0.5, 0.5]]]), torch.zeros(1, 1, 9, 9), 1.0)
    exact = across[..., None, :] + down[..., None]
    for maps in (exact, torch.zeros(1, 1, 9, 9), torch.full((1, 1, 9, 9), 50.0)):
        maps.requires_grad_()
        AdaptiveWingLoss()(maps, across, down).backward()
        assert maps.grad.isfinite().all()


@pytest.mark.parametrize("settings", [{"omega": 0}, {"theta": -1}, {"alpha": 1}, {"emphasis": -1}])
def test_invalid_settings_of_adaptive_wing_are_refused(settings):
    with pytest.raises(ValueError, match="above 0"):
        AdaptiveWingLoss(**settings)
