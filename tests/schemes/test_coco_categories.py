"""Schemes from the categories of COCO files."""

import json
import logging

import pytest

from keypoints.errors import DataError
from keypoints.schemes import IBUG68, scheme_named

NAMES = ["left_eye", "right_eye", "nose", "chin"]


def coco(tmp_path, *categories):
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": list(categories)}))
    return path


def face(**changes):
    return {"id": 1, "name": "face", "keypoints": NAMES, "skeleton": [[1, 3], [3, 2]], **changes}


def test_a_category_gives_names_skeleton_and_flip(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    scheme = scheme_named(coco(tmp_path, {"id": 2, "name": "car"}, face()))
    assert (scheme.name, scheme.names) == ("face", tuple(NAMES))
    assert scheme.flip_indices == (1, 0, 2, 3)
    assert scheme.skeleton == ((0, 2), (2, 1))
    assert scheme.normalizing_points is None
    assert "flip_indices derived from the names: left_eye ↔ right_eye" in caplog.text


def test_names_of_a_known_scheme_are_that_scheme(tmp_path):
    assert scheme_named(coco(tmp_path, face(keypoints=list(IBUG68.names), skeleton=[]))) == IBUG68


@pytest.mark.parametrize(
    ("categories", "says"),
    [
        ([face(keypoints=["a", "b", "a"], skeleton=[])], "category face: .*the point a is named twice"),
        ([face(skeleton=[[0, 1]])], r"category face: skeleton: \[0, 1\] is no pair of points from 1 to 4"),
        ([face(skeleton=[[1, 5]])], r"skeleton: \[1, 5\] is no pair of points from 1 to 4"),
        ([face(keypoints=[1, 2])], "keypoints is the list of the points' names"),
        ([face(), face(id=2, name="body")], r"and 2 do \(face, body\); give a YAML file"),
        ([{"id": 1, "name": "face"}], r"and 0 do \(none\)"),
    ],
)
def test_a_category_that_is_no_scheme_is_refused_in_one_line(tmp_path, categories, says):
    with pytest.raises(DataError, match=rf"list\.json: .*{says}"):
        scheme_named(coco(tmp_path, *categories))


@pytest.mark.parametrize(("text", "says"), [("{", "is no JSON"), ("[]", "has no list of categories")])
def test_a_file_without_categories_is_refused(tmp_path, text, says):
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(DataError, match=says):
        scheme_named(path)
