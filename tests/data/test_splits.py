from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.data.splits import check_fold, split_by_group, split_into_folds, united_groups
from keypoints.errors import ConfigError, DataError


def faces_of(groups):
    return [
        Face(Photo(Path(f"{number}.jpg")), None, None, group=str(group))
        for number, group in enumerate(groups)
    ]


several = st.lists(st.integers(0, 9), min_size=2, max_size=60).filter(lambda groups: len(set(groups)) > 1)


@given(several, st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_split_keeps_every_face_and_separates_groups(groups, fraction, seed):
    faces = faces_of(groups)
    rest, part = split_by_group(faces, fraction, seed)
    assert rest
    assert part
    assert sorted(face.name for face in rest + part) == sorted(face.name for face in faces)
    assert not {face.group for face in rest} & {face.group for face in part}


@given(several, st.randoms(use_true_random=False))
def test_the_order_of_the_faces_does_not_matter(groups, random):
    faces = faces_of(groups)
    shuffled = random.sample(faces, len(faces))
    first, second = (split_by_group(order, 0.3, seed=1)[1] for order in (faces, shuffled))
    assert {face.name for face in first} == {face.name for face in second}
    assert first == [face for face in faces if face in second]


def test_the_part_has_the_given_fraction_and_depends_on_the_seed():
    faces = faces_of([number // 2 for number in range(1000)])
    parts = [split_by_group(faces, 0.1, seed)[1] for seed in (0, 1)]
    assert [len(part) for part in parts] == [100, 100]
    assert parts[0] != parts[1]


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        split_by_group(faces_of([1, 2]), fraction, 0)


def test_a_single_group_cannot_be_split():
    with pytest.raises(DataError, match="1 group"):
        split_by_group(faces_of([1, 1]), 0.5, 0)


@given(several, st.data(), st.integers(0, 5))
def test_every_fold_has_complete_groups_and_about_equal_size(groups, data, seed):
    faces = faces_of(groups)
    folds = data.draw(st.integers(2, len(set(groups))))
    places = split_into_folds(faces, folds, seed)
    sizes = [places.count(fold) for fold in range(folds)]
    assert sum(sizes) == len(faces)
    assert min(sizes) > 0
    assert max(sizes) - min(sizes) <= max(map(groups.count, groups))
    assert len(set(zip(groups, places, strict=True))) == len(set(groups))


@given(several, st.randoms(use_true_random=False))
def test_folds_do_not_depend_on_the_order_of_the_faces(groups, random):
    faces = faces_of(groups)
    shuffled = random.sample(faces, len(faces))
    first, second = (
        {face.name: place for face, place in zip(order, split_into_folds(order, 2, seed=1), strict=True)}
        for order in (faces, shuffled)
    )
    assert first == second


def test_folds_of_single_faces_differ_by_one_face():
    faces = faces_of(range(103))
    first, second = (split_into_folds(faces, 5, seed) for seed in (0, 1))
    assert [first.count(fold) for fold in range(5)] == [21, 21, 21, 20, 20]
    assert first != second
    assert first == split_into_folds(faces, 5, 0)


def test_more_folds_than_groups_are_refused():
    with pytest.raises(DataError, match="2 groups of faces cannot be divided into 3 folds; take fewer"):
        split_into_folds(faces_of([1, 1, 2, 2]), 3, 0)
    with pytest.raises(ConfigError, match="seed of a split"):
        split_into_folds(faces_of([1, 2]), 2, -1)


@pytest.mark.parametrize(
    ("folds", "fold", "says"),
    [
        (1, None, "folds is a number from 2 up, or null, not 1"),
        (True, 0, "folds is a number from 2 up, or null, not True"),
        (None, 0, r"fold 0 needs the number of folds: data\.folds=5"),
        (5, 5, "fold is a number from 0 to 4, or null for no cross-validation, not 5"),
        (5, -1, "fold is a number from 0 to 4"),
        (5, True, "fold is a number from 0 to 4"),
    ],
)
def test_folds_out_of_range_are_refused(folds, fold, says):
    with pytest.raises(ConfigError, match=says):
        check_fold(folds, fold)


def test_groups_that_share_a_photo_stay_together():
    def face(group, photo):
        return Face(Photo(Path(f"{photo}.jpg")), None, None, group, photo_id=f"{photo}.jpg {photo * 32}")

    faces = [face("anna", "a"), face("ben", "a"), face("ben", "b"), face("carl", "c"), face("dora", "d")]
    assert united_groups(faces) == ["anna", "anna", "anna", "carl", "dora"]
    assert united_groups(faces[::-1]) == ["dora", "carl", "anna", "anna", "anna"]
    for seed in range(5):
        rest, part = split_by_group(faces, 0.4, seed)
        assert not {face.photo_id for face in rest} & {face.photo_id for face in part}
        assert not {face.group for face in rest} & {face.group for face in part}
