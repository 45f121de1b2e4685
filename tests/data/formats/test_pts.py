import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keypoints.data.formats.pts import format_pts, read_pts
from keypoints.errors import DataError


@pytest.fixture
def pts(tmp_path):
    def write(text):
        path = tmp_path / "face.pts"
        path.write_text(text)
        return path

    return write


@given(hnp.arrays(float, st.tuples(st.integers(1, 80), st.just(2)), elements=st.floats(-5000, 5000)))
def test_points_survive_a_round_trip(tmp_path_factory, points):
    path = tmp_path_factory.mktemp("pts") / "face.pts"
    path.write_text(format_pts(points))
    np.testing.assert_allclose(read_pts(path), points, atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nn_points:  2\n{\n1.0 2.5\n10 20\n}\n",
        "version: 1\r\nn_points: 2\r\n{\r\n1 2.5\r\n10 20\r\n}\r\n",
        "VERSION : 1\nN_POINTS:2\n\n{\n 1.0\t2.5 \n1e1 20\n}",
        "1.0 2.5\n10 20\n",
    ],
    ids=["official", "with carriage returns", "other blanks", "without header and braces"],
)
def test_1_based_points_are_read_as_0_based(pts, text):
    np.testing.assert_array_equal(read_pts(pts(text)), [[0, 1.5], [9, 19]])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no points"),
        ("version: 1\nn_points: 2\n{\n1 2\n", "is it cut off"),
        ("version: 1\nn_points: 2\n{\n1 2\n}\n", "announces 2 points and has 1"),
        ("n_points: many\n{\n1 2\n}\n", "announces many points and has 1"),
        ("1 2\n3 O.4\n", "line 2: not a point, two numbers: '3 O.4'"),
        ("1 2\n\n3\n", "line 3: not a point, two numbers: '3'"),
        ("1 2 3\n", "line 1: not a point"),
        ("1 nan\n", "line 1: not a point, two numbers: '1 nan'"),
    ],
)
def test_a_damaged_file_is_reported_with_the_reason(pts, text, says):
    with pytest.raises(DataError, match=rf"face\.pts: .*{says}"):
        read_pts(pts(text))


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(DataError, match=r"face\.pts: cannot be read"):
        read_pts(tmp_path / "face.pts")


def test_a_byte_order_mark_is_ignored(pts):
    path = pts("")
    path.write_bytes(b"\xef\xbb\xbfversion: 1\nn_points: 1\n{\n1.5 2.5\n}\n")
    np.testing.assert_array_equal(read_pts(path), [[0.5, 1.5]])
    np.testing.assert_array_equal(read_pts(str(path)), [[0.5, 1.5]])


@pytest.mark.parametrize("count", ["2", "0", "-1", "68", "one"])
def test_a_wrong_number_of_points_is_an_error(pts, count):
    with pytest.raises(DataError, match=rf"face\.pts: announces {count} points and has 1"):
        read_pts(pts(f"version: 1\nn_points: {count}\n{{\n1.5 2.5\n}}\n"))
