from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keypoints.data.checks import (
    Finding,
    check_face,
    check_mirrored_copy,
    check_pixels,
    check_rounded,
    check_size,
    far_points,
    finding,
    look,
    repeated,
    shared_groups,
)
from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.schemes import IBUG68
from tests.conftest import wild_points

SIZE = (200, 160)
BOX = Box(60, 40, 80, 70)


def face_of(box=BOX, points=None, group="a"):
    return Face(Photo(Path("face.jpg")), box, points, group)


def test_a_face_inside_its_picture_passes():
    assert not list(check_face(face_of(points=wild_points(0)), SIZE))
    assert not list(check_face(face_of(box=None), SIZE))
    assert not list(check_face(face_of(box=Box(-70, -60, 80, 70)), SIZE))


@pytest.mark.parametrize(
    ("face", "says"),
    [
        (face_of(box=Box(200, 0, 9, 9)), "the box at (200, 0) of 9 × 9 misses the picture of 200 × 160"),
        (face_of(box=Box(-9, 0, 9, 9)), "the box at (-9, 0) of 9 × 9 misses the picture of 200 × 160"),
        (
            face_of(None, wild_points(0) - (100, 0)),
            "point 23 lies 39 px outside the picture of 200 × 160, as do 22 more",
        ),
        (
            face_of(Box(0, 0, 50, 45), wild_points(0)),
            "the box at (0, 0) of 50 × 45 does not surround the points, "
            "which reach from (61, 41) to (139, 109)",
        ),
    ],
)
def test_errors_of_box_and_points_are_reported(face, says):
    assert list(check_face(face, SIZE)) == [says]


@pytest.mark.parametrize("labelled", [1, 2, 5])
def test_a_box_may_be_much_larger_than_few_labelled_points(labelled):
    points = np.full((5, 2), np.nan)
    points[:labelled] = [(95, 70), (105, 70), (100, 75), (96, 80), (104, 80)][:labelled]
    assert not list(check_face(face_of(points=points), SIZE))
    (found,) = check_face(face_of(Box(0, 0, 50, 45), points), SIZE)
    assert "does not surround the points" in found


def test_points_slightly_outside_the_picture_pass():
    assert not list(check_face(face_of(None, wild_points(0) - (75, 0)), SIZE))


def test_a_mirrored_copy_has_mirrored_box_and_points():
    points = wild_points(0)
    mirrored = points[list(IBUG68.flip_indices)] * (-1, 1) + (199, 0)
    twin = face_of(Box(60, 40, 80, 70), mirrored)
    assert not list(check_mirrored_copy(face_of(points=points), twin, SIZE, SIZE))
    forgotten = face_of(Box(60, 40, 80, 70), points * (-1, 1) + (199, 0))  # not permuted
    assert "px off the mirrored points" in next(
        check_mirrored_copy(face_of(points=points), forgotten, SIZE, SIZE)
    )
    moved = face_of(Box(57, 40, 80, 70))
    assert "does not mirror the box of face.jpg" in next(check_mirrored_copy(face_of(), moved, SIZE, SIZE))


def test_a_mirrored_copy_has_the_size_of_its_original():
    assert not list(
        check_mirrored_copy(face_of(), face_of(), SIZE, (201, 160))
    )  # boxes of a copy are rounded
    assert list(check_mirrored_copy(face_of(), face_of(), SIZE, (160, 200))) == [
        "differs in size from face.jpg, of which it is the mirrored copy"
    ]


def test_listed_points_are_the_rounded_points_of_the_pts_file():
    points = wild_points(1)
    assert not list(check_rounded(face_of(points=np.rint(points)), points))
    assert list(check_rounded(face_of(points=points + 5), points)) == [
        "its points are up to 5 px off the points of its .pts file"
    ]


def test_a_picture_is_decoded_in_full(tmp_path):
    path = tmp_path / "a.png"
    Image.effect_noise((40, 30), 50).save(path)
    seen = look(path)
    assert seen.size == (40, 30)
    assert look(path) == seen
    path.write_bytes(path.read_bytes()[:-200])
    assert finding(look(path)).file == str(path)
    assert finding(look(path)).what.startswith("truncated or damaged")


def test_an_error_is_a_finding_about_the_file_that_it_names():
    assert finding(DataError("a.xml: image 1: bad")) == Finding("a.xml", "image 1: bad", wrong=True)


def test_identical_pictures_in_different_groups_are_reported(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path, grey in zip(paths, (1, 1, 1, 2), strict=True):
        Image.new("L", (8, 8), grey).save(path)
    seen = {path: look(path) for path in paths}
    assert not list(repeated(dict.fromkeys(paths, "one"), seen))
    groups = dict(zip(paths, "aabc", strict=True))
    assert list(repeated(groups, seen)) == [paths[:3]]


def test_groups_in_both_collections_are_found():
    assert shared_groups([face_of(group="a"), face_of(group="b")], [face_of(group="b")]) == {"b"}


def test_an_unstated_size_passes():
    for told in (None, (0, 0), SIZE):
        check_size(told, SIZE)


def test_a_point_too_far_outside_the_picture_is_reported():
    points = np.array([[10.0, 10], [90, 90], [50, -30]])
    assert far_points(face_of(None, points), SIZE) is None  # a quarter of 120 px
    assert (
        far_points(face_of(None, points - (0, 20)), SIZE)
        == "point 2 lies 50 px outside the picture of 200 × 160"
    )
    check_pixels(face_of(None, points - (0, 20)), SIZE)


def test_a_single_point_may_lie_slightly_outside():
    check_pixels(face_of(None, np.array([[-4.0, 10]])), SIZE)
    with pytest.raises(ValueError, match="its points reach"):
        check_pixels(face_of(None, np.array([[-6.0, 10]])), SIZE)
    check_pixels(face_of(None, None), SIZE)
