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


HIDDEN = np.array([False, True, False])
THREE = np.array([[10.0, 20.0], [30.0, 40.0], [np.nan, np.nan]])


def test_hidden_points_are_hollow_and_named_in_the_title(photo):
    face = face_figures.read_face(photo, THREE, THREE[::-1], "a face", HIDDEN)
    figure = face_figures.faces({"best": [face]}, [(1, 2)], "a title")
    filled, dark, ring, predicted = figure.axes[0].collections
    assert [tuple(each.get_offsets()[0]) for each in (filled, dark, ring)] == [(10, 20), (30, 40), (30, 40)]
    assert len(ring.get_facecolor()) == 0
    assert len(predicted.get_facecolor()) == 1
    assert figure.get_suptitle().endswith(face_figures.HOLLOW)
    figure.canvas.draw()


def test_without_hidden_points_titles_stay_as_they_are(photo):
    image, ratios = np.zeros((60, 80), np.uint8), np.full((1, 3, 2), 0.5)
    for hidden, named in (([[0, 0, 0]], False), ([[0, 1, 0]], True)):
        flags = np.array(hidden, bool)
        batch = face_figures.batch([image], ratios, (), "a title", flags)
        samples = face_figures.samples({"a": [image]}, {"a": ratios}, (), "a title", {"a": flags})
        assert [figure.get_suptitle() != "a title" for figure in (batch, samples)] == [named] * 2
