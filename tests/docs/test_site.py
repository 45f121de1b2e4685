"""The built manual: complete, without anything from elsewhere, every link with a target. `make test-docs`."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from keypoints.commands import VERBS
from keypoints.config import options
from keypoints.config.registry import conf_dir, schema_of
from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(900)  # the manual is built first

LOADED = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src"}
"""Attribute of each element that makes a browser load something."""


class Page(HTMLParser):
    """What a page loads and links to, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.linked, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given.get("id"), given.get("name")}
        if tag in LOADED and given.get(LOADED[tag]):
            self.loaded.append(given[LOADED[tag]])
        if tag == "a" and given.get("href"):
            self.linked.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of the built manual."""
    pytest.importorskip("sphinx", reason="sphinx is not installed (extra docs)")
    pytest.importorskip("furo", reason="furo is not installed (extra docs)")
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "--builder",
        "html",
        "--fail-on-warning",
        "--keep-going",
        "--quiet",
    ]
    done = subprocess.run(
        [*command, "--doctree-dir", folder / "trees", ROOT / "docs", folder / "html"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site):
    """Built pages by path."""
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_pages_load_nothing_from_elsewhere(pages):
    assert [each for page in pages.values() for each in page.loaded if urlsplit(each).netloc] == []


def test_styles_load_nothing_from_elsewhere(site):
    for path in site.rglob("*.css"):
        assert (
            re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", path.read_text(encoding="utf-8")) == []
        ), path


def test_every_link_inside_the_manual_has_a_target(pages, site):
    broken = []
    for path, page in pages.items():
        for link in [*page.linked, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else {unquote(parts.fragment)}
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_every_setting_of_a_verb_is_in_the_reference(site, pages, verb):
    page = pages[site / "reference" / "commands" / f"{verb.name.replace(' ', '_')}.html"]
    for key in schema_of(verb.config).all:
        assert f"setting-{verb.name.replace(' ', '-')}-{key}" in page.anchors, key


def test_every_option_of_a_group_is_in_the_reference(site, pages):
    for group in set(options.groups([conf_dir()])) - {"hydra"}:
        anchors = pages[site / "reference" / "configuration" / f"{group}.html"].anchors
        for option in options.options([conf_dir()], group):
            assert f"{group}-{option}".replace("_", "-") in anchors, option
