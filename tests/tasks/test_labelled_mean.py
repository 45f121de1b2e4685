import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from keypoints.errors import ConfigError
from keypoints.models.heatmap import gaussian_maps
from keypoints.tasks.labelled_mean import coordinate_loss, heatmap_loss
from keypoints.tasks.losses import AdaptiveWingLoss, HeatmapKLLoss, WingLoss

LOSSES = [nn.MSELoss(), nn.L1Loss(), nn.SmoothL1Loss(), WingLoss()]


@pytest.fixture
def points():
    """Predictions and targets of three faces with four points, of which five have no label."""
    torch.manual_seed(0)
    predictions, targets = torch.rand(3, 4, 2, requires_grad=True), torch.rand(3, 4, 2)
    labelled = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 1, 0]]).bool()
    return predictions, targets.where(labelled[..., None], math.nan), labelled


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_the_loss_is_the_mean_over_labelled_points(points, loss):
    predictions, targets, labelled = points
    value = coordinate_loss(loss, predictions, targets, labelled, labelled.sum())
    assert value.item() == pytest.approx(loss(predictions[labelled], targets[labelled]).item(), rel=1e-5)
    value.backward()
    assert predictions.grad[~labelled].abs().max() == 0
    assert predictions.grad[labelled].abs().min() > 0


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_a_batch_without_labels_has_no_loss_and_no_gradient(points, loss):
    predictions = points[0]
    none = torch.zeros(3, 4).bool()
    value = coordinate_loss(loss, predictions, torch.full((3, 4, 2), math.nan), none, none.sum())
    assert value.item() == 0
    value.backward()
    assert predictions.grad.abs().max() == 0


def test_without_missing_points_the_loss_is_called_as_it_is(points):
    predictions, targets = points[0], torch.rand(3, 4, 2)
    assert coordinate_loss(nn.MSELoss(), predictions, targets, torch.ones(0, 0), None) == functional.mse_loss(
        predictions, targets
    )


def test_a_loss_that_is_no_single_number_is_refused(points):
    predictions, targets, labelled = points
    loss = nn.L1Loss(reduction="none")
    for count in (None, labelled.sum()):
        with pytest.raises(ConfigError, match=r"L1Loss gives a value of shape \(3, 4, 2\); .*take the mean"):
            coordinate_loss(loss, predictions, targets, labelled, count)


def test_processes_together_have_the_mean_of_the_global_batch(points):
    predictions, targets, labelled = points
    whole = coordinate_loss(nn.MSELoss(), predictions, targets, labelled, labelled.sum())
    average = labelled.sum() / 3  # labelled points of each of three processes, one face each
    shares = [
        coordinate_loss(nn.MSELoss(), *(field[rank : rank + 1] for field in points), average)
        for rank in range(3)
    ]
    assert sum(shares).item() / 3 == pytest.approx(whole.item(), rel=1e-5)


@pytest.mark.parametrize("loss", [HeatmapKLLoss(), AdaptiveWingLoss()], ids=lambda loss: type(loss).__name__)
def test_heatmaps_of_points_without_a_label_are_left_out(points, loss):
    _, targets, labelled = points
    maps = torch.rand(3, 4, 8, 8, requires_grad=True)
    wanted = gaussian_maps(targets, maps, 1.0)
    value = heatmap_loss(loss, maps, wanted, labelled, labelled.sum())
    alone = loss(maps[labelled][None], *(factor[labelled][None] for factor in wanted))
    assert value.item() == pytest.approx(alone.item(), rel=1e-6)
    value.backward()
    assert maps.grad.isfinite().all()
    assert maps.grad[~labelled].abs().max() == 0
    none = torch.zeros(3, 4).bool()
    assert heatmap_loss(loss, maps, wanted, none, none.sum()).item() == 0
    assert heatmap_loss(loss, maps, gaussian_maps(torch.rand(3, 4, 2), maps, 1.0), labelled, None) > 0
