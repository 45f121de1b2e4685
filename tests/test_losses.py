import math

import pytest
import torch

from keypoints.losses import WingLoss


def loss_of(error, **settings):
    return WingLoss(**settings)(torch.full((2, 3, 2), error), torch.zeros(2, 3, 2)).item()


def test_small_errors_are_logarithmic_and_large_ones_linear():
    width, curvature = 0.1, 0.02
    assert loss_of(0.05, width=width, curvature=curvature) == pytest.approx(0.1 * math.log(1 + 0.05 / 0.02))
    offset = width - width * math.log(1 + width / curvature)
    assert loss_of(0.3, width=width, curvature=curvature) == pytest.approx(0.3 - offset)


def test_the_two_pieces_join():
    assert loss_of(0.1 - 1e-6, width=0.1) == pytest.approx(loss_of(0.1 + 1e-6, width=0.1), abs=1e-4)


def test_its_sign_does_not_matter_and_no_error_costs_nothing():
    assert loss_of(-0.03) == pytest.approx(loss_of(0.03))
    assert loss_of(0.0) == 0


@pytest.mark.parametrize("settings", [{"width": 0}, {"curvature": -1}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="are positive"):
        WingLoss(**settings)
