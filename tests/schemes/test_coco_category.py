import pytest

from keypoints.schemes.coco_category import category_name, category_points

FACE = {
    "id": 3,
    "name": "face",
    "keypoints": ["left_eye", "right_eye", "nose"],
    "skeleton": [[1, 3], [2.0, 3]],
}


def test_a_category_names_its_points_and_joins_them():
    points = category_points(FACE)
    assert points.names == ("left_eye", "right_eye", "nose")
    assert points.skeleton == ((0, 2), (1, 2))
    assert (category_name(FACE), category_name({"id": 3})) == ("face", "3")


def test_numbers_and_missing_entries_are_no_names():
    assert category_points({"keypoints": ["0", "1"], "skeleton": [[1, 2]]}) == ((), 2, ((0, 1),))
    assert category_points({"keypoints": ["1", "2"]}).names == ()
    assert category_points({"keypoints": ["2", "1"]}).names == ("2", "1")
    assert category_points({"keypoints": None}) == ((), 0, ())


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"keypoints": {"a": 1}}, "keypoints is the list of the points' names"),
        ({"keypoints": ["a", 1]}, "keypoints is the list of the points' names"),
        ({"keypoints": ["a", "b", "a"]}, "keypoints names the point a twice"),
        ({"skeleton": {"a": 1}}, "skeleton is a list of pairs"),
        ({"skeleton": [[0, 1]]}, r"skeleton: \[0, 1\] is no pair of its 3 points, which are counted from 1"),
        ({"skeleton": [[1, 4]]}, r"skeleton: \[1, 4\] is no pair"),
        ({"skeleton": [[1, 2, 3]]}, r"skeleton: \[1, 2, 3\] is no pair"),
        ({"skeleton": [[True, 2]]}, r"skeleton: \[True, 2\] is no pair"),
        ({"skeleton": [1]}, "skeleton: 1 is no pair"),
    ],
    ids=str,
)
def test_a_category_that_cannot_be_used_is_refused(values, says):
    with pytest.raises(ValueError, match=says):
        category_points({**FACE, **values})
