import numpy as np
import pytest
import torch

from keypoints.datamodules.imm import IMMDataModule
from keypoints.evaluation.face_tables import points_of
from keypoints.evaluation.per_face import (
    Predictions,
    by_confidence,
    measure_faces,
    plain_batches,
    predict,
    score,
)
from keypoints.inference.model import TaskModel
from keypoints.inference.onnx_model import Located
from keypoints.tasks.metrics import evaluation_metrics
from keypoints.tasks.regression import RegressionTask


class Shifted(RegressionTask):
    """Task whose predictions are a tenth of the input to the right of the true points."""

    def forward(self, images):
        return self.truth[: len(images)] + torch.tensor([0.1, 0.0])


@pytest.fixture
def measured(made_up_imm):
    data = IMMDataModule(made_up_imm)
    data.setup()
    task = Shifted(data.scheme, data.crop)
    task.truth = data.dataset("val").targets
    return data.dataset("val"), measure_faces(task, data.dataset("val"))


def test_each_face_has_its_errors_in_photo_pixels(measured):
    dataset, table = measured
    assert [photo.rpartition("/")[2] for photo in table["photo"]] == [
        f"33-{view}m.jpg" for view in range(1, 7)
    ]
    np.testing.assert_allclose(table["error_px"], 16, rtol=1e-3)  # a tenth of 160 pixels
    np.testing.assert_allclose(table["mae_px"], 8, rtol=1e-3)
    np.testing.assert_allclose(table["mse"], 0.1**2 / 2, rtol=1e-3)
    truth, predicted = points_of(table, "truth"), points_of(table, "predicted")
    np.testing.assert_allclose(truth, [face.landmarks() for face in dataset.faces], atol=1e-3)
    np.testing.assert_allclose(predicted - truth, np.broadcast_to([16, 0], truth.shape), atol=1e-2)


def test_points_are_grouped_by_confidence():
    truth = torch.rand(4, 5, 2) * 100
    confidence = torch.rand(4, 5)
    errors = 20 * (1 - confidence)  # pixels
    predicted = truth + torch.stack([errors, torch.zeros(4, 5)], -1)
    sizes = torch.full((4, 2), 100.0)
    groups = by_confidence(Predictions(predicted, truth, sizes, confidence), "diagonal", None, groups=4)
    assert [group.points for group in groups] == [5, 5, 5, 5]
    found = [group.confidence for group in groups]
    assert found == sorted(found)
    for group in groups:
        assert group.nme == pytest.approx(20 * (1 - group.confidence) / (100 * 2**0.5), rel=1e-4)
    assert by_confidence(Predictions(predicted, truth, sizes), "diagonal", None) == []


def test_groups_within_landmarks_leave_out_that_some_landmarks_are_worse():
    """Landmark 1 is less certain and less accurate; within a landmark, confidence says nothing."""
    truth = torch.zeros(8, 2, 2)
    confidence = torch.rand(8, 2) / 4 + torch.tensor([0.5, 0.0])
    predicted = truth + torch.tensor([1.0, 4.0])[None, :, None]
    sizes = torch.full((8, 2), 100.0)
    predictions = Predictions(predicted, truth, sizes, confidence)
    least, most = by_confidence(predictions, "diagonal", None, groups=2)
    assert least.nme == pytest.approx(4 * most.nme)
    least, most = by_confidence(predictions, "diagonal", None, groups=2, within_landmarks=True)
    assert least.nme == pytest.approx(most.nme)
    assert least.points == most.points == 8
    assert least.confidence < most.confidence


def test_metrics_over_all_faces_equal_the_means_of_the_rows(made_up_imm):
    data = IMMDataModule(made_up_imm)
    data.setup()
    torch.manual_seed(0)
    task = RegressionTask(data.scheme, data.crop).eval()
    dataset = data.dataset("val")
    predictions, constant = predict(TaskModel(task), plain_batches(dataset))
    scores = score(evaluation_metrics(task.scheme, "pair", 0.08), predictions)
    assert constant is None
    rows = measure_faces(task, dataset)
    assert scores["mse"] == pytest.approx(rows["mse"].mean(), rel=1e-4)
    assert scores["mae_px"] == pytest.approx(rows["mae_px"].mean(), rel=1e-4)


def test_the_mean_shape_baseline_predicts_the_mean_for_every_face(made_up_imm):
    data = IMMDataModule(made_up_imm)
    data.setup()
    dataset, mean = data.dataset("val"), torch.tensor(data.trained_on().mean)
    task = RegressionTask(data.scheme, data.crop).eval()
    predictions, constant = predict(TaskModel(task), iter(list(plain_batches(dataset))), mean)
    assert constant.truth is predictions.truth
    sizes = constant.photo_sizes[:, None]
    assert torch.allclose((constant.predicted + 0.5) / sizes, mean.expand(6, -1, -1), atol=1e-4)


class Limited(TaskModel):
    """Model that takes three faces at once; its confidence is the brightness of a face's first pixel."""

    at_once = 3

    def __call__(self, images):
        assert len(images) <= self.at_once
        points, *_ = super().__call__(images)
        return Located(points, np.repeat(images[:, 0, 0, :1] + 0.5, points.shape[1], axis=1))


def test_predictions_do_not_depend_on_the_models_batch_size(made_up_imm):
    data = IMMDataModule(made_up_imm)
    data.setup()
    torch.manual_seed(0)
    task, dataset = RegressionTask(data.scheme, data.crop).eval(), data.dataset("val")
    (whole, _), (parts, _) = (predict(model(task), plain_batches(dataset)) for model in (TaskModel, Limited))
    torch.testing.assert_close(parts.predicted, whole.predicted)
    assert parts.confidence.shape == (6, 58)
