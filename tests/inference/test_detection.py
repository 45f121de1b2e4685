import numpy as np
import pytest
from PIL import Image

from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.geometry import Box
from keypoints.inference.detection import FoundFace, find_turned, with_found_boxes
from tests.conftest import draw_portrait


class CornerDetector:
    """Detector that finds a face where a picture is white at its upper left."""

    name, limits = "corner", "its corner"

    def __call__(self, pixels):
        return [FoundFace(Box(0, 0, 8, 6), 1.0)] if pixels[0, 0].min() == 255 else []


@pytest.mark.parametrize(
    ("corner", "box"),
    [((0, -1), Box(34, 0, 6, 8)), ((-1, -1), Box(32, 24, 8, 6)), ((-1, 0), Box(0, 22, 6, 8))],
)
def test_a_turned_face_has_its_box_in_the_photo(corner, box):
    photo = np.zeros((30, 40, 3), np.uint8)
    photo[corner] = 255
    assert find_turned(CornerDetector(), photo) == [FoundFace(box, 1.0)]
    assert find_turned(CornerDetector(), np.zeros((30, 40, 3), np.uint8)) == []


def test_the_turn_with_the_highest_score_counts():
    class Scored(CornerDetector):
        def __call__(self, pixels):
            return [FoundFace(Box(0, 0, 8, 6), float(pixels[0, 0].max()))] if pixels[0, 0].any() else []

    photo = np.zeros((30, 40), np.uint8)
    photo[0, -1], photo[-1, -1] = 100, 200
    assert find_turned(Scored(), photo) == [FoundFace(Box(32, 24, 8, 6), 200.0)]


def test_a_known_face_gets_the_detected_box_at_its_place(tmp_path):
    picture, points = draw_portrait()
    picture[0, 0] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    photo = Photo(tmp_path / "a.png")
    there, nowhere = (Face(photo, Box(left, 0, 10, 8), points, name) for left, name in ((0, "a"), (300, "b")))
    (found,), missed = with_found_boxes([there, nowhere], CornerDetector())
    assert missed == 1
    assert found.box == Box(0, 0, 8, 6)
    assert found.group == "a"
