from pathlib import Path

import numpy as np
import pytest

from keypoints.data.face import Face
from keypoints.data.photo_facts import read_photo_facts
from keypoints.data.photos import Photo
from keypoints.evaluation.matching import match
from keypoints.evaluation.prediction_lists import Prediction
from keypoints.geometry import Box

SHAPE = np.array([[0.0, 0.0], [20.0, 0.0], [10.0, 20.0]])
ROOT = Path("/nowhere/data")


def face(name, at=(0, 0), box=None):
    return Face(Photo(ROOT / name), box, SHAPE + at, name)


def found(name, at=(0, 0), box=None, score=None):
    return Prediction(name, box, SHAPE + at, f"table: {name}", score)


def matched(truth, predictions, folder=Path("/nowhere/results")):
    return match(truth, range(3), predictions, folder)


def test_names_from_other_folders_are_matched_by_their_ends():
    truth = [face("a/1.jpg"), face("b/1.jpg"), face("b/2.jpg")]
    names = ["1.jpg", "data/b/1.jpg", "/other/root/b/2.jpg", "3.jpg"]
    done = matched(truth, [found(name) for name in names])
    assert done.pairs == [(1, 1), (2, 2)]
    assert (done.missing, done.without_truth) == ([0], [0, 3])
    assert done.ambiguous == [f"1.jpg may be any of 2 photos, such as {ROOT}/a/1.jpg"]
    assert done.unknown == [f"no true photo's path ends with 3.jpg; an example is {ROOT}/a/1.jpg"]


def test_photos_with_an_equal_last_folder_stay_different():
    done = matched([face("y/images/0.jpg")], [found("x/images/0.jpg")])
    assert (done.pairs, done.missing, done.without_truth) == ([], [0], [0])
    photo = f"{ROOT}/y/images/0.jpg"
    assert done.unknown == [f"no true photo's path ends with x/images/0.jpg; an example is {photo}"]
    for name in ("images/0.jpg", "./images/0.jpg", "../images/0.jpg", "y\\images\\0.jpg"):
        assert matched([face("y/images/0.jpg")], [found(name)]).pairs == [(0, 0)], name


def test_absolute_names_are_matched_by_their_longest_end():
    truth = [face("a/1.jpg"), face("b/1.jpg"), face("b/2.jpg")]
    for name, pairs in (
        ("/home/me/b/1.jpg", [(1, 0)]),
        ("C:\\me\\b\\1.jpg", [(1, 0)]),
        ("C:/me/elsewhere/2.jpg", [(2, 0)]),
        ("\\\\server\\photos\\2.jpg", [(2, 0)]),
        ("/home/me/c/1.jpg", []),
        ("/home/me/3.jpg", []),
    ):
        assert matched(truth, [found(name)]).pairs == pairs, name


def written(path, contents):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    return Face(Photo(path), None, SHAPE, path.name)


@pytest.mark.parametrize("name", ["images/1.jpg", "images\\1.jpg", "absolute"])
@pytest.mark.parametrize("folder", ["images", "afw"])  # the groups of 300-W's photos depend on names
def test_an_existing_file_is_matched_by_its_contents(name, folder, tmp_path):
    file = f"{folder}/134212_1.jpg"
    truth = [written(tmp_path / "truth" / file, b"one")]
    copy = written(tmp_path / "table" / file, b"one").photo.path
    named = str(copy) if name == "absolute" else name.replace("images", folder).replace("1.jpg", copy.name)
    assert match(truth, range(3), [found(named)], tmp_path / "table").pairs == [(0, 0)]
    copy.write_bytes(b"other")
    done = match(truth, range(3), [found(named)], tmp_path / "table")
    assert (done.pairs, done.without_truth) == ([], [0])
    assert "exists, but is none of the true photos, such as" in done.unknown[0]


def test_copies_with_equal_contents_are_distinguished_by_folder(tmp_path):
    truth = [written(tmp_path / "truth" / name, b"same") for name in ("a/1.jpg", "b/1.jpg")]
    for name in ("b/1.jpg", "c/1.jpg"):
        written(tmp_path / "table" / name, b"same")
    done = match(truth, range(3), [found("b/1.jpg")], tmp_path / "table")
    assert done.pairs == [(1, 0)]
    done = match(truth, range(3), [found("c/1.jpg")], tmp_path / "table")
    assert done.pairs == []
    assert "c/1.jpg may be any of 2 photos" in done.ambiguous[0]


def test_a_mirrored_copy_is_not_matched_with_its_original(tmp_path):
    names = ("1.jpg", "1_mirror.jpg")
    truth = [written(tmp_path / "truth" / name, name.encode()) for name in names]
    for name in names:
        written(tmp_path / "table" / name, name.encode())
    done = match(truth, range(3), [found(name) for name in reversed(names)], tmp_path / "table")
    assert done.pairs == [(0, 1), (1, 0)]


def test_only_files_named_like_a_true_photo_are_read(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(
        "keypoints.evaluation.matching.read_photo_facts",
        lambda paths, _: read.extend(paths) or read_photo_facts(read),
    )
    truth = [written(tmp_path / "truth" / name, name.encode()) for name in ("1.jpg", "2.jpg", "3.jpg")]
    for name in ("2.jpg", "9.jpg"):
        written(tmp_path / "table" / name, b"other")
    names = ["../truth/1.jpg", "2.jpg", "9.jpg"]
    done = match(truth, range(3), [found(name) for name in names], tmp_path / "table")
    assert done.pairs == [(0, 0)]
    assert read == [tmp_path / "table/2.jpg", tmp_path / "truth/2.jpg"]


def test_two_spellings_of_one_file_are_the_same_photo(tmp_path):
    truth = [written(tmp_path / "1.jpg", b"one"), written(tmp_path / "1.jpg", b"one")]
    names = ["./1.jpg", str(tmp_path / "1.jpg")]
    assert match(truth, range(3), [found(name) for name in names], tmp_path).pairs == [(0, 0), (1, 1)]


def test_an_existing_file_is_preferred_to_an_equal_end(tmp_path):
    truth = [written(tmp_path / name, b"same") for name in ("1.jpg", "a/1.jpg")]
    done = match(truth, range(3), [found("1.jpg"), found("a/1.jpg")], tmp_path)
    assert done.pairs == [(0, 0), (1, 1)]


def test_the_name_that_shares_more_of_the_path_is_matched():
    assert matched([face("a/1.jpg")], [found("/b/1.jpg"), found("a/1.jpg")]).pairs == [(0, 1)]
    assert matched([face("a/1.jpg")], [found("1.jpg"), found("a/1.jpg")]).pairs == [(0, 1)]
    done = matched([face("a/1.jpg")], [found("/b/1.jpg"), found("/c/1.jpg")])
    assert done.pairs == []
    assert "may be any of 2 photos of the table" in done.ambiguous[0]


def test_windows_and_mac_names_are_matched():
    done = matched([face("a/é.jpg"), face("a/2.jpg")], [found("a/e\u0301.jpg"), found("C:\\x\\a\\2.jpg")])
    assert done.pairs == [(0, 0), (1, 1)]


def test_a_single_prediction_matches_a_single_face_at_any_distance():
    assert matched([face("1.jpg")], [found("1.jpg", (5000, 5000))]).pairs == [(0, 0)]


def test_faces_of_a_photo_are_distinguished_by_their_points():
    truth = [face("1.jpg"), face("1.jpg", (100, 0)), face("1.jpg", (300, 0))]
    done = matched(truth, [found("1.jpg", (103, 1)), found("1.jpg", (2, 0)), found("1.jpg", (1000, 0))])
    assert done.pairs == [(0, 1), (1, 0)]
    assert (done.missing, done.without_truth) == ([2], [2])


def test_boxes_take_precedence_over_points():
    boxes = [Box(0, 0, 30, 30), Box(100, 0, 30, 30)]
    truth = [face("1.jpg", box=boxes[0]), face("1.jpg", (100, 0), boxes[1])]
    wrong = [found("1.jpg", (100, 0), boxes[0]), found("1.jpg", (0, 0), boxes[1])]
    assert matched(truth, wrong).pairs == [(0, 0), (1, 1)]


def test_a_face_that_is_predicted_twice_is_matched_once():
    done = matched([face("1.jpg")], [found("1.jpg", (3, 0)), found("1.jpg", (1, 0))])
    assert (done.pairs, done.without_truth) == ([(0, 0)], [1])


def test_the_highest_score_is_matched_before_nearer_predictions():
    box = Box(0, 0, 200, 200)
    truth = [face("1.jpg", box=box)]
    exact, sure = found("1.jpg", (0, 0), box), found("1.jpg", (30, 0), box)
    done = matched(truth, [exact._replace(score=0.1), sure._replace(score=0.9), exact])
    assert (done.pairs, done.without_truth) == ([(0, 1)], [0, 2])
    assert matched(truth, [exact, exact._replace(score=-1.0)]).pairs == [(0, 1)]


def test_a_prediction_takes_the_free_face_whose_box_overlaps_most():
    boxes = [Box(0, 0, 30, 30), Box(8, 0, 30, 30)]
    truth = [face("1.jpg", box=boxes[0]), face("1.jpg", (8, 0), boxes[1])]
    predictions = [found("1.jpg", (8, 0), boxes[1], score) for score in (0.2, 0.9, 0.1)]
    done = matched(truth, predictions)
    assert (done.pairs, done.without_truth) == ([(0, 0), (1, 1)], [2])


def test_without_scores_the_first_near_prediction_is_matched():
    done = matched([face("1.jpg")], [found("1.jpg", (500, 0)), found("1.jpg", (9, 0)), found("1.jpg")])
    assert (done.pairs, done.without_truth) == ([(0, 1)], [0, 2])
