import pytest

from keypoints.reports.page import shown, write_page


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
def test_numbers_are_shown_with_three_digits(value, text):
    assert shown(value) == text


def test_what_is_shown_is_escaped(tmp_path):
    path = write_page(
        tmp_path / "page.html", "page.html", title="<script>", about="a & b", notes=[("bad", "<i>")]
    )
    html = path.read_text()
    assert "<script>" not in html
    assert "a &amp; b" in html
    assert "&lt;i&gt;" in html
