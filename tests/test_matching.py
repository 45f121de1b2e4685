from pathlib import Path

import numpy as np

from keypoints.datasets.face import Face
from keypoints.datasets.photos import Photo
from keypoints.geometry import Box
from keypoints.matching import match
from keypoints.prediction_lists import Prediction

SHAPE = np.array([[0.0, 0.0], [20.0, 0.0], [10.0, 20.0]])
ROOT = Path("/nowhere/data")


def face(name, at=(0, 0), box=None):
    return Face(Photo(ROOT / name), box, SHAPE + at, name)


def found(name, at=(0, 0), box=None):
    return Prediction(name, box, SHAPE + at, f"table: {name}")


def matched(truth, predictions, folder=Path("/nowhere/results")):
    return match(truth, range(3), predictions, folder)


def test_names_that_start_elsewhere_are_matched_by_their_ends():
    truth = [face("a/1.jpg"), face("b/1.jpg"), face("b/2.jpg")]
    names = ["1.jpg", "data/b/1.jpg", "/other/root/b/2.jpg", "3.jpg"]
    done = matched(truth, [found(name) for name in names])
    assert done.pairs == [(1, 1), (2, 2)]
    assert (done.missing, done.without_truth) == ([0], [0, 3])
    assert done.ambiguous == [f"1.jpg may be any of 2 photos, such as {ROOT}/a/1.jpg"]


def test_a_file_that_is_named_is_the_photo_whatever_else_ends_so(tmp_path):
    truth = [Face(Photo(tmp_path / name), None, SHAPE, name) for name in ("1.jpg", "a/1.jpg")]
    done = match(truth, range(3), [found("1.jpg"), found("a/1.jpg")], tmp_path)
    assert done.pairs == [(0, 0), (1, 1)]


def test_of_two_names_for_a_photo_the_one_with_more_in_common_is_meant():
    assert matched([face("a/1.jpg")], [found("b/1.jpg"), found("a/1.jpg")]).pairs == [(0, 1)]
    done = matched([face("a/1.jpg")], [found("b/1.jpg"), found("c/1.jpg")])
    assert done.pairs == []
    assert "may be any of 2 photos of the table" in done.ambiguous[0]


def test_names_of_windows_and_of_a_mac_are_known():
    done = matched([face("a/é.jpg"), face("a/2.jpg")], [found("a/e\u0301.jpg"), found("x\\a\\2.jpg")])
    assert done.pairs == [(0, 0), (1, 1)]


def test_the_only_prediction_of_an_only_face_counts_however_bad():
    assert matched([face("1.jpg")], [found("1.jpg", (5000, 5000))]).pairs == [(0, 0)]


def test_faces_of_a_photo_are_told_apart_by_their_points():
    truth = [face("1.jpg"), face("1.jpg", (100, 0)), face("1.jpg", (300, 0))]
    done = matched(truth, [found("1.jpg", (103, 1)), found("1.jpg", (2, 0)), found("1.jpg", (1000, 0))])
    assert done.pairs == [(0, 1), (1, 0)]
    assert (done.missing, done.without_truth) == ([2], [2])


def test_given_boxes_tell_faces_apart_where_points_mislead():
    boxes = [Box(0, 0, 30, 30), Box(100, 0, 30, 30)]
    truth = [face("1.jpg", box=boxes[0]), face("1.jpg", (100, 0), boxes[1])]
    wrong = [found("1.jpg", (100, 0), boxes[0]), found("1.jpg", (0, 0), boxes[1])]
    assert matched(truth, wrong).pairs == [(0, 0), (1, 1)]


def test_a_face_that_is_predicted_twice_counts_once():
    done = matched([face("1.jpg")], [found("1.jpg", (3, 0)), found("1.jpg", (1, 0))])
    assert (done.pairs, done.without_truth) == ([(0, 1)], [0])
