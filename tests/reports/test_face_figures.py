import numpy as np
import pytest
from PIL import Image

from keypoints.reports import face_figures


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "face.png"
    Image.new("L", (80, 60), 120).save(path)
    return path


def test_faces_show_truth_and_prediction_with_the_error_below(photo, tmp_path):
    truth, predicted = np.array([[10.0, 20.0]]), np.array([[30.0, 40.0]])
    face = face_figures.read_face(photo, truth, predicted, "face: 28.3 px")
    lost = face_figures.read_face(tmp_path / "gone.png", truth, predicted, "gone: 28.3 px")
    figure = face_figures.faces({"best": [face], "worst": [lost]}, (), "a title")
    first, second = figure.axes
    drawn = [tuple(points.get_offsets()[0]) for points in first.collections]
    assert drawn == [(10, 20), (30, 40)]
    assert (first.get_xlabel(), first.get_ylabel()) == ("face: 28.3 px", "best")
    assert [text.get_text() for text in second.texts] == ["photo not found"]


def test_a_batch_is_plotted_with_its_points():
    images = [np.zeros((60, 80), np.uint8)] * 3
    figure = face_figures.batch(images, np.full((3, 2, 2), 0.5), [(0, 1)], "a title")
    assert [tuple(axes.collections[0].get_offsets()[0]) for axes in figure.axes if axes.images] == [
        (39.5, 29.5)
    ] * 3
