from keypoints.reports.page import write_page


def test_control_characters_and_direction_marks_are_escaped(tmp_path):
    odd = "a\x1b \u202egpj.exe half \udc80"
    html = write_page(
        tmp_path / "page.html", "page.html", title=odd, about=odd, notes=[("bad", odd)]
    ).read_text()
    assert html.count(r"a\x1b \u202egpj.exe half \x80") >= 3


def test_html_in_values_is_escaped(tmp_path):
    path = write_page(
        tmp_path / "page.html", "page.html", title="<script>", about="a & b", notes=[("bad", "<i>")]
    )
    html = path.read_text()
    assert "<script>" not in html
    assert "a &amp; b" in html
    assert "&lt;i&gt;" in html
