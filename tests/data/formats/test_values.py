import pytest

from keypoints.data.formats.values import (
    box,
    coordinate,
    number,
    plain_coordinates,
    quoted,
    whole_number,
)
from keypoints.geometry import Box

NO_NUMBERS = [
    "",
    " ",
    "x",
    "0.5_1",
    "1_0",
    "１２",
    "٣",
    "0x10",
    "nan",
    "inf",
    "-Infinity",
    "1e999",
    "1,5",
    "1e",
    ".",
]


@pytest.mark.parametrize(
    "value", [*NO_NUMBERS, None, True, [1], float("nan"), float("inf"), 10**400], ids=repr
)
def test_values_that_are_no_finite_numbers_are_refused(value):
    with pytest.raises(ValueError, match="is not a number"):
        number(value)


@pytest.mark.parametrize("text", ["12", " 12\t", "+12.", "1.2e1", "120E-1", ".12e+2", "0012"])
def test_common_notations_of_numbers_are_read(text):
    assert number(text) == 12


@pytest.mark.parametrize("text", [*NO_NUMBERS, "-1", "+1", "1.0", "1" * 10, "9" * 5000])
def test_integers_consist_of_plain_digits(text):
    with pytest.raises(ValueError, match="is not a whole number"):
        whole_number(text)
    assert whole_number("058") == 58


@pytest.mark.parametrize("value", ["1e30", "-100001", 1e17, "123456"])
def test_coordinates_have_a_limit(value):
    with pytest.raises(ValueError, match="no photo reaches 100,000 pixels far"):
        coordinate(value)
    assert coordinate("-351.5") == -351.5


@pytest.mark.parametrize("text", [*NO_NUMBERS, "1e30", "100001", "-123456.5", "1e2", " 12", "+1", "5."])
def test_only_rows_of_usual_cells_are_converted_at_once(text):
    assert plain_coordinates(["1", text]) is None
    usual = ["0", "-12", "3.25", "99999.99999999999999", "00012.10"]
    assert plain_coordinates(usual) == [coordinate(each) for each in usual]


@pytest.mark.parametrize("sides", [("0.4", "20"), ("20", "0.99"), ("1e17", "20"), ("20", "100001")])
def test_sides_of_a_box_have_limits(sides):
    with pytest.raises(ValueError, match="a box has sides of 1 to 100,000 pixels"):
        box("1", "2", *sides)
    assert box("-3", "4", "1", "1e5") == Box(-3, 4, 1, 1e5)


def test_a_long_value_is_shortened_in_the_middle():
    said = quoted("a" * 1000 + "z")
    assert said.startswith("'aaa")
    assert said.endswith("z'")
    assert len(said) == 60
