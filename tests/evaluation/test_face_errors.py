import numpy as np
import pandas as pd
import pytest

from keypoints.errors import DataError
from keypoints.evaluation.face_errors import FaceErrors, face_errors, joined, names_of
from keypoints.landmarks import LandmarkScheme

PAIR = LandmarkScheme("two", {"points": (0, 1)}, None, (0, 1), ())


def table(folder, photos, **columns):
    truth = {"truth_x0": 0.0, "truth_y0": 0.0, "truth_x1": 3.0, "truth_y1": 4.0}
    rows = {"photo": [f"{folder}/{photo}" for photo in photos], "mse": 0.5, "mae_px": 1.0, "error_px": 2.0}
    return pd.DataFrame({**rows, **truth, **columns})


def errors(faces, values, groups=None):
    return FaceErrors(faces, groups or faces, {"mse": np.asarray(values, float)})


def test_a_table_gives_the_errors_of_each_face():
    found = face_errors(table("/data", ["a.jpg", "b.jpg"]), PAIR)
    assert {name: list(each) for name, each in found.errors.items()} == {
        "mse": [0.5, 0.5],
        "mae_px": [1.0, 1.0],
        "distance_px": [2.0, 2.0],
        "nme": [0.4, 0.4],
    }
    assert "nme" not in face_errors(table("/data", ["a.jpg"]), None).errors
    own = face_errors(table("/data", ["a.jpg"], nme=0.1), PAIR)
    assert list(own.errors["nme"]) == [0.1]


def test_faces_have_the_same_names_wherever_the_data_are():
    photos = ["x/a.jpg", "y/b.jpg", "y/b.jpg"]
    here, there = (names_of([f"{folder}/{photo}" for photo in photos]) for folder in ("/data", "/other/d"))
    assert here == there == ["x/a.jpg#0", "y/b.jpg#0", "y/b.jpg#1"]


def test_groups_come_from_the_table_or_its_persons_or_the_photos():
    photos = ["a.jpg", "b.jpg", "b.jpg"]
    assert face_errors(table("/d", photos), None).groups == ["/d/a.jpg", "/d/b.jpg", "/d/b.jpg"]
    assert face_errors(table("/d", photos, person=["1", "2", "2"]), None).groups == ["1", "2", "2"]
    both = table("/d", photos, person="1", group=["g", "g", "h"])
    assert face_errors(both, None).groups == ["g", "g", "h"]


def test_runs_are_joined_by_face_over_seeds_and_folds():
    settings = {
        "a": [
            [errors(["p", "q"], [1, 2]), errors(["r"], [3])],
            [errors(["q", "p"], [5, 4]), errors(["r"], [6])],
        ],
        "b": [[errors(["r"], [7]), errors(["p", "q"], [8, 9])]],
    }
    found = joined(settings, "mse")
    assert found.by_setting["a"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert found.by_setting["b"].tolist() == [[8, 9, 7]]
    assert (found.faces, found.groups) == (3, 3)


def test_faces_without_an_error_in_a_run_are_left_out():
    settings = {"a": [[errors(["p", "q"], [1, np.nan])]], "b": [[errors(["p", "q"], [2, 3])]]}
    assert joined(settings, "mse").by_setting["b"].tolist() == [[2]]
    with pytest.raises(DataError, match="mse is known for no face"):
        joined({"a": [[errors(["p"], [np.nan])]]}, "mse")


def test_runs_on_other_faces_are_not_compared():
    with pytest.raises(DataError, match="b: validates on other faces than a"):
        joined({"a": [[errors(["p"], [1])]], "b": [[errors(["q"], [1])]]}, "mse")


def test_folds_of_one_folder_each_keep_all_their_faces():
    folds = [errors(["/d/mary/0.jpg", "/d/mary/1.jpg"], [1, 2]), errors(["/d/paul/0.jpg"], [6])]
    elsewhere = [errors(["/e/paul/0.jpg"], [7]), errors(["/e/mary/0.jpg", "/e/mary/1.jpg"], [1, 1])]
    found = joined({"a": [folds], "b": [elsewhere]}, "mse")
    assert found.means == {"a": 3, "b": 3}
    assert (found.faces, found.groups) == (3, 3)


TRIANGLE = np.array([[[10.0, 10.0], [30.0, 10.0], [20.0, 25.0]]])


def joined_with(truth, other):
    runs = [FaceErrors(["1.jpg"], ["p"], {"mse": np.ones(1)}, points) for points in (truth, other)]
    return joined({"a": [runs[:1]], "b": [runs[1:]]}, "mse")


@pytest.mark.parametrize("other", [TRIANGLE, TRIANGLE + 0.01, 0.4 * TRIANGLE - 3])
def test_copies_of_a_photo_have_the_same_faces(other):
    assert joined_with(TRIANGLE, other).faces == 1
    assert joined_with(TRIANGLE[:, :1], TRIANGLE[:, :1] + 0.4).faces == 1


@pytest.mark.parametrize(
    "other", [TRIANGLE[:, ::-1], TRIANGLE[:, :1], np.where(TRIANGLE == 25, np.nan, TRIANGLE), 0 * TRIANGLE]
)
def test_other_points_in_photos_of_the_same_name_are_not_compared(other):
    with pytest.raises(DataError, match=r"b: has other true points than a in 1\.jpg, so errors are not"):
        joined_with(TRIANGLE, other)
    with pytest.raises(DataError, match="b: has other true points"):
        joined_with(TRIANGLE[:, :1], TRIANGLE[:, 1:2])
