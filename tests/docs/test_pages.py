"""What the manual's pages show: commands, Python, YAML, links."""

import re

import pytest

from keypoints.commands import VERBS, compose
from keypoints.schemes import scheme_named
from tests.conftest import ROOT
from tests.docs.pages import GENERATED, PAGES, blocks, commands, headings, links, name_of, text_of, verb_of

PLACEHOLDER = re.compile(r"[A-Z]+$|…$|\.\.\.$")
"""A word that stands for others, such as ``RUN`` or ``…``."""


def overrides(verb, words):
    """Return the overrides of a command: one value of each sweep, and the positional word with its key."""
    found = []
    for place, word in enumerate(words):
        if PLACEHOLDER.fullmatch(word) or word in ("-m", "--multirun"):
            continue
        if "=" not in word:
            if verb.positional and place == 0:
                found.append(f"{verb.positional}={word}")
            else:
                assert verb.takes_words or word.startswith("-"), word
            continue
        key, _, value = word.partition("=")
        key = verb.synonyms.get(key, key)
        found.append(f"{key}={value}" if verb.takes_words else re.split(r",(?![^\[{(]*[\]})])", word)[0])
    return found


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_shown_command_composes(path):
    for words in commands(path.read_text(encoding="utf-8")):
        chosen = verb_of(words)
        if chosen is None or any(word.startswith("--") for word in words):
            continue  # files of --config-dir are not there
        verb, rest = chosen
        compose(verb.config, [each for each in overrides(verb, rest) if not each.startswith("resume=")])


def test_the_pages_name_every_verb():
    shown = {
        verb_of(words)[0].name for path in PAGES for words in commands(path.read_text()) if verb_of(words)
    }
    assert set(VERBS) == shown


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=name_of)
def test_every_relative_link_leads_to_a_page_and_heading(path):
    text = path.read_text(encoding="utf-8")
    for link in links(text):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if str(target.relative_to(ROOT)).startswith((*GENERATED, "docs/results")):
            continue  # made by make docs, which checks these links
        assert target.is_file(), link
        assert not anchor or anchor in headings(target.read_text(encoding="utf-8")), link


def test_the_python_examples_run(made_up_imm, finished_run, tmp_path, monkeypatch):
    code, notebook = blocks(text_of("how-to/python.md"), "python")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "imm_face_db").symlink_to(made_up_imm)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code.replace("max_epochs=25", "max_epochs=1"), "python.md", "exec"), names)
    assert names["task"].scheme.name == "imm58-nose_tip"
    assert names["faces"][0].points.shape == (1, 2)
    notebook = re.sub(r"outputs/[^\"]*", str(finished_run), notebook)
    exec(compile(notebook, "python.md", "exec"), names)
    assert names["run"].path == finished_run


def test_the_scheme_of_the_page_on_own_labels_can_be_read(tmp_path):
    (text,) = blocks(text_of("how-to/own_labels.md"), "yaml")
    (tmp_path / "five.yaml").write_text(text)
    scheme = scheme_named(tmp_path / "five.yaml")
    assert len(scheme) == 5


def test_the_table_of_packages_is_complete_and_correct():
    table = text_of("explanation/architecture.md").partition("\n## ")[0]
    named = set()
    for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", row):
            places = [ROOT / name, ROOT / "keypoints" / name]
            assert any(place.exists() for place in places), name
            named.add(name.removeprefix("keypoints/").strip("/").partition("/")[0])
    there = {path.name for path in (ROOT / "keypoints").iterdir() if not path.name.startswith("_")}
    assert there - {"py.typed"} <= named
