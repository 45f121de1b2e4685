import pytest
import torch

from keypoints.confidence import LEAST_FACES
from keypoints.schemes import IBUG68
from keypoints.tasks.confidence_errors import ConfidenceErrors


def batch(count):
    truth = torch.rand(count, 68, 2) * 100
    confidence = torch.linspace(0.3, 0.9, count)[:, None].expand(count, 68)
    return confidence, truth + (1 - confidence[..., None]) * 5, truth, torch.full((count, 2), 100.0)


def test_batches_are_calibrated_together():
    metric = ConfidenceErrors(IBUG68)
    for part in zip(*(each.split(7) for each in batch(40)), strict=True):
        metric.update(*part)
    found = metric.calibration()
    assert found.faces == 40
    assert found.norm == "pair"
    assert found.threshold == pytest.approx(0.3 + 0.6 * 0.01, abs=1e-6)


def test_without_confidences_or_with_few_faces_there_is_no_calibration():
    metric = ConfidenceErrors(IBUG68)
    assert metric.calibration() is None
    metric.update(*batch(LEAST_FACES - 1))
    assert metric.calibration() is None
    metric.update(*batch(1))
    assert metric.calibration() is not None
    metric.reset()
    assert metric.calibration() is None


def test_the_metric_adds_nothing_to_a_checkpoint():
    metric = ConfidenceErrors(IBUG68)
    metric.update(*batch(3))
    assert not metric.state_dict()
