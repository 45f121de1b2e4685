"""Pages of the manual, and what they show."""

import re
import shlex

from keypoints.commands import VERBS
from tests.conftest import ROOT

GENERATED = (
    "docs/_build",
    "docs/reference/commands",
    "docs/reference/configuration",
    "docs/reference/python",
)
"""Folders of pages that are made at build time; so is docs/results."""

PAGES = sorted(
    path
    for path in (ROOT / "docs").rglob("*.md")
    if not str(path.relative_to(ROOT)).startswith((*GENERATED, "docs/results"))
)
"""Written pages."""


def name_of(path):
    """Return the path of a page inside the repository."""
    return str(path.relative_to(ROOT))


def text_of(name):
    """Return the text of a page, by its path inside ``docs``."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(text, language):
    """Return the blocks of code of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text):
    """Return the commands of ``keypoints`` that a page shows, in blocks and in the text, as words."""
    shown = [line for block in blocks(text, "sh") for line in block.replace("\\\n", " ").splitlines()]
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    shown += [" ".join(each.split()) for each in re.findall(r"`(keypoints [^`]+)`", plain)]
    words = [shlex.split(line.removeprefix("time "), comments=True) for line in shown if "keypoints " in line]
    return [each[1:] for each in words if each[:1] == ["keypoints"]]


def verb_of(words):
    """Return the verb of a command and its other words; ``None`` if it has no verb, as ``--help``.

    Raises:
        KeyError: if there is no such verb.
    """
    if not words or words[0].startswith("-"):
        return None
    count = 2 if words[0] == "data" else 1
    return VERBS[" ".join(words[:count])], words[count:]


def headings(text):
    """Return the anchors of a page's headings, as GitHub and the manual make them."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def links(text):
    """Return the relative links of a page, without those in blocks of code."""
    plain = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", plain)
