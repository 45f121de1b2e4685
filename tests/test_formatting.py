import math

import pytest

from keypoints.formatting import fixed, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00123456, "0.00123"),
        (12.3456, "12.3"),
        (1234.5, "1234"),
        (None, "–"),
        (float("nan"), "–"),
        ("x", "x"),
    ],
)
def test_numbers_are_shown_with_three_significant_digits(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0123456, 3, "0.0123"),
        (12.0, 3, "12"),
        (999.7, 3, "1000"),
        (12345.6, 3, "12346"),
        (1e7, 3, "1e+07"),
        (4.3e18, 3, "4.3e+18"),
        (-4.3e18, 2, "-4.3e+18"),
        (4.3e-9, 3, "4.3e-09"),
        (math.inf, 3, "inf"),
        (math.nan, 3, "–"),
        (None, 3, "–"),
        ("text", 3, "text"),
    ],
)
def test_only_very_large_or_small_numbers_have_an_exponent(value, digits, text):
    assert shown(value, digits) == text


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.0014, 2, "0.00"),
        (78.557, 2, "78.56"),
        (0.3077, 6, "0.307700"),
        (4.3e-9, 6, "4.3e-09"),
        (0.0, 6, "0.000000"),
        (4.3e18, 6, "4.3e+18"),
        (math.nan, 1, "–"),
        (None, 1, "–"),
    ],
)
def test_an_exponent_replaces_decimals_for_extreme_numbers(value, decimals, text):
    assert fixed(value, decimals) == text
