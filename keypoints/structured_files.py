"""Reading files that anybody may have changed: text, JSON and YAML, with one error for whatever is wrong.

A file is bounded before it is read, and its values are plain. :func:`check_kinds` says what they have to be,
so that a wrong one is told with the file's name, and not where it is used. Imports omegaconf late.
"""

import errno
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import yaml

from keypoints.errors import DataError, one_line, shortened
from keypoints.input_files import MISSING, read_bytes, why_not_regular

if TYPE_CHECKING:
    from omegaconf import DictConfig

MOST_BYTES = 2**21
"""Bytes of a configuration or a status: a hundred times the longest that a run has written."""

MOST_TABLE_BYTES = 2**29
"""Bytes of a table: one of 68 points has some 5000 bytes a face, and this is room for 100 000 faces."""

_MOST_DEPTH = 40
"""Values in values of YAML; the deepest configuration has 8. Its loaders call themselves for each."""

_MOST_NODES = 100_000
"""Values of YAML with what its anchors stand for: some bytes may stand for more than any memory holds."""

_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map"))
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Return the text of a file in UTF-8.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        FileNotFoundError: if there is none.
        DataError: if it is no file, cannot be read, is larger, or no text.
    """
    if why_not_regular(path) == MISSING:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    contents = read_bytes(path, most)
    try:
        text = contents.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = contents.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: line {line}: is no UTF-8; save the file in this encoding") from error
    if (place := text.find("\0")) >= 0:
        raise DataError(f"{path}: line {_line(text, place)}: holds a NUL, so it is no text or was damaged")
    return text


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def read_json(path: Path) -> dict[str, Any]:
    """Return the values of a JSON file that holds an object.

    Raises:
        FileNotFoundError: if there is none.
        DataError: as :func:`read_text`, or if it holds something else.
    """
    text = read_text(path)
    try:
        values = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({one_line(error)[:200]})") from error
    if not isinstance(values, dict):
        raise DataError(f"{path}: cannot be read (it holds no values by name)")
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of a JSON object.

    Raises:
        ValueError: if a name stands there twice.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is given twice")
    return values


def read_yaml(path: Path, *, resolved: bool = False) -> "DictConfig":
    """Return the configuration in a YAML file; an empty file has no keys.

    Interpolations are not resolved here, but where their values are used.

    Args:
        path: the file.
        resolved: refuse interpolations, as nothing that was written resolved has any.

    Raises:
        FileNotFoundError: if there is none.
        DataError: as :func:`read_text`; if it is no YAML, holds no mapping, a key twice, a tag of Python's,
            or is too deep or too long once its anchors are followed. The message names the line.
    """
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    text = read_text(path)
    try:
        _Check(path, resolved).look(text)
        loaded = OmegaConf.load(io.StringIO(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f"line {mark.line + 1}: "
        begins = "" if mark is None else "".join(text.split("\n")[mark.line : mark.line + 1]).lstrip(" ")
        said = one_line(error.problem or error)[:200]
        said = "it is indented by a tab; use blanks" if begins.startswith("\t") else said
        raise DataError(f"{path}: {where}is no YAML ({said})") from error
    except yaml.reader.ReaderError as error:
        raise DataError(f"{path}: {_unprintable(text)}is no YAML ({one_line(error.reason)})") from error
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: cannot be read ({one_line(error).partition(' full_key:')[0][:200]})"
        ) from error
    if not isinstance(loaded, DictConfig):
        raise DataError(f"{path}: is no configuration: it holds no values by name")
    return loaded


def _unprintable(text: str) -> str:
    """Return which line of YAML holds a character that none may."""
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    return f"line {_line(text, found.start())}: " if found else ""


@dataclass
class _Open:
    """A mapping or list of YAML that is being read."""

    mapping: bool
    anchor: str | None
    keys: set[str] = field(default_factory=set)
    key_is_next: bool = True
    size: int = 1


@dataclass
class _Check:
    """Looks at the events of a YAML text, which take no memory, before its values are made."""

    path: Path
    resolved: bool
    open: list[_Open] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    def look(self, text: str) -> None:
        """See that the text is what :func:`read_yaml` takes.

        Raises:
            DataError, YAMLError: if it is not.
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
                self._refuse(event, f"*{event.anchor} stands for what it is part of, without end")
            if event.anchor not in self.sizes:
                self._refuse(event, f"*{event.anchor} stands for nothing that was named before")
        elif event.tag not in (None, "!", *_TAGS):
            self._refuse(event, f"the tag {event.tag} is none of a configuration")
        inside = self.open[-1] if self.open else None
        if inside is not None and inside.mapping and inside.key_is_next:
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse(event, "a key is a word")
            if event.value in inside.keys:
                self._refuse(event, f"the key {event.value} is given twice; keep one of them")
            inside.keys.add(event.value)
        if isinstance(event, yaml.CollectionStartEvent):
            if len(self.open) == _MOST_DEPTH:
                self._refuse(event, f"its values lie in each other more than {_MOST_DEPTH} deep")
            self.open.append(_Open(isinstance(event, yaml.MappingStartEvent), event.anchor))
            return
        if self.resolved and isinstance(event, yaml.ScalarEvent) and "${" in event.value:
            self._refuse(
                event, f"{event.value[:80]!r} is not resolved, as it was written; put the value itself there"
            )
        is_alias = isinstance(event, yaml.AliasEvent)
        self._done(event, None if is_alias else event.anchor, self.sizes[event.anchor] if is_alias else 1)

    def _done(self, event: yaml.Event, anchor: str | None, size: int) -> None:
        """Count a value that was read."""
        if anchor is not None:
            self.sizes[anchor] = size
        if self.open:
            inside = self.open[-1]
            inside.size += size
            inside.key_is_next = not inside.key_is_next
            if inside.size > _MOST_NODES:
                self._refuse(
                    event, f"it has more than {_MOST_NODES:,} values, with what its anchors stand for"
                )

    def _refuse(self, event: yaml.Event, why: str) -> NoReturn:
        raise DataError(f"{self.path}: line {event.start_mark.line + 1}: {why}")


class Kind(NamedTuple):
    """What a value has to be."""

    words: str
    """For the message: "a whole number"."""
    fits: Callable[[Any], bool]


def is_number(value: Any) -> bool:
    """Return whether it is a finite number that a float can hold."""
    try:
        return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


def is_count(value: Any) -> bool:
    """Return whether it is a whole number from 0 up, of at most 63 bits as tables and tensors have it."""
    return not isinstance(value, bool) and isinstance(value, int) and 0 <= value < 2**63


def is_pair(value: Any) -> bool:
    """Return whether it is two numbers."""
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


def or_none(kind: Kind) -> Kind:
    """Return the kind of a value that may be missing."""
    return Kind(f"{kind.words} or null", lambda value: value is None or kind.fits(value))


def one_of(words: Iterable[str]) -> Kind:
    """Return the kind of a value that is one of these words."""
    known = tuple(words)
    return Kind(f"one of {', '.join(known)}", lambda value: isinstance(value, str) and value in known)


def check_kinds(values: Mapping[Any, Any], kinds: Mapping[str, Kind], needed: Iterable[str] = ()) -> None:
    """See that those of the values that are there are what they should be.

    Args:
        values: by name.
        kinds: of those that are used.
        needed: names that have to be there.

    Raises:
        ValueError: if one is not; the message names it, and not the file.
    """
    for name in needed:
        if name not in values:
            raise ValueError(f"lacks {name!r}")
    for name, kind in kinds.items():
        if name in values and not kind.fits(values[name]):
            raise ValueError(f"{name} is {kind.words}, not {shortened(repr(values[name]), 80)}")
