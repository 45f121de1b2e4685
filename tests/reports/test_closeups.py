import base64
import io

import numpy as np
import pytest
from PIL import Image

from keypoints.drawing import ERROR, PREDICTION, TRUTH
from keypoints.geometry import Box
from keypoints.reports.closeups import CloseUp, draw_closeup, region_around

SIZE = (640, 480)
FACE = np.array([[200.0, 150.0], [399.0, 349.0]])


def contains(region, points):
    low, high = points.min(axis=0), points.max(axis=0)
    corner = region.left + region.width, region.top + region.height
    return region.left <= low[0] and region.top <= low[1] and (high <= corner).all()


def test_a_face_is_shown_with_a_margin_around_its_points():
    region = region_around(FACE, SIZE)
    assert region.width == region.height == pytest.approx(1.35 * 200)
    assert region.left + region.width / 2 == pytest.approx(300)


def test_a_single_point_is_shown_with_its_surroundings():
    region = region_around(np.array([[300.0, 200.0]]), SIZE)
    assert region.width == pytest.approx(0.4 * 480)


def test_a_small_face_is_shown_as_large_as_any_other():
    face = 40 * np.random.default_rng(0).random((5, 2)) + 1500
    assert region_around(face, (4000, 3000)).width < 60
    assert region_around(np.full((5, 2), 1500.0), (4000, 3000)).width == 24


def test_the_view_grows_for_wrong_predictions_but_keeps_the_face_large():
    near = FACE + 80
    assert contains(region_around(FACE, SIZE, near), np.concatenate([FACE, near]))
    far = region_around(FACE, SIZE, FACE + 5000)
    assert far.width == pytest.approx(1.8 * 1.35 * 200)
    assert contains(far, FACE)


@pytest.mark.parametrize(
    "points",
    [FACE - 190, FACE + 200, FACE - 9000, FACE * 50, np.full((2, 2), np.nan)],
    ids=["at the left", "at the right", "outside", "huge", "unlabelled"],
)
@pytest.mark.parametrize("size", [SIZE, (1000, 8)])
def test_any_points_give_a_view_of_the_photo(points, size):
    region = region_around(points, size, FACE)
    assert not region.misses(size)
    if region.width <= min(size):
        assert region.left >= 0
        assert region.top + region.height <= size[1]
    assert draw_closeup(np.zeros(size[::-1], np.uint8), region, truth=points, width=64).shape[1:] == (64, 3)


def test_an_error_of_a_pixel_is_visible():
    grey = np.full(SIZE[::-1], 128, np.uint8)
    region = Box(200, 150, 200, 200)
    for error in (0, 1):
        truth = np.array([[300.0, 250.0], [220.0, 170.0]])
        drawn = draw_closeup(grey, region, truth=truth, prediction=np.add(truth, (error, 0))).astype(int)
        green = (np.abs(drawn - TRUTH).max(axis=2) < 60).sum()
        assert (green > 5) == bool(error)


def test_points_lie_where_they_are_in_the_photo():
    region = Box(100, 50, 320, 320)
    truth, predicted = np.array([[180.0, 130.0]]), np.array([[340.0, 290.0]])
    drawn = draw_closeup(np.full(SIZE[::-1], 90, np.uint8), region, truth=truth, prediction=predicted).astype(
        int
    )
    for colour, (x, y) in ((TRUTH, truth[0]), (PREDICTION, predicted[0])):
        middle = np.argwhere(np.abs(drawn - colour).max(axis=2) < 60).mean(axis=0)
        np.testing.assert_allclose(middle, [2 * (y - 50) + 0.5, 2 * (x - 100) + 0.5], atol=1.5)
    assert (np.abs(drawn - ERROR).max(axis=2) < 60).sum() > 50


def test_a_page_embeds_a_close_up():
    kind, _, encoded = CloseUp(np.zeros((20, 30, 3), np.uint8), "a face", "1 px").source.partition("base64,")
    assert kind == "data:image/jpeg;"
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (30, 20)
