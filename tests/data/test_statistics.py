import numpy as np
import pytest
from PIL import Image, ImageFilter

from keypoints.crop import Crop
from keypoints.data.statistics import (
    MEASURES,
    measure,
    out_of_distribution_notes,
    sharpness,
    training_statistics,
)
from keypoints.geometry import Affine, Box
from keypoints.schemes import IBUG68, IMM58
from tests.conftest import draw_portrait

CROP = Crop(100, 100, source="box", margin=1.3)
DOUBLED = Affine.between(Box.of_image((100, 100)), Box(30, 40, 200, 200))


def face(angle=0.0, off=0.0):
    """Return 68 points of a 100 × 100 input: x from 20 to 80, y from 40 to 90, eyes 40 pixels apart."""
    points = np.random.default_rng(0).uniform((20, 40), (80, 90), (68, 2))
    points[0], points[1] = (20, 40), (80, 90)
    turn = np.radians(angle)
    along = np.array([np.cos(turn), np.sin(turn)])
    points[36], points[45] = np.array([50, 60]) - 20 * along, np.array([50, 60]) + 20 * along
    points[30] = np.array([50, 60]) + 20 * off * along + 8 * np.array([-along[1], along[0]])
    return points


def measured(points, scheme=IBUG68):
    return measure(np.zeros((100, 100), np.uint8), points, DOUBLED, scheme, CROP)


def test_a_face_without_labels_has_the_measures_of_its_picture():
    points = np.full((68, 2), np.nan)
    found = {name for name, value in measured(points).items() if np.isfinite(value)}
    assert found == {"width", "sharpness"}


def test_measures_describe_the_input_of_the_network():
    found = measured(face())
    assert found == pytest.approx(
        {
            "width": 200,
            "sharpness": 0,
            "tilt": 0,
            "turn": 0,
            "size": np.sqrt(0.6 * 0.5),
            "across": 0.505,
            "down": 0.655,
        },
        abs=1e-9,
    )
    assert list(found) == list(MEASURES)


@pytest.mark.parametrize("sign", [1, -1])
def test_tilt_and_turn_are_independent_of_direction(sign):
    found = measured(face(sign * 35, sign * 0.7))
    assert (found["tilt"], found["turn"]) == pytest.approx((35, 0.7))


def test_a_face_upside_down_is_tilted_most():
    assert measured(face(180))["tilt"] == pytest.approx(180)


def test_fewer_landmarks_give_fewer_measures():
    tip = measured(np.array([[29.5, 59.5]]), IMM58.select("nose_tip"))
    assert tip == pytest.approx({"width": 200, "sharpness": 0, "across": 0.3, "down": 0.6})
    eye = measured(face()[:8], IMM58.select("left_eye"))
    assert set(eye) == {"width", "sharpness", "size", "across", "down"}


def test_sharpness_is_the_variance_of_the_laplacian():
    dot = np.zeros((5, 5), np.uint8)
    dot[2, 2] = 10
    laplacian = np.array([0, 10, 0, 10, -40, 10, 0, 10, 0])
    assert sharpness(dot) == pytest.approx(laplacian.var())
    assert sharpness(np.full((2, 9), 7, np.uint8)) == 0


def test_a_blurred_picture_is_less_sharp_in_colour_and_grey():
    picture = Image.fromarray(draw_portrait()[0])
    for mode in ("RGB", "L"):
        sharp, blurred = (
            sharpness(np.asarray(own.convert(mode)))
            for own in (picture, picture.filter(ImageFilter.GaussianBlur(3)))
        )
        assert blurred < sharp / 2


def test_ranges_exclude_the_outer_percentiles_and_infinite_values():
    faces = [{"tilt": float(value)} for value in range(101)] + [{"tilt": float("nan"), "size": float("inf")}]
    assert training_statistics(faces) == {"tilt": (1, 99)}


def test_notes_state_the_value_and_the_range_in_training():
    support = {
        "width": (120, 300),
        "sharpness": (33, 900),
        "tilt": (0, 28),
        "turn": (0, 0.89),
        "size": (0.6, 0.85),
        "across": (0.36, 0.69),
    }
    strange = {
        "width": 37,
        "sharpness": 3.2,
        "tilt": 38,
        "turn": 0.95,
        "size": 0.4,
        "across": 0.75,
        "down": 9,
    }
    assert out_of_distribution_notes(strange, support, CROP) == [
        "Very low resolution: the input, 100 pixels wide, covers 37 pixels of the photo, in training 120 and "
        "more.",
        "Blurred: its sharpness is 3, in training 33 and more.",
        "Strongly tilted: the eyes are tilted by 38°, in training up to 28°.",
        "Strongly turned: the tip of the nose is 95 % of the way from between the eyes to an outer corner, "
        "in training up to 89 %.",
        "The box is unlike the boxes in training: the points span 40 % of the input, in training 60 % to "
        "85 %.",
        "The box is unlike the boxes in training: the points' middle is at 75 % of the input's width, in "
        "training 36 % to 69 %.",
    ]
    framed = out_of_distribution_notes({"size": 0.9}, support, Crop(100, 100))
    assert framed == [
        "The photo is framed unlike the photos in training: the points span 90 % of the input, in training "
        "60 % to 85 %."
    ]


def test_values_within_the_range_or_better_give_no_note():
    support = {"width": (120, 300), "sharpness": (33, 900), "tilt": (1, 28)}
    assert not out_of_distribution_notes({"width": 1000, "sharpness": 2000, "tilt": 0}, support, CROP)
    assert not out_of_distribution_notes(
        {"width": 101, "sharpness": 50, "tilt": 20}, support, CROP
    )  # at least the input's resolution
    assert not out_of_distribution_notes({"width": 1, "tilt": 90}, {}, CROP)
