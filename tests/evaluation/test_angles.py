import math

import numpy as np
import pytest
from PIL import Image

from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.evaluation import angles
from keypoints.evaluation.angles import area_under_roc, at_angles, turned
from keypoints.geometry import Box
from tests.inference.test_refinement import Spots, centre, turned_face

SHIFT = (100, 40)


@pytest.fixture
def faces(tmp_path):
    """Upright faces of three spots in photos, away from the middle."""
    found = []
    for number in range(2):
        photo, points, box = turned_face(5 * number)
        wide = np.pad(photo, ((SHIFT[1], 20), (SHIFT[0], 60), (0, 0)))
        path = tmp_path / f"{number}.png"
        Image.fromarray(wide).save(path)
        moved = Box(box.left + SHIFT[0], box.top + SHIFT[1], box.width, box.height)
        found.append(Face(Photo(path), box=moved, points=points + SHIFT, group=str(number)))
    return found


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("angle", [0, 30, 150])
def test_points_turn_with_the_photo(faces, angle, whole):
    face = faces[1]
    own = turned(face, angle, 3, whole=whole)
    found = np.array([centre(own.pixels[..., channel].astype(float)) for channel in range(3)])
    if not whole or angle == 0:
        np.testing.assert_allclose(found, own.affine(face.landmarks()), atol=0.3)
    across = own.affine(face.landmarks())[1] - own.affine(face.landmarks())[0]
    assert math.degrees(math.atan2(across[1], across[0])) == pytest.approx(angle + 5, abs=0.1)
    if whole:
        assert own.box == Box.of_image(face.photo.size)
    else:
        assert (own.box.width, own.box.height) == (face.box.width, face.box.height)


def test_a_second_pass_keeps_the_error_at_every_angle(faces, monkeypatch):
    monkeypatch.setattr(angles, "ANGLES", (0, 60, 180))
    measured = at_angles(Spots(), faces, range(3), "diagonal", 0.01, "auto")
    table = measured.table.set_index(["angle", "passes"])
    assert list(table.index) == [(0, 1), (0, 2), (60, 1), (60, 2), (180, 1), (180, 2)]
    assert table.loc[(slice(None), 2), "nme"].max() < 0.003
    assert table.loc[(180, 1), "nme"] > 0.02
    assert table.loc[(180, 2), "second"] == 1
    assert measured.auroc == 1
    assert measured.faces == 2


def test_without_a_second_pass_there_is_one_row_per_angle(faces, monkeypatch):
    monkeypatch.setattr(angles, "ANGLES", (0, 90))
    assert at_angles(Spots(), faces, range(3), "diagonal", 0.01, False).table["passes"].tolist() == [1, 1]


def test_the_area_counts_pairs_in_the_right_order():
    confidence = np.array([0.1, 0.5, 0.5, 0.9])
    assert area_under_roc(confidence, np.array([True, False, False, False])) == 1
    assert area_under_roc(confidence, np.array([False, False, False, True])) == 0
    assert area_under_roc(confidence, np.array([False, True, False, False])) == pytest.approx(0.5)
    assert math.isnan(area_under_roc(confidence, np.zeros(4, bool)))
    assert math.isnan(area_under_roc(np.full(4, np.nan), np.array([True, False, False, False])))
