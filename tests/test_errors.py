import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keypoints.errors import DataError, one_line, printable, shortened

ANY = st.text(st.characters())


@given(ANY)
def test_a_message_is_one_short_line_without_control_characters(text):
    said = one_line(DataError(text))
    assert 0 < len(said) <= 300
    assert not {unicodedata.category(character) for character in said} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(character) for character in said} & {
        "RLO",
        "LRO",
        "RLE",
        "LRE",
        "RLI",
    }


@given(ANY)
def test_printable_text_can_be_encoded_and_is_stable(text):
    said = printable(text)
    said.encode()
    assert printable(said) == said


@pytest.mark.parametrize("name", ["ø, [1] a.jpg", "写真.jpg", "صورة.jpg", "a\u200db.jpg", "$x$ {}.png"])
def test_names_in_any_script_stay_unchanged(name):
    assert one_line(DataError(f"{name}: is missing")) == f"{name}: is missing"


def test_a_long_message_keeps_its_file_and_its_advice():
    said = one_line(DataError(f"photos/a.jpg: {'x' * 5000}; leave it out: strict=false"))
    assert said.startswith("photos/a.jpg: x")
    assert said.endswith("x; leave it out: strict=false")
    assert len(said) == 300


@given(ANY, st.integers(10, 400))
def test_a_shortened_text_respects_its_limit(text, most):
    said = shortened(text, most)
    assert said == text if len(text) <= most else len(said) == most
