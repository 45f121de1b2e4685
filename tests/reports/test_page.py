import io
import shutil

import numpy as np
import pytest
from PIL import Image

from keypoints.reports.closeups import CloseUp
from keypoints.reports.page import Picture, write_page

TEMPLATES = {
    "run.html": {
        "numbers": [{"": "best epoch (3)", **{f"metric {number} (px)": "0.00123" for number in range(12)}}],
        "layers": [{"layer": "net.features.0", "output shape": "16 × 114 × 154", "parameters": "784"}] * 60,
    },
    "sweep.html": {
        "runs": [
            {"run": f"data.crop.margin-1.25--seed-{number}", **dict.fromkeys("abcdefghijkl", "0.001")}
            for number in range(60)
        ],
        "settings": [{"setting": "margin-1.25", **dict.fromkeys("abcdefghijkl", "0.00123 ± 0.00012")}],
        "findings": ["a" * 300],
    },
    "evaluation.html": {
        "rows": [{"": "view 3, turned to the right (8)", **dict.fromkeys("abcdefghijkl", "0.1")}]
    },
}
"""Values of each page with tables that are wider than a phone and longer than a sheet of paper."""


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@pytest.fixture
def pictures(tmp_path):
    """Return a wide and a tall figure, and close-ups."""
    sizes = {"wide": (1600, 300), "tall": (1000, 3000)}
    for name, size in sizes.items():
        Image.new("RGB", size, "teal").save(tmp_path / f"{name}.png")
    figures = [Picture(tmp_path / f"{name}.png", name, "a caption") for name in sizes]
    closeup = CloseUp(np.zeros((640, 640, 3), np.uint8), "a face", "face: 1.0 px\nperson 1")
    return [
        *figures,
        Picture(tmp_path / "wide.png", "faces", "a caption", {"The worst faces": [closeup] * 3}),
    ]


@pytest.fixture(params=TEMPLATES)
def long_page(request, tmp_path, pictures):
    values = {"title": "a-long-name-" * 9, "about": "/a/path" * 30, "notes": [("bad", "x" * 200)]}
    command = "keypoints train " + "data.root=/a/path" * 30
    values |= {"pictures": pictures, "command": command, **TEMPLATES[request.param]}
    return write_page(tmp_path / "page.html", request.param, **values).as_uri()


@pytest.mark.parametrize("width", [360, 1280])
def test_only_tables_and_figures_scroll_sideways(browser, long_page, width):
    with browser.new_page(viewport={"width": width, "height": 800}) as page:
        page.goto(long_page)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        boxes = page.locator(".scroll").evaluate_all(
            "all => all.map(each => [each.getBoundingClientRect().right, each.tabIndex, each.ariaLabel])"
        )
        assert all(right <= width and place == 0 and label for right, place, label in boxes)
        faces = page.locator(".gallery img").evaluate_all("all => all.map(each => each.width)")
        assert min(faces) >= 320


@pytest.mark.parametrize(("width", "hidden"), [(360, True), (1280, False)])
def test_a_page_shows_where_something_is_hidden_sideways(browser, long_page, width, hidden):
    """The table's edge is shaded until it is scrolled there, and a caption says that its figure scrolls."""
    with browser.new_page(viewport={"width": width, "height": 800}) as page:
        page.goto(long_page)
        captions = page.locator(".scroll figcaption").evaluate_all(
            "all => all.map(each => getComputedStyle(each, '::after').content.includes('Swipe'))"
        )
        wider = page.locator(".scroll:has(img)").evaluate_all(
            "all => all.map(e => e.scrollWidth > e.clientWidth)"
        )
        assert captions == wider == [hidden] * 2
        table = page.locator(".scroll:has(table)").first
        before = _right_edge(table)
        wider = table.evaluate("each => each.scrollWidth > each.clientWidth")
        table.evaluate("each => each.scrollTo(each.scrollWidth, 0)")
        assert wider >= hidden
        assert (_right_edge(table) > before + 10) == wider


def _right_edge(table):
    """Return how bright a table's edge is, between its lines of text."""
    picture = np.asarray(Image.open(io.BytesIO(table.screenshot())).convert("L")).astype(int)
    return np.median(picture[:, -3:])


def test_no_figure_is_cut_in_print(browser, long_page):
    with browser.new_page(viewport={"width": 687, "height": 1016}) as page:  # A4 without its margins
        page.goto(long_page)
        page.emulate_media(media="print")
        found = page.locator("figure").evaluate_all(
            "all => all.map(each => [getComputedStyle(each).breakInside, each.getBoundingClientRect().right,"
            "each.getBoundingClientRect().height, each.querySelector('img').width])"
        )
        assert len(found) == 5
        for inside, right, height, width in found:
            assert inside == "avoid"
            assert right <= 687
            assert height < 1016
            assert width > 250
        assert page.locator(".scroll").evaluate_all("all => all.every(e => e.scrollWidth <= e.clientWidth)")
        tables = page.locator("table").evaluate_all("all => all.map(e => getComputedStyle(e).breakInside)")
        assert set(tables) <= {"avoid"}


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
