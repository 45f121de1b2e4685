import numpy as np
import pytest
import torch

from keypoints.datamodules.imm import IMMDataModule
from keypoints.errors import DataError
from keypoints.measure import measure_faces, points_of, read_faces
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
