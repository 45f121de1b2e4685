"""Reading of untrusted text, JSON and YAML files, with one error class for all problems.

The size of a file is checked before it is read, and its values are plain. :func:`check_kinds` checks the
types of values, so that the message can name the file. Imports omegaconf late.
"""

import errno
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import yaml

from keypoints.errors import DataError, one_line, shortened
from keypoints.input_files import MISSING, read_bytes, why_not_regular

if TYPE_CHECKING:
    from omegaconf import DictConfig

MOST_BYTES = 2**21
"""Limit of a configuration or a status, in bytes: a hundred times the longest that a run has written."""

MOST_TABLE_BYTES = 2**29
"""Limit of a table, in bytes: 100 000 faces of 68 points, at about 5000 bytes per face."""

_MOST_DEPTH = 40
"""Largest nesting depth of YAML, whose loaders are recursive; the deepest configuration has 8 levels."""

_MOST_NODES = 100_000
"""Largest number of YAML values with expanded anchors: a few bytes could expand to more than the memory."""

_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map"))
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Return the text of a file in UTF-8.

    Args:
        path: the file.
        most: limit in bytes.

    Raises:
        FileNotFoundError: if it does not exist.
        DataError: if it is not a regular file, cannot be read, is larger, or is not text.
    """
    if why_not_regular(path) == MISSING:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    contents = read_bytes(path, most)
    try:
        text = contents.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = contents.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: line {line}: is not UTF-8; save the file in this encoding") from error
    if (place := text.find("\0")) >= 0:
        raise DataError(f"{path}: line {_line(text, place)}: holds a NUL, so it is not text, or is damaged")
    return text


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        FileNotFoundError: if the file does not exist.
        DataError: as :func:`read_text`, or if it is not a JSON object.
    """
    text = read_text(path)
    try:
        values = json.loads(text, object_pairs_hook=_unique_names)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({one_line(error)[:200]})") from error
    if not isinstance(values, dict):
        raise DataError(f"{path}: cannot be read (it is not a JSON object)")
    return values


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of a JSON object as a dictionary.

    Raises:
        ValueError: if a name is given twice.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is given twice")
    return values


def read_yaml(path: Path, *, resolved: bool = False) -> "DictConfig":
    """Return the configuration in a YAML file; an empty file has no keys.

    Interpolations are not resolved here, but when their values are used.

    Args:
        path: the file.
        resolved: refuse interpolations, for files that were written with resolved values.

    Raises:
        FileNotFoundError: if the file does not exist.
        DataError: as :func:`read_text`; or if it is not YAML or not a mapping, has a repeated key or a Python
            tag, or is too deep or too long with expanded anchors. The message names the line.
    """
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    text = read_text(path)
    with _yaml_errors(path, text, OmegaConfBaseException):
        _Check(path, resolved).look(text)
        loaded = OmegaConf.load(io.StringIO(text))
    if not isinstance(loaded, DictConfig):
        raise DataError(f"{path}: is not a configuration: it has no keys with values")
    return loaded


def read_plain_yaml(path: Path) -> dict[str, Any]:
    """Return the plain values in a YAML file, without omegaconf and its interpolations.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: if the file does not exist.
        DataError: as :func:`read_yaml`.
    """
    text = read_text(path)
    with _yaml_errors(path, text):
        _Check(path, resolved=True).look(text)
        loaded = yaml.load(text, _LOADER)  # safe: a subclass of SafeLoader
    if not isinstance(loaded, dict):
        raise DataError(f"{path}: has no keys with values")
    return {str(key): value for key, value in loaded.items()}


@contextmanager
def _yaml_errors(path: Path, text: str, *others: type[Exception]) -> Iterator[None]:
    """Raise errors of YAML, and of the other types, as a :class:`DataError` that names the line."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f"line {mark.line + 1}: "
        begins = "" if mark is None else "".join(text.split("\n")[mark.line : mark.line + 1]).lstrip(" ")
        said = one_line(error.problem or error)[:200]
        said = "it is indented by a tab; use spaces" if begins.startswith("\t") else said
        raise DataError(f"{path}: {where}is not valid YAML ({said})") from error
    except yaml.reader.ReaderError as error:
        raise DataError(
            f"{path}: {_unprintable(text)}is not valid YAML ({one_line(error.reason)})"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError, *others) as error:
        raise DataError(
            f"{path}: cannot be read ({one_line(error).partition(' full_key:')[0][:200]})"
        ) from error


def _unprintable(text: str) -> str:
    """Return the line with a character that YAML does not allow, as the beginning of a message."""
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    return f"line {_line(text, found.start())}: " if found else ""


@dataclass
class _Open:
    """YAML mapping or list that is being read."""

    mapping: bool
    anchor: str | None
    keys: set[str] = field(default_factory=set)
    key_is_next: bool = True
    size: int = 1


@dataclass
class _Check:
    """Check of a YAML text's events, which take no memory, before its values are created."""

    path: Path
    resolved: bool
    open: list[_Open] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    def look(self, text: str) -> None:
        """Check that :func:`read_yaml` can load the text.

        Raises:
            DataError: if the text is refused; the message names the line.
            YAMLError: if the text is not YAML.
        """
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.NodeEvent):
                self._node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                done = self.open.pop()
                self._done(event, done.anchor, done.size)

    def _node(self, event: yaml.NodeEvent) -> None:
        if isinstance(event, yaml.AliasEvent):
            if any(outer.anchor == event.anchor for outer in self.open):
                self._refuse(event, f"*{event.anchor} refers to a value that contains it")
            if event.anchor not in self.sizes:
                self._refuse(event, f"*{event.anchor} refers to no anchor before it")
        elif event.tag not in (None, "!", *_TAGS):
            self._refuse(event, f"the tag {event.tag} is not allowed in a configuration")
        inside = self.open[-1] if self.open else None
        if inside is not None and inside.mapping and inside.key_is_next:
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse(event, "a key must be a plain text")
            if event.value in inside.keys:
                self._refuse(event, f"the key {event.value} is given twice; keep one of them")
            inside.keys.add(event.value)
        if isinstance(event, yaml.CollectionStartEvent):
            if len(self.open) == _MOST_DEPTH:
                self._refuse(event, f"its values are nested more than {_MOST_DEPTH} deep")
            self.open.append(_Open(isinstance(event, yaml.MappingStartEvent), event.anchor))
            return
        if self.resolved and isinstance(event, yaml.ScalarEvent) and "${" in event.value:
            self._refuse(event, f"{event.value[:80]!r} is not resolved; replace it by its value")
        is_alias = isinstance(event, yaml.AliasEvent)
        self._done(event, None if is_alias else event.anchor, self.sizes[event.anchor] if is_alias else 1)

    def _done(self, event: yaml.Event, anchor: str | None, size: int) -> None:
        """Count a value that has been read."""
        if anchor is not None:
            self.sizes[anchor] = size
        if self.open:
            inside = self.open[-1]
            inside.size += size
            inside.key_is_next = not inside.key_is_next
            if inside.size > _MOST_NODES:
                self._refuse(event, f"it has more than {_MOST_NODES:,} values, with its anchors expanded")

    def _refuse(self, event: yaml.Event, why: str) -> NoReturn:
        raise DataError(f"{self.path}: line {event.start_mark.line + 1}: {why}")


class Kind(NamedTuple):
    """Required type of a value."""

    words: str
    """Description for messages, such as "a whole number"."""
    fits: Callable[[Any], bool]
    """Check of a value."""


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number that a float can represent."""
    try:
        return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


def is_count(value: Any) -> bool:
    """Return whether a value is an integer from 0 up with at most 63 bits, as in tables and tensors."""
    return not isinstance(value, bool) and isinstance(value, int) and 0 <= value < 2**63


def is_pair(value: Any) -> bool:
    """Return whether a value is a list of two numbers."""
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(is_number, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


TEXT = Kind("a text", _is_text)
COUNT = Kind("a whole number from 0 up", is_count)
NUMBER = Kind("a number", is_number)
TEXTS = Kind("a list of texts", lambda value: isinstance(value, list) and all(map(_is_text, value)))
VALUES = Kind("values by name", lambda value: isinstance(value, Mapping))
NUMBERS = Kind(
    "numbers or null by name",
    lambda value: (
        isinstance(value, Mapping)
        and all(isinstance(name, str) and (each is None or is_number(each)) for name, each in value.items())
    ),
)


TEXT_VALUES = Kind(
    "texts by name",
    lambda value: isinstance(value, Mapping) and TEXTS.fits([*value, *value.values()]),
)


def or_none(kind: Kind) -> Kind:
    """Return the kind of a value that may be null."""
    return Kind(f"{kind.words} or null", lambda value: value is None or kind.fits(value))


def one_of(words: Iterable[str]) -> Kind:
    """Return the kind of a value that is one of these words."""
    known = tuple(words)
    return Kind(f"one of {', '.join(known)}", lambda value: isinstance(value, str) and value in known)


def check_kinds(values: Mapping[Any, Any], kinds: Mapping[str, Kind], needed: Iterable[str] = ()) -> None:
    """Check the types of values.

    Args:
        values: values by name.
        kinds: required types by name, for the values that are given.
        needed: names of required values.

    Raises:
        ValueError: if a value is missing or has another type; the message names the value, not the file.
    """
    for name in needed:
        if name not in values:
            raise ValueError(f"lacks {name!r}")
    for name, kind in kinds.items():
        if name in values and not kind.fits(values[name]):
            raise ValueError(f"{name} is {kind.words}, not {shortened(repr(values[name]), 80)}")
