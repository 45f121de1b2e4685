"""Settings of the configuration: types, bounds, choices, defaults and descriptions. Imports no torch.

A schema is a dataclass whose fields are made by :func:`setting`. It is the only source of a verb's checks,
its help, and its quoting for Hydra.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, field, fields
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import MISSING

from keypoints.errors import ConfigError, shortened

WHOLE, NUMBER, SWITCH = "whole number", "number", "true or false"
PATH, FILE, FOLDER = "path", "file", "folder"
WORD, TEXT, NAMES = "word", "text", "names"
LIST, MAPPING, ANY, NULL = "list", "mapping", "any", "null"

FilePath = Annotated[str, PATH]
"""File or folder that is read."""

OutputFile = Annotated[str, FILE]
"""File that is written."""

OutputFolder = Annotated[str, FOLDER]
"""Folder that is written to."""

Text = Annotated[str, TEXT]
"""Text with any characters."""

Names = Annotated[Any, NAMES, NULL]
"""Names, as a list or as one text with commas; or null."""

Hosts = Annotated[Any, LIST, WORD, NULL]
"""Names of hosts, as :data:`Names`; an IPv6 address may be in brackets."""

QUOTED = frozenset({PATH, FILE, FOLDER, TEXT, NAMES})
"""Types whose values are quoted, since Hydra's grammar would interpret commas, brackets and the like."""

PLACES = frozenset({FILE, FOLDER})
"""Types of outputs; they are not swept, and an empty value would mean the current folder."""

_TYPES: Mapping[object, str] = {
    int: WHOLE,
    float: NUMBER,
    bool: SWITCH,
    str: WORD,
    list: LIST,
    tuple: LIST,
    dict: MAPPING,
}

_DESCRIPTIONS: Mapping[str, str] = {
    WHOLE: "a whole number",
    NUMBER: "a finite number",
    SWITCH: "true or false",
    PATH: "a path",
    FILE: "the name of a file",
    FOLDER: "the name of a folder",
    WORD: "a text",
    TEXT: "a text",
    NAMES: "a list of names",
    LIST: "a list",
    MAPPING: "a mapping",
}

_SHORT_NAMES: Mapping[str, str] = {
    WHOLE: "int",
    NUMBER: "number",
    SWITCH: "true|false",
    WORD: "text",
    MAPPING: "{…}",
    LIST: "[…]",
    NAMES: "names",
}

_YES, _NO = ("true", "yes", "on", "y", "1"), ("false", "no", "off", "n", "0")


@dataclass(frozen=True)
class Bounds:
    """Bounds of a number; ``None`` for a bound that does not exist.

    Args:
        at_least: smallest allowed value.
        above: exclusive lower bound.
        at_most: largest allowed value.
    """

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None

    def hold(self, value: float) -> bool:
        """Return whether a value lies within the bounds."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
        )

    def __str__(self) -> str:
        low = "" if self.at_least is None else f"from {self.at_least:g}"
        low = low if self.above is None else f"above {self.above:g}"
        if self.at_most is None:
            return f"{low} up" if self.at_least is not None else low
        return f"{low} to {self.at_most:g}"


@dataclass(frozen=True)
class Setting:
    """One setting.

    Args:
        key: dotted key, as on the command line.
        types: allowed types of a value, as constants of this module.
        default: default value; ``???`` if a value is required.
        sentence: description of the setting.
        choices: allowed words; empty if every word is allowed.
        bounds: bounds of a number.
        optional: whether null is allowed.
        finite: whether a number has to be finite.
    """

    key: str
    types: frozenset[str]
    default: Any = None
    sentence: str = ""
    choices: tuple[str, ...] = ()
    bounds: Bounds = Bounds()
    optional: bool = False
    finite: bool = True

    @property
    def required(self) -> bool:
        """True if a value has to be given."""
        return bool(self.default == MISSING)

    @property
    def quoted(self) -> bool:
        """True if values are quoted for Hydra's grammar."""
        return bool(self.types & QUOTED)

    @property
    def place(self) -> str | None:
        """Kind of output that the setting names, ``"file"`` or ``"folder"``; ``None`` if it names none."""
        return next(iter(self.types & PLACES), None)

    @property
    def kind(self) -> str:
        """Short name of the type, for help."""
        if self.choices:
            return "|".join(self.choices)
        types = self.types - {ANY} - ({WHOLE} if NUMBER in self.types else set())
        return "|".join(_SHORT_NAMES.get(each, each) for each in sorted(types)) or "value"

    def __str__(self) -> str:
        """Return a description of the allowed values: ``a whole number from 1 up``."""
        if self.choices:
            said = f"one of {', '.join(self.choices)}"
        else:
            types = self.types - {ANY} - ({WHOLE} if NUMBER in self.types else set())
            names = _DESCRIPTIONS if self.finite else {**_DESCRIPTIONS, NUMBER: "a number"}
            said = " or ".join(names[each] for each in sorted(types, reverse=True))
        bounds = f" {self.bounds}" if str(self.bounds) else ""
        return f"{said}{bounds}{', or null' if self.optional else ''}"

    def checked(self, value: Any) -> Any:
        """Check a value and return it normalised: ``no`` becomes false.

        Args:
            value: plain value, as typed or read from a file.

        Raises:
            ConfigError: if it does not have the setting's type, or is outside of its bounds or choices.
        """
        if value == MISSING or (isinstance(value, str) and "${" in value):
            return value
        if self.types == {SWITCH} and str(value).lower() in (*_YES, *_NO):
            return str(value).lower() in _YES
        if not self._fits(value):
            raise ConfigError(f"{self.key} is {self}, not {shortened(repr(value), 80)}")
        return value

    def _fits(self, value: Any) -> bool:
        if value is None:
            return self.optional or ANY in self.types
        if self.choices:
            return str(value) in self.choices or str(value).lower() in {"true", "false"} & {*self.choices}
        if _is_number(value) and not self.finite and self.types & {WHOLE, NUMBER}:
            return True
        return any(_IS[each](value) for each in self.types) and (
            not _is_number(value) or self.bounds.hold(value)
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or _is_number(value)


_IS: Mapping[str, Callable[[Any], bool]] = {
    WHOLE: lambda value: isinstance(value, int) and not isinstance(value, bool),
    NUMBER: lambda value: _is_number(value) and math.isfinite(value),
    SWITCH: lambda value: isinstance(value, bool),
    **dict.fromkeys((WORD, TEXT, PATH, FILE, FOLDER), _is_text),
    NAMES: lambda value: isinstance(value, str | list),
    LIST: lambda value: isinstance(value, list),
    MAPPING: lambda value: isinstance(value, Mapping),
    ANY: lambda value: True,  # noqa: ARG005
}


def setting(
    default: Any,
    sentence: str,
    *,
    choices: tuple[str, ...] = (),
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
) -> Any:
    """Return the dataclass field of a setting in a schema.

    Args:
        default: default value; ``omegaconf.MISSING`` if a value is required.
        sentence: description of the setting, for help.
        choices: allowed words; empty if every word is allowed.
        at_least: smallest allowed number.
        above: exclusive lower bound of a number.
        at_most: largest allowed number.
    """
    metadata = {"sentence": sentence, "choices": choices, "bounds": Bounds(at_least, above, at_most)}
    return field(default=default, metadata=metadata)


def within(schema: type) -> Any:
    """Return the dataclass field of a node with another schema's settings; files may add keys to the node.

    Args:
        schema: a dataclass whose fields are made by :func:`setting`.
    """
    return field(default_factory=dict, metadata={"within": schema})


def defaults_list(*entries: Any) -> Any:
    """Return the field ``defaults`` of a schema: Hydra's defaults list, which is not a setting.

    Args:
        entries: entries as in a YAML file, such as ``"_self_"`` and ``{"data": "imm"}``.
    """
    return field(default_factory=lambda: list(entries), metadata={"hydra": True})


def settings_of(schema: type, prefix: str = "") -> dict[str, Setting]:
    """Return the settings of a schema and of its nested schemas by their dotted keys.

    Args:
        schema: a dataclass whose fields are made by :func:`setting`.
        prefix: prefix of the keys.
    """
    hints = get_type_hints(schema, include_extras=True)
    found: dict[str, Setting] = {}
    for each in fields(schema):
        if "hydra" in each.metadata:
            continue
        key, hint = f"{prefix}{each.name}", hints[each.name]
        if (inner := each.metadata.get("within")) is not None:
            found |= settings_of(inner, f"{key}.")
            continue
        default = None if each.default is NO_DEFAULT else each.default
        types = types_of(hint)
        found[key] = Setting(key, types - {NULL}, default, optional=NULL in types, **each.metadata)
    return found


def types_of(hint: Any) -> frozenset[str]:
    """Return the types that a type hint allows, as constants of this module; ``NULL`` for ``None``."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is None or hint is type(None):
        return frozenset({NULL})
    if origin is Annotated:
        return frozenset(args[1:])
    if origin in (Union, UnionType):
        return frozenset().union(*map(types_of, args))
    if origin is Literal:
        return frozenset({WORD})
    return frozenset({_TYPES.get(origin or hint, ANY)})
