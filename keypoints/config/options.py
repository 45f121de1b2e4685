"""Options of the configuration's groups: their descriptions, and the types of their values. Imports no torch.

An option is a YAML file, such as ``conf/optimizer/adam.yaml``. The type of a value comes from the class that
``_target_`` names (:mod:`keypoints.config.signatures`); its description comes from the comment after the
value, else from that class.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from keypoints.config.settings import ANY, NUMBER, PATH, SWITCH, WHOLE, Setting
from keypoints.config.signatures import parameters
from keypoints.errors import DataError
from keypoints.structured_files import read_text

_GLOBAL = re.compile(r"^# @package _global_\s*$", re.MULTILINE)
_FIRST = re.compile(r"^(.*?[.!?])(\s|$)", re.DOTALL)
_PACKAGE = "# @package"


def groups(folders: Sequence[Path]) -> list[str]:
    """Return the names of the groups in configuration folders, in alphabetical order."""
    found = {path.name for folder in folders for path in folder.iterdir() if path.is_dir()}
    return sorted(name for name in found if any(_files(folders, name)))


def options(folders: Sequence[Path], group: str) -> list[str]:
    """Return the names of the options of a group, in alphabetical order."""
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def _files(folders: Sequence[Path], group: str) -> Iterator[Path]:
    """Yield a group's files, including those in subfolders, which only other options build on."""
    for folder in folders:
        yield from sorted((folder / group).rglob("*.yaml"))


def about(folders: Sequence[Path], group: str, option: str) -> str:
    """Return the description of an option: the first sentence of the comment at the head of its file.

    Args:
        folders: configuration folders.
        group: name of the group, such as ``trainer``.
        option: name of the option, such as ``gpu``.
    """
    return first_sentence(_head(_text(_file(folders, group, option))))


def reach(folders: Sequence[Path], group: str, option: str) -> list[str]:
    """Return the dotted keys that an option sets outside of its own group.

    Args:
        folders: configuration folders.
        group: name of the group, such as ``trainer``.
        option: name of the option, such as ``gpu``.
    """
    path = _file(folders, group, option)
    if not _GLOBAL.search(_text(path)):
        return []
    values = {key: value for key, value in _values(path).items() if key not in ("defaults", "hydra", group)}
    return list(dict.fromkeys(key.removesuffix("._target_") for key, _ in leaves(values)))


def _head(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith(_PACKAGE):
            lines.append(line.lstrip("# "))
    return " ".join(lines)


def _file(folders: Sequence[Path], group: str, option: str) -> Path:
    found = [path for folder in folders if (path := folder / group / f"{option}.yaml").is_file()]
    return found[0] if found else Path(group, f"{option}.yaml")


@lru_cache(maxsize=256)
def _text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, DataError):
        return ""


def _values(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(_text(path))
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings by dotted key."""
    for key, value in values.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


@lru_cache(maxsize=64)
def _comments(path: Path) -> Mapping[str, str]:
    """Return the end-of-line comments of a file's keys, by dotted key."""
    text = _text(path)
    lines = text.splitlines()
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError:
        return {}
    return dict(_comments_after(root, lines, ""))


def _comments_after(node: yaml.Node | None, lines: Sequence[str], above: str) -> Iterator[tuple[str, str]]:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        name = f"{above}{key.value}"
        begins_below = value.start_mark.line > key.end_mark.line
        mark = key.end_mark if begins_below else value.end_mark
        _, found, said = lines[min(mark.line, len(lines) - 1)][mark.column :].partition("# ")
        if found:
            yield name, said.strip()
        yield from _comments_after(value, lines, f"{name}.")


def sentence(folders: Sequence[Path], key: str, choice: str, setting: Setting) -> str:
    """Return the description of a value in a group: the comment after it, else its class's docstring.

    Args:
        folders: configuration folders.
        key: dotted key, such as ``model.net.width``.
        choice: the chosen option of the group.
        setting: the value's setting, as :func:`setting_of` returns it.
    """
    group, _, inside = key.partition(".")
    for path, above in _chain(folders, group, choice):
        comments = _comments(path)
        if said := comments.get(inside.removeprefix(above)) or comments.get(key):
            return said
    return first_sentence(setting.sentence) or comment(folders, key)


def first_sentence(text: str) -> str:
    """Return a text up to its first full stop."""
    found = _FIRST.match(text)
    return found[1] if found else text


def comment(folders: Sequence[Path], key: str, *, missing: bool = False) -> str:
    """Return the comment after a key in a file of its group, else in a file of another group.

    Args:
        folders: configuration folders.
        key: dotted key, such as ``model.net.width``.
        missing: search only the files in which the value is ``???``.
    """
    group, _, inside = key.partition(".")
    for path in _files(folders, group):
        if (said := _comments(path).get(inside)) and (not missing or _is_missing(path, inside)):
            return said
    for path in (path for folder in folders for path in sorted(folder.rglob("*.yaml"))):
        if not _GLOBAL.search(_text(path)):
            continue
        if (said := _comments(path).get(key)) and (not missing or _is_missing(path, key)):
            return said
    return ""


def _is_missing(path: Path, key: str) -> bool:
    """Return whether a value in a file is ``???``."""
    return dict(leaves(_values(path))).get(key) == "???"


def _chain(folders: Sequence[Path], group: str, option: str, above: str = "") -> list[tuple[Path, str]]:
    """Return the file of an option and the files that it builds on, nearest first.

    Args:
        folders: configuration folders.
        group: name of the group, such as ``model``.
        option: name of the option, such as ``heatmap`` or ``shared/torchvision``.
        above: prefix of the node that the file's keys are merged into, such as ``net.encoder.``.

    Returns:
        Each file, with the prefix of its keys.
    """
    path = _file(folders, group, option)
    chain = [(path, above)]
    for each in reversed(_values(path).get("defaults", [])):
        if not isinstance(each, str) or each == "_self_":
            continue
        name, _, package = each.removeprefix(f"/{group}/").partition("@")
        place = "" if package in ("", "_here_", group) else f"{package}."
        if (name, place) != (option, ""):
            chain += _chain(folders, group, name, f"{above}{place}")
    return chain


def is_path(folders: Sequence[Path], key: str) -> bool:
    """Return whether the value of a dotted key is a path in any option of its group.

    Args:
        folders: configuration folders.
        key: dotted key, such as ``data.train``.
    """
    group, _, inside = key.partition(".")
    return inside != "" and inside in _paths(tuple(folders), group)


@lru_cache(maxsize=64)
def _paths(folders: tuple[Path, ...], group: str) -> frozenset[str]:
    found: set[str] = set()
    for path in _files(folders, group):
        for above, target in _targets(_values(path)):
            found |= {f"{above}{name}" for name, each in parameters(target).items() if PATH in each.types}
    return frozenset(found)


def _targets(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(values.get("_target_"), str):
        yield above, values["_target_"]
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _targets(value, f"{above}{key}.")


def setting_of(cfg: DictConfig, key: str) -> Setting:
    """Return the setting of a value in a group, from its class's signature, else from its default value.

    Args:
        cfg: the configuration with the chosen groups.
        key: dotted key, such as ``model.net.width``.
    """
    above, _, last = key.rpartition(".")
    node = _selected(cfg, above)
    default = _selected(cfg, key)
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    known = parameters(target).get(last) if isinstance(target, str) else None
    if known is not None and ANY not in known.types:
        optional = known.optional or (default is None and last in node)
        types, ours = known.types, known.module.startswith("keypoints")
        if not ours and WHOLE in types:  # other packages accept more than their annotations say
            types |= {NUMBER}
        return Setting(key, types, default, known.sentence, known.choices, optional=optional, finite=ours)
    sentence = "" if known is None else known.sentence
    return Setting(key, _types_like(default), default, sentence, optional=default is None)


def is_ours(cfg: DictConfig, key: str) -> bool:
    """Return whether a value is an argument of one of this package's classes.

    Args:
        cfg: the configuration.
        key: dotted key, such as ``model.net.width``.
    """
    node = _selected(cfg, key.rpartition(".")[0])
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    return isinstance(target, str) and target.startswith("keypoints.")


def _types_like(default: Any) -> frozenset[str]:
    """Return the types of values that can replace a default."""
    if isinstance(default, bool):
        return frozenset({SWITCH})
    if isinstance(default, int | float):
        return frozenset({WHOLE, NUMBER})
    return frozenset({ANY})


def _selected(cfg: DictConfig, key: str) -> Any:
    try:
        return OmegaConf.select(cfg, key)
    except Exception:  # an interpolation of a value that is not given here
        return None
