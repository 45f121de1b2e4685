from hypothesis import given
from hypothesis import strategies as st

from keypoints.datasets.lists import box_round, centre_of, exact, scale_of
from keypoints.datasets.values import number
from keypoints.geometry import Box


def test_a_boxs_middle_is_a_point_of_the_photo():
    assert centre_of(Box(0, 0, 1, 3)) == (0, 1)  # the first pixel's centre, and the second's
    assert scale_of(Box(0, 0, 50, 100)) == 0.5
    assert box_round((0, 1), (0.005, 0.015)) == Box(0, 0, 1, 3)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_written_reads_back_the_same(value):
    assert number(exact(value)) == value
