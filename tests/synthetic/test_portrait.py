import numpy as np
import pytest

from keypoints.schemes import IBUG68, IMM58
from keypoints.synthetic.portrait import SIZE, Head, Person, Pose, example_portrait, portrait


def head_of(number, **pose):
    return Head(
        Person.draw(np.random.default_rng(number)), Pose(**{"centre": (320, 225), "scale": 66, **pose})
    )


POSES = [{}, {"yaw": -30}, {"yaw": 30}, {"smile": 1, "mouth_open": 0.6}, {"roll": 12, "pitch": 5}]


@pytest.mark.parametrize("pose", POSES, ids=str)
@pytest.mark.parametrize("points", ["imm58", "ibug68"])
def test_the_points_are_arranged_like_a_face(points, pose):
    scheme = {"imm58": IMM58, "ibug68": IBUG68}[points]
    for number in range(5):
        found = getattr(head_of(number, **pose), points)()
        assert found.shape == (len(scheme), 2)
        assert (found > 0).all()
        assert (found < SIZE).all()
        centre = {part: found[list(indices)].mean(axis=0) for part, indices in scheme.parts.items()}
        mouth = "mouth" if points == "imm58" else "outer_lip"
        assert (
            centre["left_brow"][1]
            < centre["left_eye"][1]
            < centre[mouth][1]
            < found[list(scheme.parts["jaw"])][:, 1].max()
        )
        assert centre["left_eye"][0] < centre[mouth][0] < centre["right_eye"][0]


def test_a_frontal_face_is_symmetric():
    for scheme, points in ((IMM58, "imm58"), (IBUG68, "ibug68")):
        found = getattr(head_of(0), points)()
        mirrored = found[list(scheme.flip_indices)] * (-1, 1) + (2 * 320, 0)
        np.testing.assert_allclose(mirrored, found, atol=3)  # the lower lip is not exactly symmetric


def test_a_turned_head_moves_its_nose_to_that_side():
    nose = IMM58.indices("nose_tip")[0]
    left, front, right = (head_of(0, yaw=yaw).imm58()[nose, 0] for yaw in (-30, 0, 30))
    assert left < front - 15 < front + 15 < right


def test_the_points_lie_on_the_drawn_features():
    for number in range(4):
        head = head_of(number, mouth_open=0.7)
        grey = portrait(head, np.random.default_rng(0)).astype(float).mean(axis=2)
        points = head.ibug68()
        x, y = np.rint(points[[61, 62, 63, 65, 66, 67]].mean(axis=0)).astype(int)
        skin_x, skin_y = np.rint(points[[30, 1, 2, 3]].mean(axis=0)).astype(int)
        assert grey[y, x] < grey[skin_y, skin_x]  # the inside of the mouth is dark
        pupils = [
            np.rint(points[list(eye)].mean(axis=0)).astype(int) for eye in (range(36, 42), range(42, 48))
        ]
        for x, y in pupils:
            eye = grey[y - 2 : y + 3, x - 14 : x + 15]
            assert np.abs(eye.mean(axis=0).argmin() - 14) <= 3  # the darkest column of the eye is its pupil


def test_the_same_random_seed_gives_the_same_picture():
    head = head_of(1)
    first, again, other = (portrait(head, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (480, 640, 3)


def test_examples_differ_by_seed_and_repeat():
    assert example_portrait(1).shape == (480, 640, 3)
    assert np.array_equal(example_portrait(1), example_portrait(1))
    assert not np.array_equal(example_portrait(1), example_portrait(2))
