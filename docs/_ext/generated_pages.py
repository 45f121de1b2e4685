"""Sphinx extension: pages of the reference and of the results, written from their sources at build time.

- ``reference/commands/``: a page for each verb, from what ``--help`` shows;
- ``reference/configuration/``: a page for each group, from the same source and the files in ``conf/``;
- ``reference/python/``: pages of the public names of ``keypoints/__init__.pyi``;
- ``results/``: the pages of ``results/``, whose links lead to the other pages.
"""

import ast
import importlib
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from keypoints.commands import VERBS
from keypoints.commands.help import Entry, Help, help_of, option_text, values_of
from keypoints.commands.verb import Verb
from keypoints.config import options
from keypoints.config.compose import preview
from keypoints.config.registry import conf_dir

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PLACES = (conf_dir(),)

OWNERS = ("reference/commands", "reference/configuration", "reference/python", "results")
"""Folders of generated pages."""

GLOBAL = ("experiment", "sweep", "launch", "debug")
"""Groups whose options set values of other groups; their files are shown."""

TOPICS: Mapping[str, tuple[str, str]] = {
    "data": ("Data", "Faces, batches and datamodules."),
    "geometry": ("Geometry and landmarks", "Boxes, affine maps, crops and landmark schemes."),
    "models": ("Networks", "Networks that predict coordinates or heatmaps, and encoders."),
    "tasks": ("Tasks and losses", "LightningModules that train any network on any data."),
    "training": ("Training a configured run", "Parts of a run, made from its configuration."),
    "callbacks": ("Callbacks and loggers", "Lightning callbacks and loggers of a run."),
    "inference": ("Prediction", "Prediction with checkpoints and ONNX files."),
    "runs": ("Finished runs", "Results of a run, for a notebook."),
    "trust": (
        "Classes by name, and errors",
        "Trusted packages, configured classes, and the base of all errors.",
    ),
}
"""Title and description of each page of the Python API."""

TOPIC_OF: Mapping[str, str] = {
    **dict.fromkeys(("data", "datamodules"), "data"),
    **dict.fromkeys(("geometry", "landmarks", "crop", "schemes"), "geometry"),
    **dict.fromkeys(("components", "errors"), "trust"),
    **dict.fromkeys(("callbacks", "loggers", "runs"), "callbacks"),
    **{"models": "models", "tasks": "tasks", "instantiate": "training"},
    **{"inference": "inference", "reports": "runs"},
}
"""Page of the public names that a package or module defines."""

RESULTS = re.compile(r"\]\((?:\.\./)+results/(\w+)/README\.md(#[\w-]*)?\)")
"""Link of a page to a page of results, as it also works in the repository."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive ``setting`` and the writing of pages.

    Args:
        app: the application.

    Returns:
        Sphinx's description of the extension.
    """
    app.add_object_type("setting", "setting", indextemplate="single: %s", parse_node=_setting_signature)
    app.connect("builder-inited", lambda _: write_pages())
    app.connect("source-read", _lead_to_results)
    app.connect("missing-reference", _private_or_foreign)
    app.connect("autodoc-process-docstring", _keep_attribute, priority=100)
    app.connect("autodoc-process-docstring", _restore_attribute, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages() -> None:
    """Write all generated pages; files whose text is the same stay as they are."""
    pages = {
        **dict(_command_pages()),
        **dict(_group_pages()),
        **dict(_python_pages()),
        **dict(_result_pages()),
    }
    for folder in OWNERS:
        for old in (DOCS / folder).glob("*.md"):
            if str(old.relative_to(DOCS)) not in pages:
                old.unlink()
    for name, text in pages.items():
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _page(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _toctree(names: Sequence[str], depth: int = 1) -> str:
    return "\n".join(["```{toctree}", f":maxdepth: {depth}", "", *names, "```"])


def _described(owner: str, entries: Sequence[Entry]) -> str:
    """Return the settings or values of an owner, each with a link of its own."""
    return "\n\n".join(
        f"```{{setting}} {owner} | {entry.typed}\n{_escaped(entry.said)}\n```" for entry in entries
    )


def _escaped(text: str) -> str:
    """Return text of the help as Markdown: what is between backquotes stays, other marks are plain."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return re.sub(r"([\\*_<>\[\]`$|])", r"\\\1", text)
    return "`".join(
        part if place % 2 else re.sub(r"([\\*_<>\[\]$|])", r"\\\1", part) for place, part in enumerate(parts)
    )


def _setting_signature(_: BuildEnvironment, signature: str, node: addnodes.desc_signature) -> str:
    """Show ``key=value`` without its owner; the name that links use is ``owner key``."""
    owner, _, typed = signature.partition(" | ")
    key, equals, value = typed.partition("=")
    node += addnodes.desc_name(key, key)
    if equals:
        node += nodes.inline(equals + value, equals + value, classes=["sig-value"])
    return f"{owner} {key}"


# Commands ---------------------------------------------------------------------------------------------------


def _command_pages() -> Iterator[tuple[str, str]]:
    names = [name.replace(" ", "_") for name in VERBS]
    rows = [
        f"| [{name}]({name.replace(' ', '_')}.md) | {_escaped(verb.what)} |" for name, verb in VERBS.items()
    ]
    yield (
        "reference/commands/index.md",
        _page(
            "# Commands",
            "`keypoints VERB [key=value …]`. These pages are made from the schemas that check the command "
            "line and print `keypoints VERB --help`.",
            "\n".join(["| verb | does |", "| --- | --- |", *rows]),
            'Tab completion is Hydra\'s: `eval "$(keypoints -sc install=bash)"`. An error is one line that '
            "names the file or the value, and what to do; `HYDRA_FULL_ERROR=1` shows the full traceback.",
            _toctree(names).replace(":maxdepth: 1", ":hidden:"),
        ),
    )
    for verb in VERBS.values():
        yield f"reference/commands/{verb.name.replace(' ', '_')}.md", _command_page(verb)


def _command_page(verb: Verb) -> str:
    cfg = preview(verb.config, [], [])
    assert cfg is not None
    shown: Help = help_of(verb, cfg)
    groups = ", ".join(f"[{group.name}](../configuration/{group.name}.md)" for group in shown.groups)
    return _page(
        f"# keypoints {verb.name}",
        _escaped(shown.what),
        f"```text\n{shown.usage.removeprefix('usage: ')}\n```",
        "## Examples\n\n```sh\n" + "\n".join(shown.examples) + "\n```",
        f"## Required\n\n{_described(verb.name, shown.required)}" if shown.required else "",
        f"## Settings\n\n{_described(verb.name, shown.settings)}",
        f"## Groups\n\nChosen by `group=option`, their values set by `key=value`: {groups}."
        if groups
        else "",
        f"## Writes\n\n{_escaped(shown.writes)}",
        "## Flags\n\n" + "\n".join(f"`{flag.typed}`\n: {_escaped(flag.said)}\n" for flag in shown.flags),
    )


# Groups -----------------------------------------------------------------------------------------------------


def _group_pages() -> Iterator[tuple[str, str]]:
    remarks = _remarks()
    train = preview("train", [], [])
    assert train is not None
    chosen = train.hydra.runtime.choices
    groups = [group for group in _order() if options.options(PLACES, group)]
    rows = []
    for group in groups:
        default = f"`{chosen[group]}`" if chosen.get(group) else "none"
        rows.append(f"| [{group}]({group}.md) | {default} | {_escaped(remarks.get(group, ''))} |")
    yield (
        "reference/configuration/index.md",
        _page(
            "# Configuration",
            "A run's configuration is composed of groups. `group=option` chooses an option, which is a "
            "file `conf/group/option.yaml`; `key=value` sets a value in it. These pages are made from those "
            "files, as `keypoints train --help` is.",
            "\n".join(["| group | default | |", "| --- | --- | --- |", *rows]),
            "Settings outside of the groups, such as `seed` and `output`, are on the page of "
            "[`keypoints train`](../commands/train.md). `keypoints train … --cfg job` prints the "
            "configuration that a command would use.",
            _toctree(groups).replace(":maxdepth: 1", ":hidden:"),
        ),
    )
    for group in groups:
        yield f"reference/configuration/{group}.md", _group_page(group, remarks.get(group, ""))


def _order() -> list[str]:
    """Return the groups in the order of ``conf/train.yaml``."""
    entries = yaml.safe_load((conf_dir() / "train.yaml").read_text(encoding="utf-8"))["defaults"]
    names = [
        str(name).removeprefix("optional ") for entry in entries if isinstance(entry, dict) for name in entry
    ]
    return [name for name in names if name not in ("paths", "hydra", "local")]


def _remarks() -> Mapping[str, str]:
    """Return the comments of ``conf/train.yaml`` on its groups."""
    text = (conf_dir() / "train.yaml").read_text(encoding="utf-8")
    return dict(re.findall(r"^  - (\w+): \w+ # (.*)$", text, re.MULTILINE))


def _group_page(group: str, remark: str) -> str:
    sections = [_option(group, option) for option in options.options(PLACES, group)]
    about = f"{remark[0].upper()}{remark[1:]}." if remark else ""
    return _page(f"# {group}", _escaped(about), *sections)


def _option(group: str, option: str) -> str:
    head = f"## {group}={option}\n\n{_escaped(option_text(PLACES, group, option))}"
    path = f"../../../conf/{group}/{option}.yaml"
    if group in GLOBAL:
        return f"{head}\n\n```{{literalinclude}} {path}\n:language: yaml\n```"
    cfg = preview("train", [], [f"{group}={option}"])
    assert cfg is not None, f"{group}={option}"
    values = list(values_of(cfg, group, option, PLACES)) if cfg.get(group) is not None else []
    return f"{head}\n\n{_described(f'{group}={option}', values)}".strip()


# Python API -------------------------------------------------------------------------------------------------


def public_names() -> Mapping[str, str]:
    """Return the public names, each with the module that defines it."""
    tree = ast.parse((ROOT / "keypoints" / "__init__.pyi").read_text(encoding="utf-8"))
    return {
        str(alias.asname): str(node.module)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname and not alias.asname.startswith("_")
    }


def _python_pages() -> Iterator[tuple[str, str]]:
    topics: dict[str, list[str]] = {topic: [] for topic in TOPICS}
    for name, module in public_names().items():
        topics[TOPIC_OF[module.partition(".")[0]]].append(name)
    rows = [
        f"| [{title}]({topic}.md) | {about} | {', '.join(f'`{name}`' for name in topics[topic])} |"
        for topic, (title, about) in TOPICS.items()
    ]
    yield (
        "reference/python/index.md",
        _page(
            "# Python",
            "The public names, `from keypoints import …`. Configuration files and checkpoints use these "
            "names, never modules. [How to use them](../../how-to/python.md).",
            "\n".join(["| | | names |", "| --- | --- | --- |", *rows]),
            _toctree(list(TOPICS)).replace(":maxdepth: 1", ":hidden:"),
        ),
    )
    for topic, (title, about) in TOPICS.items():
        entries = [_documented(name) for name in topics[topic]]
        yield f"reference/python/{topic}.md", _page(f"# {title}", about, *entries)


def _documented(name: str) -> str:
    found = getattr(importlib.import_module("keypoints"), name)
    if isinstance(found, type):
        return f"```{{eval-rst}}\n.. autoclass:: keypoints.{name}\n   :members:\n   :show-inheritance:\n```"
    kind = "function" if callable(found) else "data"
    extra = "\n   :no-value:" if kind == "data" else ""
    return f"```{{eval-rst}}\n.. auto{kind}:: keypoints.{name}{extra}\n```"


# Results ----------------------------------------------------------------------------------------------------


def _result_pages() -> Iterator[tuple[str, str]]:
    paths = sorted((ROOT / "results").glob("*/README.md"))
    index = _moved((ROOT / "results" / "README.md").read_text(encoding="utf-8"), ".")
    names = "\n".join(path.parent.name for path in paths)
    yield "results/index.md", _page(index.rstrip(), f"```{{toctree}}\n:hidden:\n\n{names}\n```")
    for path in paths:
        yield f"results/{path.parent.name}.md", _moved(path.read_text(encoding="utf-8"), path.parent.name)


def _moved(text: str, name: str) -> str:
    """Return a page of results with links as seen from ``docs/results/``."""

    def moved(found: re.Match[str]) -> str:
        target, hash_, anchor = found[1].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return found[0]
        place = posixpath.normpath(posixpath.join("results", name, target))
        if place == "results/README.md":
            return f"](index.md{hash_}{anchor})"
        if page := re.fullmatch(r"results/(\w+)/README\.md", place):
            return f"]({page[1]}.md{hash_}{anchor})"
        if place.startswith("docs/"):
            return f"](../{place.removeprefix('docs/')}{hash_}{anchor})"
        return f"](../../{place}{hash_}{anchor})"

    return re.sub(r"\]\(([^)\s]+)\)", moved, text)


def _lead_to_results(_: Sphinx, name: str, source: list[str]) -> None:
    """Change links to ``results/…/README.md`` into links to the pages that are made of these files."""
    above = "../" * name.count("/")
    source[0] = RESULTS.sub(lambda found: f"]({above}results/{found[1]}.md{found[2] or ''})", source[0])


# References in docstrings -----------------------------------------------------------------------------------


def _private_or_foreign(
    _: Sphinx, __: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """Show a name that has no page as plain text: of another library, or of a module that is not public.

    A name of this package that does not exist remains an error.
    """
    if node.get("refdomain") != "py":
        return None
    target = str(node["reftarget"])
    if not target.startswith("keypoints."):
        return (
            content
            if node["reftype"] in ("class", "obj", "exc", "data", "meth", "func", "attr", "mod")
            else None
        )
    return content if _exists(target) else None


_ATTRIBUTES: dict[str, list[str]] = {}
"""Docstrings of attributes, by dotted name."""


def _keep_attribute(_: Sphinx, what: str, name: str, __: object, ___: object, lines: list[str]) -> None:
    """Keep the docstring of an attribute, whose text up to a colon napoleon takes for a type."""
    if what in ("attribute", "property"):
        _ATTRIBUTES[name] = list(lines)


def _restore_attribute(_: Sphinx, __: str, name: str, ___: object, ____: object, lines: list[str]) -> None:
    """Undo napoleon's changes of an attribute's docstring."""
    if name in _ATTRIBUTES:
        lines[:] = _ATTRIBUTES.pop(name)


def _exists(target: str) -> bool:
    """Return whether a dotted name is a module, or an attribute of one."""
    parts = target.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return part in getattr(found, "__annotations__", {})
            found = getattr(found, part)
        return True
    return False
