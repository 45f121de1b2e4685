import json

import numpy as np
import pytest
from PIL import Image

from keypoints.data.readers.labelled import read_list
from keypoints.errors import ConfigError
from keypoints.geometry import Box
from keypoints.inference.label_list import LABELS, LabelList
from keypoints.inference.prediction_files import PredictedFace, PredictedPhoto
from keypoints.landmarks import LandmarkScheme

SCHEME = LandmarkScheme("two", {"eyes": (0, 1)}, (1, 0), (0, 1), ((0, 1),), names=("left_eye", "right_eye"))
POINTS = np.array([[10.12345, 5], [20, 6]])


def predicted(*confidence, points=POINTS):
    return PredictedFace(
        Box(1, 2, 30, 20.00049), points, "given", confidence=np.array(confidence) if confidence else None
    )


@pytest.fixture
def write(tmp_path):
    """Return a function that writes the list of faces by photo, and returns its contents."""

    def made(photos, *, worst_first=False, visible_from=0.5):
        labels = LabelList(tmp_path, SCHEME, visible_from=visible_from, worst_first=worst_first)
        for name, faces in photos.items():
            Image.new("L", (64, 48)).save(tmp_path / name)
            labels.add(PredictedPhoto(name, (64, 48), faces, []))
        (tmp_path / "out").mkdir()
        labels.write(tmp_path / "out")
        return labels, tmp_path / "out" / LABELS

    return made


def test_points_are_visible_from_a_confidence_on(write, tmp_path):
    labels, path = write({"a.png": [predicted(0.7, 0.69)]}, visible_from=0.7)
    assert labels.has_confidences
    (face,) = read_list(path, root=tmp_path).faces
    assert face.visibility().tolist() == [2, 1]
    assert face.landmarks().tolist() == [[10.123, 5], [20, 6]]
    assert face.box == Box(1, 2, 30, 20)


def test_the_list_names_the_points_of_the_model(write, tmp_path):
    _, path = write({"a.png": [predicted()]})
    found = read_list(path, root=tmp_path).scheme
    assert (found.names, found.flip_indices, found.skeleton) == (SCHEME.names, (1, 0), ((0, 1),))
    assert json.loads(path.read_text())["images"][0]["file_name"] == "a.png"


def test_without_confidences_all_points_are_visible(write, tmp_path):
    labels, path = write({"a.png": [predicted()]}, visible_from=1)
    assert not labels.has_confidences
    assert read_list(path, root=tmp_path).faces[0].visibility().tolist() == [2, 2]


def test_the_least_confident_faces_come_first(write, tmp_path):
    photos = {"a.png": [predicted(0.9, 0.9), predicted(0.2, 0.4)], "b.png": [predicted(0.5, 0.5)]}
    _, path = write(photos, worst_first=True)
    assert [face.name for face in read_list(path, root=tmp_path).faces] == ["a", "b", "a"]
    assert read_list(path, root=tmp_path).faces[0].visibility().tolist() == [1, 1]


def test_an_order_by_confidence_needs_confidences(write):
    with pytest.raises(ConfigError, match="this model gives no confidence, by which order=worst sorts"):
        write({"a.png": [predicted()]}, worst_first=True)


def test_photos_without_a_face_are_not_listed(write, tmp_path):
    _, path = write({"a.png": [predicted()], "b.png": []})
    assert [image["file_name"] for image in json.loads(path.read_text())["images"]] == ["a.png"]
    path.unlink()
    LabelList(tmp_path, SCHEME, visible_from=0.5, worst_first=False).write(path.parent)
    assert not path.exists()
