import numpy as np
import pytest

from keypoints.callbacks.signed_pictures import colour_bar, enlarged, signed_colours, signed_picture


def test_negative_numbers_are_blue_and_positive_numbers_red():
    colours = signed_colours(np.array([-1.0, 0, 1.0]), 1.0).astype(int)
    assert colours[0, 2] > colours[0, 0] + 50
    assert colours[1].tolist() == [255] * 3
    assert colours[2, 0] > colours[2, 2] + 50


def test_numbers_beyond_the_limit_have_its_colour():
    colours = signed_colours(np.array([-9.0, -0.5, 0.5, 9.0]), 0.5)
    assert (colours[0] == colours[1]).all()
    assert (colours[2] == colours[3]).all()


@pytest.mark.parametrize("width", [1, 3, 7, 10, 50, 64, 80])
def test_a_plane_is_at_least_64_pixels_wide(width):
    side = enlarged(np.zeros((width, width, 3), np.uint8)).shape[1]
    assert side >= 64
    assert side % width == 0


@pytest.mark.parametrize(("planes", "side"), [(12, 3), (12, 5), (12, 7), (16, 10), (1, 7)])
def test_a_picture_fits_into_tensorboards_card(planes, side):
    picture = signed_picture(np.zeros((planes, side, side)), 1.0, "weight")
    assert picture.shape[1] <= 350


def test_the_colour_bar_runs_from_blue_to_red_with_a_label():
    bar = colour_bar(340, 0.5, "weight").astype(int)
    left, right = bar[8, 30], bar[8, 310]
    assert left[2] > left[0]
    assert right[0] > right[2]
    assert (bar[-12:] < 100).any()
