import json
import logging
from dataclasses import replace

import pytest

from keypoints.errors import ConfigError, DataError
from keypoints.landmarks import mirror_permutation
from keypoints.schemes import IBUG68, IMM58, known_schemes, point_names, read_scheme, scheme_named

COUNTS = {"cofw29": 29, "ibug68": 68, "imm58": 58, "kaggle15": 15, "wflw98": 98}

PUBLISHED = {
    # Sagonas et al., 300-W; swapped pairs as HRNet's and MMPose's data sets have them.
    "ibug68": [
        *[(place, 16 - place) for place in range(8)],
        *[(17 + place, 26 - place) for place in range(5)],
        *[(31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)],
        *[(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)],
    ],
    "wflw98": [
        *[(place, 32 - place) for place in range(16)],
        *[(33, 46), (34, 45), (35, 44), (36, 43), (37, 42), (38, 50), (39, 49), (40, 48), (41, 47)],
        *[(55, 59), (56, 58), (60, 72), (61, 71), (62, 70), (63, 69), (64, 68), (65, 75), (66, 74), (67, 73)],
        *[(76, 82), (77, 81), (78, 80), (83, 87), (84, 86), (88, 92), (89, 91), (93, 95), (96, 97)],
    ],
    "cofw29": [
        *[(0, 1), (2, 3), (4, 6), (5, 7), (8, 9), (10, 11), (12, 14), (13, 15), (16, 17), (18, 19), (22, 23)]
    ],
    "kaggle15": [(0, 1), (2, 4), (3, 5), (6, 8), (7, 9), (11, 12)],
}
"""Pairs of points that a flip swaps; the others stay."""


def test_the_package_has_the_schemes_of_five_data_sets():
    assert {name: len(scheme_named(name)) for name in known_schemes()} == COUNTS


@pytest.mark.parametrize("name", PUBLISHED)
def test_flips_derived_from_the_names_are_the_published_ones(name):
    swapped = dict(PUBLISHED[name]) | {b: a for a, b in PUBLISHED[name]}
    scheme = scheme_named(name)
    assert mirror_permutation(scheme.names) == tuple(swapped.get(each, each) for each in range(len(scheme)))


@pytest.mark.parametrize("name", COUNTS)
def test_each_scheme_is_complete_and_mirrors_its_own_lines(name):
    scheme = scheme_named(name)
    assert len(scheme.names) == len(scheme)
    assert scheme.eye_line is not None
    assert len(scheme.select("nose_tip")) == 1
    lines = {frozenset(line) for line in scheme.skeleton}
    assert {frozenset(scheme.flip_indices[each] for each in line) for line in lines} == lines
    for part, points in scheme.parts.items():
        other = part.replace("left", "L").replace("right", "left").replace("L", "right")
        assert {scheme.flip_indices[each] for each in points} == set(scheme.parts[other])


def test_known_points_have_their_names():
    assert [IBUG68.names[place] for place in (8, 30, 36, 45, 48)] == [
        *("chin", "nose_tip", "left_eye_outer", "right_eye_outer", "left_mouth_corner")
    ]
    assert IMM58.names[6] == "chin"
    assert scheme_named("wflw98").names[96:] == ("left_pupil", "right_pupil")


FIVE = """
points: [left_eye, right_eye, nose_tip, left_mouth, right_mouth]
parts: {eyes: [left_eye, right_eye], nose: 2, mouth: 3-4}
skeleton: [[left_eye, nose_tip, right_eye], 3-4]
normalizing_points: [left_eye, right_eye]
"""


def written(folder, text):
    path = folder / "five.yaml"
    path.write_text(text)
    return path


def test_an_own_scheme_is_one_file_and_its_flip_is_told(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    scheme = scheme_named(written(tmp_path, FIVE))
    assert (scheme.name, len(scheme)) == ("five", 5)
    assert scheme.flip_indices == (1, 0, 2, 4, 3)
    assert scheme.parts == {"eyes": (0, 1), "nose": (2,), "mouth": (3, 4)}
    assert scheme.skeleton == ((0, 2), (2, 1), (3, 4))
    assert scheme.normalizing_points == (0, 1)
    assert "derived from the names: left_eye ↔ right_eye" in caplog.text


def test_points_may_be_only_counted_or_flipped_by_hand(tmp_path, caplog):
    plain = read_scheme(written(tmp_path, "points: 3"))
    assert (plain.parts, plain.flip_indices, plain.names) == ({"points": (0, 1, 2)}, None, ())
    assert "nothing is flipped" in caplog.text
    given = read_scheme(written(tmp_path, "name: x\npoints: 3\nflip_indices: [2, 1, 0]"))
    assert (given.name, given.flip_indices) == ("x", (2, 1, 0))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("points: 0", "points is the list of the points' names, or their number"),
        ("name: x", "points is the list"),
        ("points: [a, b, a]", "points: a is named twice"),
        (
            "points: 3\nflip_indices: [1, 2, 0]",
            "flip_indices must be a permutation of its points",
        ),
        ("points: 3\nflip_indices: [0, 1]", "flip_indices must be a permutation"),
        ("points: 3\nparts: {a: 0-3}", "parts.a: '0-3' is none of the 3 points"),
        ("points: [a]\nparts: {a: b}", "parts.a: 'b' is none of the 1 point"),
        ("points: 3\nparts: {a: 0-1}", "parts: contain 2 points; each of the 3"),
        ("points: 3\nparts: [0, 1]", "parts is a mapping of names to points"),
        ("points: 3\nskeleton: {a: 1}", "skeleton is a list of chains"),
        ("points: 3\nnormalizing_points: 1", "normalizing_points is two points"),
        ("points: 3\nnormalizing_points: [1, 1]", "normalizing_points is two points, whose distance"),
        ("points: 10001", "or their number, up to 10,000"),
        ("points: [a, '']", "points is the list of the points' names"),
        ('points: [a, "b\\nc"]', "points is the list of the points' names"),
        ("points: 3\nparts: {a: [], b: 0-2}", "parts.a contains no point"),
        ("points: 3\nselections: {a: []}", "selections.a contains no point"),
        ("points: [a, b]\nskeleton: [a, b]", "skeleton: 'a' joins nothing; it is a list of chains"),
        ("points: 3\nflips: [0]", "has an unknown key flips; the keys are name, source"),
        ("points: 3\npoints: 4", "line 2: the key points is given twice"),
        ("[1, 2]", "has no keys with values"),
        ("points: [a", "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_scheme_is_named_in_one_line(tmp_path, text, says):
    with pytest.raises(DataError, match=r"five\.yaml: ") as error:
        scheme_named(written(tmp_path, text))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_scheme_names_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"no landmark scheme 'ibug'; there are cofw29, ibug68, imm58"):
        scheme_named("ibug")
    with pytest.raises(ConfigError, match=r"gone\.yaml: there is no such"):
        scheme_named(tmp_path / "gone.yaml")


FACE = {"id": 3, "name": "face", "keypoints": ["left_eye", "right_eye", "nose"], "skeleton": [[1, 3], [2, 3]]}


def listed(folder, *categories):
    path = folder / "list.json"
    path.write_text(json.dumps({"categories": categories}))
    return path


def test_a_coco_category_is_a_scheme(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    scheme = scheme_named(listed(tmp_path, {"id": 1, "name": "car"}, FACE))
    assert (scheme.name, scheme.names) == ("face", ("left_eye", "right_eye", "nose"))
    assert (scheme.flip_indices, scheme.skeleton) == ((1, 0, 2), ((0, 2), (1, 2)))
    assert (scheme.parts, scheme.normalizing_points) == ({"points": (0, 1, 2)}, None)
    assert "face: flip_indices derived from the names: left_eye ↔ right_eye" in caplog.text


@pytest.mark.parametrize("name", COUNTS)
def test_a_category_with_known_names_is_the_known_scheme(tmp_path, name):
    known = scheme_named(name)
    assert scheme_named(listed(tmp_path, {**FACE, "keypoints": known.names})) is known


@pytest.mark.parametrize("name", COUNTS)
def test_older_schemes_without_names_get_those_of_the_package(name, tmp_path):
    known = scheme_named(name)
    assert point_names(replace(known, names=())) == known.names
    by_part = point_names(replace(known, name="other", names=()))
    part, points = next(iter(known.parts.items()))
    assert by_part[points[0]] == f"{part}_0"
    assert scheme_named(listed(tmp_path, {**FACE, "keypoints": by_part})) is known


def test_names_that_count_within_parts_tell_no_flip(tmp_path):
    counted = ["left_eye_0", "left_eye_1", "right_eye_0", "right_eye_1"]
    assert scheme_named(listed(tmp_path, {**FACE, "keypoints": counted})).flip_indices is None
    single = {**FACE, "keypoints": ["left_eye_0", "right_eye_0", "nose"]}
    assert scheme_named(listed(tmp_path, single)).flip_indices == (1, 0, 2)


@pytest.mark.parametrize(
    ("categories", "says"),
    [
        ([], "one category whose keypoints have names; it has none"),
        ([FACE, {**FACE, "name": "hand"}], "it has face, hand"),
        ([{**FACE, "keypoints": ["0", "1"], "skeleton": []}], "category face: its keypoints have no names"),
        ([{**FACE, "keypoints": ["a", "a"]}], "category face: keypoints names the point a twice"),
    ],
)
def test_a_coco_list_without_one_scheme_is_named(tmp_path, categories, says):
    with pytest.raises(DataError, match=rf"list\.json: .*{says}"):
        scheme_named(listed(tmp_path, *categories))
    (tmp_path / "list.json").write_text("[1")
    with pytest.raises(DataError, match=r"list\.json: is no JSON"):
        scheme_named(tmp_path / "list.json")


def test_names_swap_their_sides_as_words_only():
    assert mirror_permutation(["leftEye", "rightEye", "cleft"]) == (1, 0, 2)
    assert mirror_permutation(["eye left", "eye right"]) == (1, 0)
    assert mirror_permutation(["LEFT_EYE", "RIGHT_EYE"]) == (1, 0)
    assert mirror_permutation(["left_eye", "nose"]) is None
    assert mirror_permutation(["a", "b"]) is None
