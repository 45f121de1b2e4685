import pytest

from keypoints.errors import ConfigError
from keypoints.landmarks import LandmarkScheme
from keypoints.schemes import IBUG68, IMM58

SCHEMES = [IMM58, IBUG68]


def test_the_schemes_have_their_published_numbers_of_points():
    assert (len(IMM58), len(IBUG68)) == (58, 68)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_mirroring_twice_changes_nothing(scheme):
    assert [scheme.flip_indices[scheme.flip_indices[i]] for i in range(len(scheme))] == list(
        range(len(scheme))
    )


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_a_mirrored_face_has_the_same_lines(scheme):
    lines = {frozenset(line) for line in scheme.skeleton}
    assert {frozenset(scheme.flip_indices[i] for i in line) for line in lines} == lines


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_mirroring_swaps_the_sides_of_the_named_parts(scheme):
    for part, points in scheme.parts.items():
        other = part.replace("left", "L").replace("right", "left").replace("L", "right")
        assert {scheme.flip_indices[i] for i in points} == set(scheme.parts[other])


def test_mirror_permutations_match_the_published_annotations():
    # Copied from the data sets' own descriptions.
    assert IMM58.flip_indices[39:47] == (43, 42, 41, 40, 39, 46, 45, 44)
    assert IMM58.flip_indices[13:29] == (*range(21, 29), *range(13, 21))
    assert IBUG68.flip_indices[36:48] == (45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40)
    assert IBUG68.flip_indices[48:] == (
        54,
        53,
        52,
        51,
        50,
        49,
        48,
        59,
        58,
        57,
        56,
        55,
        64,
        63,
        62,
        61,
        60,
        67,
        66,
        65,
    )


def test_the_eye_line_runs_from_left_to_right_in_the_picture():
    assert IBUG68.eye_line == (36, 45)
    assert IMM58.eye_line == (21, 13)
    assert IMM58.select("nose_tip").eye_line is None
    unnamed = LandmarkScheme("own", {"eyes": (0, 1)}, None, (0, 1), ())
    assert unnamed.eye_line is None


def test_the_normalising_points_are_the_outer_eye_corners():
    assert (IMM58.normalizing_points, IBUG68.normalizing_points) == ((13, 21), (36, 45))


def test_the_nose_tip_is_one_point_and_mirrors_to_itself():
    nose = IMM58.select("nose_tip")
    assert IMM58.indices("nose_tip") == (58 - 6,)
    assert (len(nose), nose.flip_indices, nose.normalizing_points, nose.skeleton) == (1, (0,), None, ())


def test_a_part_keeps_its_lines_but_not_an_open_flip():
    eye = IBUG68.select("left_eye")
    assert eye.skeleton == ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0))
    assert eye.flip_indices is None
    assert IBUG68.select("jaw").flip_indices == tuple(range(16, -1, -1))


def test_an_unknown_selection_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"no landmarks 'chin'; it has .*jaw.*nose_tip"):
        IMM58.select("chin")


@pytest.mark.parametrize("scheme", [*SCHEMES, IMM58.select("nose_tip")], ids=lambda scheme: scheme.name)
def test_a_scheme_survives_a_round_trip_through_plain_values(scheme):
    assert LandmarkScheme.from_dict(scheme.to_dict()) == scheme


@pytest.mark.parametrize(
    "change",
    [
        {"flip_indices": [0, 0, 1]},
        {"flip_indices": [1, 2, 0]},
        {"parts": {"a": [0, 1], "b": [1, 2]}},
        {"parts": {}},
        {"normalizing_points": [0, 3]},
        {"normalizing_points": "outer"},
        {"skeleton": [[0, -1]]},
        {"selections": {"tip": [7]}},
    ],
)
def test_a_scheme_that_contradicts_itself_is_refused(change):
    sound = LandmarkScheme("three", {"a": (0, 1, 2)}, (2, 1, 0), (0, 2), ((0, 1),)).to_dict()
    with pytest.raises(ConfigError):
        LandmarkScheme.from_dict({**sound, **change})
