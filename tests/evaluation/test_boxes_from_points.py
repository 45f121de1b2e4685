"""Boxes around true points, as a model's training boxes lie."""

import numpy as np
import pytest

from keypoints import Crop
from keypoints.crop import box_from_points
from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.evaluation.boxes_from_points import with_boxes_from_points
from keypoints.geometry import Affine, Box, ratio_to_pixels

MEAN = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.5, 0.8]])
CROP = Crop(64, 48, source="box", margin=1.3)


def in_photo(box, crop=CROP):
    """Return the points of the mean shape in a photo, for a face with this box."""
    region = crop.around(box)
    return Affine.between(Box.of_image(crop.size), region)(ratio_to_pixels(MEAN, crop.size))


def sides(box):
    return box.left, box.top, box.width, box.height


@pytest.mark.parametrize("crop", [CROP, Crop(32, 32, source="box", margin=1.0)])
def test_the_box_of_a_mean_face_is_found_again(crop):
    box = Box(20.5, -7.0, 3 * crop.width, 3 * crop.height)
    assert sides(box_from_points(in_photo(box, crop), MEAN, crop)) == pytest.approx(sides(box))


def test_points_without_a_label_do_not_count():
    box = Box(10, 12, 40, 30)
    points = in_photo(box)
    points[3] = np.nan
    assert sides(box_from_points(points, MEAN, CROP)) == pytest.approx(sides(box))


def test_a_turned_face_keeps_the_size_of_its_box():
    box = Box(10, 12, 40, 30)
    points = in_photo(box)
    middle = np.array([10 + 19.5, 12 + 14.5])
    quarter = (points - middle) @ np.array([[0, 1], [-1, 0]]) + middle
    assert sides(box_from_points(quarter, MEAN, CROP)) == pytest.approx(sides(box))


def test_a_face_of_one_place_is_refused_by_name(tmp_path):
    face = Face(Photo(tmp_path / "a.png"), None, np.ones((4, 2)), "a", source="list.csv: line 2")
    with pytest.raises(DataError, match=r"list\.csv: line 2: a box from points needs two different"):
        with_boxes_from_points([face], range(4), MEAN, CROP)
