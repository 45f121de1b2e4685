from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keypoints.data.formats.lists import (
    OpenList,
    box_round,
    centre_of,
    columns,
    exact,
    header,
    points_or_nan,
    scale_of,
    table,
)
from keypoints.data.formats.values import number
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.schemes import IBUG68


def test_the_centre_of_a_box_is_in_pixels_of_the_photo():
    assert centre_of(Box(0, 0, 1, 3)) == (0, 1)  # the first pixel's centre, and the second's
    assert scale_of(Box(0, 0, 50, 100)) == 0.5
    assert box_round((0, 1), (0.005, 0.015)) == Box(0, 0, 1, 3)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_a_round_trip_exactly(value):
    assert number(exact(value)) == value


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("image,x0,y0\na.png,1.5,2\n", ["a.png", "1.5", "2"]),
        ("image,x0,y0\ra.png,1.5,2\r", ["a.png", "1.5", "2"]),
        ("image,x0,y0\r\na.png,1.5,2\r\n", ["a.png", "1.5", "2"]),
        ("image;x0;y0\na, b.png;1,5;-2,0e3\n", ["a, b.png", "1.5", "-2.0e3"]),
        ("image\tx0\ty0\na, b.png\t1.5\t2\n", ["a, b.png", "1.5", "2"]),
        ("image, x0, y0\na.png, 1.5 , 2\n", ["a.png", "1.5", "2"]),
        ('image, x0, y0\n"a, b.png", "1.5", 2\n', ["a, b.png", "1.5", "2"]),
        ("image,x0,y0\n a.png,1.5,2\n", [" a.png", "1.5", "2"]),
        ('image,x0,y0\n"a\nb.png",1.5,2\n', ["a\nb.png", "1.5", "2"]),
        ("image;x0;y0\n;;\na.png;1;2\n;;\n", ["a.png", "1", "2"]),
        ("image,x0,y0,,\na.png,1,2,,\n , ,\n", ["a.png", "1", "2"]),
        ("image\tx0\ty0\na.png\t1,5\t2,25\n", ["a.png", "1.5", "2.25"]),
        ('"image", "x0", "y0"\n"a.png", 1.5, 2\n', ["a.png", "1.5", "2"]),
    ],
    ids=repr,
)
def test_csv_dialects_of_common_programs_are_read(text, cells):
    path = Path("list.csv")
    assert columns(path, text) == header(text) == ["image", "x0", "y0"]
    assert [row for _, row in table(path, text)] == [cells]


def test_rows_have_line_numbers_with_any_line_ends():
    path = Path("list.csv")
    for end in ("\n", "\r", "\r\n"):
        text = end.join(["image,x0,y0", "a.png,1,2", "", "b.png,3,4"])
        assert [line for line, _ in table(path, text)] == [2, 4]


def test_points_of_a_row_are_read_in_any_notation():
    columns = ["x0", "y0", "x1", "y1"]
    usual = dict(zip(columns, ["1", "2.5", "-3", "4"], strict=True))
    assert points_or_nan(usual, columns) == [(1, 2.5), (-3, 4)]
    (first, second) = points_or_nan({**usual, "x0": "", "y0": "", "x1": "1e1"}, columns)
    assert np.isnan(first).all()
    assert second == (10, 4)
    with pytest.raises(ValueError, match=r"'1\.2\.3' is not a number"):
        points_or_nan({**usual, "y1": "1.2.3"}, columns)


def test_named_points_have_a_defined_order(tmp_path):
    reading = OpenList(tmp_path / "list", tmp_path, None, strict=True)
    assert reading.order_names({"10", "9"}) == ["9", "10"]
    assert reading.order_names({"b", "a"}) == ["a", "b"]
    assert reading.order_names({"b", "a"}, ["b", "a", "c"]) == ["b", "a", "c"]
    assert reading.order_names(set(IBUG68.names)) == list(IBUG68.names)
    asked = OpenList(tmp_path / "list", tmp_path, IBUG68, strict=True)
    assert asked.order_names({"chin"}, ["chin"]) == list(IBUG68.names)
    with pytest.raises(DataError, match="list: names the point 'b', which ibug68 does not have"):
        asked.order_names({"chin", "b"})
