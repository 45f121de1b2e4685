import pytest
import torch

from keypoints.metrics import CourseMSE, PixelMAE, VarianceRatio

SIZES = torch.tensor([[640.0, 480.0], [320.0, 240.0]])
TRUTH = torch.tensor([[[100.0, 100.0]], [[80.0, 70.0]]])


def measured(metric, predictions, batches=1):
    for part in zip(predictions.chunk(batches), TRUTH.chunk(batches), SIZES.chunk(batches), strict=True):
        metric.update(*part)
    return metric.compute().item()


def test_the_courses_mse_is_in_ratios_of_each_photo():
    # 64 of 640 and 24 of 480 in the first photo; 0 of 320 and 24 of 240 in the second.
    predictions = TRUTH + torch.tensor([[[64.0, -24.0]], [[0.0, 24.0]]])
    assert measured(CourseMSE(), predictions) == pytest.approx((0.1**2 + 0.05**2 + 0 + 0.1**2) / 4)


def test_the_kaggle_score_is_the_mean_absolute_error_of_all_numbers():
    assert measured(PixelMAE(), TRUTH + torch.tensor([[[64.0, -24.0]], [[0.0, 24.0]]])) == pytest.approx(28)


def test_predicting_the_mean_face_has_no_variance_and_the_truth_has_all_of_it():
    ratios = TRUTH / SIZES[:, None]
    same = ratios.mean(dim=0, keepdim=True) * SIZES[:, None]
    assert measured(VarianceRatio(), same) == pytest.approx(0, abs=1e-6)
    assert measured(VarianceRatio(), TRUTH) == pytest.approx(1)
    halved = (ratios.mean(dim=0) + (ratios - ratios.mean(dim=0)) / 2) * SIZES[:, None]
    assert measured(VarianceRatio(), halved) == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("metric", [CourseMSE, PixelMAE, VarianceRatio])
def test_batches_do_not_change_a_metric(metric):
    predictions = TRUTH + torch.tensor([[[3.0, -5.0]], [[2.0, 7.0]]])
    assert measured(metric(), predictions, batches=2) == pytest.approx(measured(metric(), predictions))
