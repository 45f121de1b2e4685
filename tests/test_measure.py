import numpy as np
import pandas as pd
import pytest
import torch

from keypoints.datamodules.imm import IMMDataModule
from keypoints.errors import DataError
from keypoints.measure import (
    Predictions,
    by_confidence,
    in_common,
    measure_faces,
    plain_batches,
    points_of,
    predict,
    read_faces,
    score,
    tags_of,
)
from keypoints.metrics import evaluation_metrics
from keypoints.tasks.regression import RegressionTask


class Shifted(RegressionTask):
    """Predicts a tenth of the input to the right of where the points are."""

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
    np.testing.assert_allclose(table["error_px"], 16, rtol=1e-3)  # a tenth of 160
    np.testing.assert_allclose(table["mae_px"], 8, rtol=1e-3)
    np.testing.assert_allclose(table["mse"], 0.1**2 / 2, rtol=1e-3)
    truth, predicted = points_of(table, "truth"), points_of(table, "predicted")
    np.testing.assert_allclose(truth, [face.landmarks() for face in dataset.faces], atol=1e-3)
    np.testing.assert_allclose(predicted - truth, np.broadcast_to([16, 0], truth.shape), atol=1e-2)


def test_confidence_sorts_points_by_their_error():
    truth = torch.rand(4, 5, 2) * 100
    confidence = torch.rand(4, 5)
    errors = 20 * (1 - confidence)  # pixels
    predicted = truth + torch.stack([errors, torch.zeros(4, 5)], -1)
    sizes = torch.full((4, 2), 100.0)
    groups = by_confidence(Predictions(predicted, truth, sizes, confidence), "diagonal", None, groups=4)
    assert [group["points"] for group in groups] == [5, 5, 5, 5]
    found = [group["confidence"] for group in groups]
    assert found == sorted(found)
    for group in groups:
        assert group["nme"] == pytest.approx(20 * (1 - group["confidence"]) / (100 * 2**0.5), rel=1e-4)
    assert by_confidence(Predictions(predicted, truth, sizes), "diagonal", None) == []


def test_the_table_survives_its_file(measured, tmp_path):
    _, table = measured
    path = tmp_path / "faces.csv"
    table.to_csv(path, index=False)
    again = read_faces(path)
    assert list(again["person"]) == ["33"] * 6
    np.testing.assert_allclose(points_of(again, "truth"), points_of(table, "truth"))


@pytest.mark.parametrize("contents", [None, "", "photo,error_px\n"])
def test_what_is_no_such_table_is_named(tmp_path, contents):
    path = tmp_path / "faces.csv"
    if contents is not None:
        path.write_text(contents)
    with pytest.raises(DataError, match=r"faces\.csv"):
        read_faces(path)


def test_tags_are_the_columns_between_photo_and_errors(measured):
    assert tags_of(measured[1]) == ["person", "view", "gender"]


def test_metrics_of_all_faces_agree_with_the_rows(made_up_imm):
    data = IMMDataModule(made_up_imm)
    data.setup()
    torch.manual_seed(0)
    task = RegressionTask(data.scheme, data.crop).eval()
    dataset = data.dataset("val")
    predictions, constant = predict(task, plain_batches(dataset))
    scores = score(evaluation_metrics(task.scheme, "pair", 0.08), predictions)
    assert constant is None
    rows = measure_faces(task, dataset)
    assert scores["mse"] == pytest.approx(rows["mse"].mean(), rel=1e-4)
    assert scores["mae_px"] == pytest.approx(rows["mae_px"].mean(), rel=1e-4)


def test_the_constant_predictor_says_the_mean_of_everyone_and_looks_at_each_batch_once(made_up_imm):
    data = IMMDataModule(made_up_imm)
    data.setup()
    dataset, mean = data.dataset("val"), torch.tensor(data.trained_on().mean)
    task = RegressionTask(data.scheme, data.crop).eval()
    predictions, constant = predict(task, iter(list(plain_batches(dataset))), mean)
    assert constant.truth is predictions.truth
    sizes = constant.photo_sizes[:, None]
    assert torch.allclose((constant.predicted + 0.5) / sizes, mean.expand(6, -1, -1), atol=1e-4)


def test_what_the_worst_faces_have_in_common_is_said_where_it_is_more_than_chance():
    faces = pd.DataFrame(
        {
            "photo": [f"{i}.jpg" for i in range(24)],
            "person": [f"{i // 6:02}" for i in range(24)],
            "view": [str(i % 6) for i in range(24)],
            "mse": 0.0,
            "error_px": [20.0 + i if i // 6 == 2 else float(i) / 10 for i in range(24)],
        }
    )
    assert in_common(faces, {"person": {"02": "the bald one"}}) == [
        "person 02 (the bald one): 6 of the 6 worst faces, 6 of all 24"
    ]
    assert in_common(faces.assign(error_px=[float(i * 7 % 24) for i in range(24)]), {}) == []
