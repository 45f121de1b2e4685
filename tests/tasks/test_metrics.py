import numpy as np
import pytest
import torch

from keypoints.errors import ConfigError
from keypoints.schemes import IBUG68, IMM58, scheme_named
from keypoints.tasks.metrics import (
    AUC,
    NME,
    CourseMSE,
    FailureRate,
    PixelDistance,
    PixelMAE,
    PixelRMSE,
    VarianceRatio,
    default_norm,
    evaluation_metrics,
    validation_metrics,
)

SIZES = torch.tensor([[640.0, 480.0], [320.0, 240.0]])
TRUTH = torch.tensor([[[100.0, 100.0]], [[80.0, 70.0]]])


def measured(metric, predictions, batches=1):
    for part in zip(predictions.chunk(batches), TRUTH.chunk(batches), SIZES.chunk(batches), strict=True):
        metric.update(*part)
    return metric.compute().item()


def test_course_mse_is_in_ratios_of_each_photo():
    # 64 of 640 and 24 of 480 in the first photo; 0 of 320 and 24 of 240 in the second.
    predictions = TRUTH + torch.tensor([[[64.0, -24.0]], [[0.0, 24.0]]])
    assert measured(CourseMSE(), predictions) == pytest.approx((0.1**2 + 0.05**2 + 0 + 0.1**2) / 4)


def test_pixel_mae_averages_over_all_coordinates():
    assert measured(PixelMAE(), TRUTH + torch.tensor([[[64.0, -24.0]], [[0.0, 24.0]]])) == pytest.approx(28)


def test_pixel_distance_averages_over_all_points():
    moved = TRUTH + torch.tensor([[[3.0, -4.0]], [[0.0, 24.0]]])
    assert measured(PixelDistance(), moved) == pytest.approx(14.5)


def test_variance_ratio_is_0_for_equal_faces_and_1_for_truth():
    ratios = TRUTH / SIZES[:, None]
    same = ratios.mean(dim=0, keepdim=True) * SIZES[:, None]
    assert measured(VarianceRatio(), same) == pytest.approx(0, abs=1e-6)
    assert measured(VarianceRatio(), TRUTH) == pytest.approx(1)
    halved = (ratios.mean(dim=0) + (ratios - ratios.mean(dim=0)) / 2) * SIZES[:, None]
    assert measured(VarianceRatio(), halved) == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("metric", [CourseMSE, PixelMAE, PixelDistance, VarianceRatio])
def test_metrics_do_not_depend_on_the_batch_size(metric):
    predictions = TRUTH + torch.tensor([[[3.0, -5.0]], [[2.0, 7.0]]])
    assert measured(metric(), predictions, batches=2) == pytest.approx(measured(metric(), predictions))


# Two faces of four points: squares with sides 10 and 20; their first two points are the normalising points.
SQUARES = torch.tensor([[[0.0, 0], [10, 0], [0, 10], [10, 10]], [[0, 0], [20, 0], [0, 20], [20, 20]]])


def of_squares(metric, errors):
    """Return the metric if all points of each square are off by this many pixels to the right."""
    shift = torch.tensor(errors)[:, None, None] * torch.tensor([1.0, 0.0])
    metric.update(SQUARES + shift, SQUARES, SIZES)
    return metric.compute().item()


@pytest.mark.parametrize(
    ("norm", "scales"),
    [("pair", (10, 20)), ("box", (10, 20)), ("diagonal", (800, 400))],
    ids=lambda value: value,
)
def test_nme_divides_each_face_by_its_own_scale(norm, scales):
    expected = (3 / scales[0] + 4 / scales[1]) / 2
    assert of_squares(NME(norm, (0, 1)), (3.0, 4.0)) == pytest.approx(expected)


def test_nme_averages_distances_not_coordinates():
    metric = NME("pair", (0, 1))
    metric.update(SQUARES + torch.tensor([3.0, 4.0]), SQUARES, SIZES)
    assert metric.compute().item() == pytest.approx((5 / 10 + 5 / 20) / 2)


def test_failure_rate_counts_faces_above_the_threshold():
    assert of_squares(FailureRate(0.1, norm="pair", pair=(0, 1)), (1.5, 1.5)) == 0.5  # 15 % and 7.5 %
    assert of_squares(FailureRate(0.2, norm="pair", pair=(0, 1)), (1.5, 1.5)) == 0


def test_a_nan_error_is_a_failure():
    nan = float("nan")
    assert of_squares(FailureRate(0.2, norm="pair", pair=(0, 1)), (1.0, nan)) == 0.5


def test_metrics_equal_on_the_first_batch_are_not_merged():
    scheme = IMM58.select("nose_tip")
    metrics = validation_metrics(scheme)
    truth = torch.full((2, 1, 2), 50.0)
    sizes = torch.full((2, 2), 200.0)
    metrics.update(truth, truth, sizes)
    metrics.update(truth + 5, truth, sizes)
    assert metrics.compute()["val/mse"] == pytest.approx((5 / 200) ** 2 / 2)
    assert metrics.compute()["val/mae_px"] == pytest.approx(2.5)


def test_auc_is_the_area_under_the_cumulative_error_curve():
    errors = np.array([0.02, 0.05])
    levels = np.linspace(0, 0.08, 80001)
    area = np.trapezoid([(errors <= level).mean() for level in levels], levels) / 0.08
    assert of_squares(AUC(0.08, norm="pair", pair=(0, 1)), (0.2, 1.0)) == pytest.approx(area, abs=1e-4)
    assert of_squares(AUC(0.08, norm="pair", pair=(0, 1)), (0.0, 0.0)) == 1
    assert of_squares(AUC(0.08, norm="pair", pair=(0, 1)), (9.0, 9.0)) == 0


@pytest.mark.parametrize("kind", [CourseMSE, PixelMAE, NME, VarianceRatio])
def test_errors_of_a_part_use_the_scale_of_the_face(kind):
    settings = {"norm": "pair", "pair": (0, 1)} if kind is NME else {}
    off = SQUARES.clone()
    off[:, 3] += torch.tensor([[6.0, 0.0], [-6.0, 0.0]])
    whole, good, bad = (kind(points=points, **settings) for points in (None, [0, 1, 2], [3]))
    for metric in (whole, good, bad):
        metric.update(off, SQUARES, SIZES)
    if kind is VarianceRatio:
        assert good.compute() == pytest.approx(1)
        assert bad.compute() != pytest.approx(1)
    else:
        assert good.compute() == 0
        assert bad.compute() == pytest.approx(4 * whole.compute())
    if kind is NME:
        assert bad.compute() == pytest.approx((0.6 + 0.3) / 2)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: NME("eyes", (0, 1)), "pair, box, diagonal, not 'eyes'"),
        (lambda: NME("pair"), "norm=diagonal or norm=box"),
        (lambda: AUC(0, norm="box"), "positive ratio"),
        (lambda: AUC(float("inf"), norm="box"), "positive ratio"),
        (lambda: FailureRate("high", norm="box"), "positive ratio"),
    ],
)
def test_invalid_norms_and_thresholds_are_refused(make, says):
    with pytest.raises(ConfigError, match=says):
        make()


def test_the_norm_without_normalising_points_is_the_diagonal():
    assert default_norm(IBUG68) == "pair"
    assert default_norm(IMM58.select("nose_tip")) == "diagonal"
    assert "nme" in validation_metrics(IMM58)
    assert "nme" not in validation_metrics(IMM58.select("nose_tip"))
    names = set(evaluation_metrics(IMM58, "pair", 0.08))
    assert names == {"mse", "mae_px", "distance_px", "nme", "auc", "failure_rate", "variance_ratio"}


def test_kaggles_points_are_scored_by_the_root_mean_squared_error():
    assert "rmse_px" in evaluation_metrics(scheme_named("kaggle15"), "pair", 0.08)
    truth = torch.tensor([[[10.0, 10.0], [20.0, float("nan")]], [[10.0, 10.0], [20.0, 20.0]]])
    off = torch.tensor([[[13.0, 10.0], [20.0, 0.0]], [[10.0, 10.0], [20.0, 24.0]]])
    sizes = torch.full((2, 2), 96.0)
    metric, second = PixelRMSE(), PixelRMSE(points=[1])
    for place in (0, 1):  # in two batches: the root is of the mean over both
        metric.update(off[place : place + 1], truth[place : place + 1], sizes[place : place + 1])
    second.update(off, truth, sizes)
    assert metric.compute() == pytest.approx(((9 + 16) / 7) ** 0.5)
    assert second.compute() == pytest.approx((16 / 3) ** 0.5)


@pytest.mark.parametrize("faces", [1, 3])
def test_the_variance_ratio_of_equal_faces_is_nan(faces):
    truth = torch.full((faces, 2, 2), 0.3) * 100
    metric = VarianceRatio()
    metric.update(truth + torch.randn(faces, 2, 2), truth, torch.full((faces, 2), 100.0))
    assert metric.compute().isnan()


def with_missing(faces=6, points=8):
    """Return predictions and truth of some faces, whose points lack labels here and there."""
    torch.manual_seed(0)
    truth = torch.rand(faces, points, 2) * 100
    predictions = truth + torch.randn(faces, points, 2)
    labelled = torch.rand(faces, points) < 0.7
    labelled[:, :2] = True  # the normalising points
    labelled[0, 1] = False
    labelled[5] = False
    sizes = torch.full((faces, 2), 200.0)
    return predictions, truth.where(labelled[..., None], torch.nan), sizes, labelled


@pytest.mark.parametrize("batches", [1, 3])
def test_points_without_a_label_do_not_count(batches):
    predictions, truth, sizes, labelled = with_missing()

    def value(metric):
        for part in zip(*(each.chunk(batches) for each in (predictions, truth, sizes)), strict=True):
            metric.update(*part)
        return metric.compute().item()

    errors = (predictions - truth)[labelled]
    assert value(PixelMAE()) == pytest.approx(errors.abs().mean().item(), rel=1e-5)
    assert value(CourseMSE()) == pytest.approx((errors / 200).square().mean().item(), rel=1e-5)
    faces = [place for place in range(6) if labelled[place, :2].all()]
    assert faces == [1, 2, 3, 4]
    own = [
        (
            (predictions - truth)[place][labelled[place]].norm(dim=-1).mean()
            / (truth[place, 0] - truth[place, 1]).norm()
        )
        for place in faces
    ]
    assert value(NME("pair", (0, 1))) == pytest.approx(torch.stack(own).mean().item(), rel=1e-5)
    failures = [error > 0.03 for error in own]
    assert value(FailureRate(0.03, norm="pair", pair=(0, 1))) == pytest.approx(sum(failures).item() / 4)
    assert 0 < value(AUC(0.08, norm="box")) < 1
    assert value(VarianceRatio()) == pytest.approx(1, abs=0.1)


def test_a_part_without_a_label_has_no_metrics():
    predictions, truth, sizes, _ = with_missing()
    truth[:, 3] = torch.nan
    for metric in evaluation_metrics(IBUG68, "diagonal", 0.08, [3]).values():
        metric.update(predictions, truth, sizes)
        assert metric.compute().isnan()


def test_broken_predictions_count_although_labels_are_missing():
    predictions, truth, sizes, _ = with_missing()
    predictions[:] = torch.nan
    failures = FailureRate(0.03, norm="diagonal")
    failures.update(predictions, truth, sizes)
    assert failures.compute() == 1
    mae = PixelMAE()
    mae.update(predictions, truth, sizes)
    assert mae.compute().isnan()
