import sys

import numpy as np
import pytest
from PIL import Image

from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.errors import ConfigError
from keypoints.geometry import Box
from keypoints.inference.detection import FaceDetector, find_turned, with_found_boxes
from tests.conftest import draw_portrait


@pytest.fixture(scope="module")
def detector():
    pytest.importorskip("dlib", reason="dlib is not installed (extra detect)")
    return FaceDetector()


def is_around(box, points):
    """Return whether a box resembles 300-W's: around the points except part of the jaw, nearly square."""
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    offset = ((box.left, box.top) - low) / extent
    return np.abs(offset - (-0.045, -0.142)).max() < 0.2 and 0.8 < box.width / extent.mean() < 1.3


def test_detected_boxes_resemble_those_of_300_w(detector):
    picture, points = draw_portrait()
    (face,) = detector(picture)
    assert is_around(face.box, points)
    assert face.score > 0
    (grey,) = detector(np.ascontiguousarray(picture[..., 0]))
    assert is_around(grey.box, points)


def test_several_faces_are_returned_by_falling_score(detector):
    (left, its_points), (right, points) = draw_portrait(0), draw_portrait(3, scale=90)
    faces = detector(np.concatenate([left, right], axis=1))
    assert len(faces) == 2
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)
    by_place = sorted(faces, key=lambda face: face.box.left)
    assert is_around(by_place[0].box, its_points)
    assert is_around(by_place[1].box, np.add(points, (640, 0)))


def test_small_and_large_photos_give_boxes_in_their_own_pixels(detector):
    picture, points = draw_portrait()
    for factor in (0.2, 5):
        size = round(640 * factor), round(480 * factor)
        resized = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
        (face,) = detector(resized)
        assert is_around(face.box, points * factor)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_face_has_its_box_in_the_photo(detector, turns):
    picture, points = draw_portrait()
    (upright,) = detector(picture)
    photo = np.ascontiguousarray(np.rot90(picture, turns))
    (face,) = find_turned(detector, photo)
    x, y = points.mean(axis=0)
    height, width = picture.shape[:2]
    centre = {1: (y, width - 1 - x), 2: (width - 1 - x, height - 1 - y), 3: (height - 1 - y, x)}[turns]
    middle = face.box.left + face.box.width / 2, face.box.top + face.box.height / 2
    assert np.linalg.norm(np.subtract(middle, centre)) < 0.2 * face.box.width
    assert abs(face.box.width - upright.box.width) < 10
    assert find_turned(detector, np.full((120, 160), 200, np.uint8)) == []


def test_no_face_is_detected_in_a_photo_without_one(detector):
    assert detector(np.full((120, 160, 3), 200, np.uint8)) == []
    assert detector(np.zeros((1, 1), np.uint8)) == []


def test_the_message_without_dlib_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(ConfigError, match=r"'\.\[detect\]', or give a list with boxes"):
        FaceDetector()


def test_a_known_face_gets_the_detected_box_at_its_place(detector, tmp_path):
    (left, its_points), (right, _) = draw_portrait(0), draw_portrait(3, scale=90)
    Image.fromarray(np.concatenate([left, right], axis=1)).save(tmp_path / "two.png")
    photo = Photo(tmp_path / "two.png")
    low, extent = its_points.min(axis=0), np.ptp(its_points, axis=0)
    there = Face(photo, Box(*(low - 10), *(extent + 20)), its_points, "a")
    nowhere = Face(photo, Box(0, 0, 60, 60), its_points, "b")
    (found,), missed = with_found_boxes([there, nowhere])
    assert missed == 1
    assert is_around(found.box, its_points)
    assert found.group == "a"
