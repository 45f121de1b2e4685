import math

import pytest

from keypoints.formatting import clock, counted, fixed, pluralised, shown


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


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (1, "face", "1 face"),
        (0, "face", "0 faces"),
        (2, "validation face", "2 validation faces"),
        ("1", "weight", "1 weight"),
        ("1,234", "weight", "1,234 weights"),
        (2, "entry", "2 entries"),
        (2, "key", "2 keys"),
        ("1 of 3", "photo", "1 of 3 photos"),
        ("all 1", "photo", "all 1 photo"),
    ],
)
def test_only_one_thing_is_singular(count, noun, text):
    assert counted(count, noun) == text


def test_a_plural_and_a_verb_can_be_given():
    assert [counted(count, "box", "boxes") for count in (1, 2)] == ["1 box", "2 boxes"]
    assert [pluralised(count, "has", "have") for count in (1, 2)] == ["has", "have"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (-3, "0:00:00"), (59.9, "0:00:59"), (360000, "100:00:00")]
)
def test_durations_are_hours_minutes_and_seconds(seconds, text):
    assert clock(seconds) == text
