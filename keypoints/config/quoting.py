"""Paths and free text on the command line, quoted for Hydra's grammar of overrides. Imports no torch."""

import os
import re
from collections.abc import Iterable
from glob import glob
from pathlib import Path
from typing import Any

from keypoints.config.registry import is_path, is_quoted, is_swept
from keypoints.errors import ConfigError

_ELEMENT = re.compile(r"""\s*(?P<value>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^,]*?)\s*(?:,|$)""", re.DOTALL)
"""A value of a sweep, with the comma behind it; commas in quotes are none."""


def quote_paths(arguments: Iterable[str]) -> list[str]:
    """Return the arguments, with paths and free text quoted for Hydra's override grammar.

    In a multirun a comma separates paths, unless it stands in quotes or the path is there as it stands;
    ``choice(a,b)`` and ``glob(*.csv)`` sweep too. In a single run a comma is a part of the path.

    Raises:
        ConfigError: if no file fits a ``glob`` of a multirun.
    """
    arguments = list(arguments)
    multirun, own = is_multirun(arguments), own_folder(arguments)
    return [_quote(argument, own, multirun=multirun) for argument in arguments]


def is_multirun(arguments: Iterable[str]) -> bool:
    """Return whether the arguments ask for several runs by themselves: ``-m``, or ``sweep=`` as ours do."""
    arguments = list(arguments)
    if any(argument in ("-m", "--multirun") for argument in arguments):
        return True
    mode = is_given(arguments, "hydra.mode") or ""
    return mode.upper() == "MULTIRUN" or is_given(arguments, "sweep") not in (None, "", "null", "None")


def _quote(argument: str, own: Path | None, *, multirun: bool) -> str:
    key, equals, value = argument.partition("=")
    plain = key.lstrip("+")
    if not equals or value in ("", "null") or not is_quoted(plain, own):
        return argument
    if multirun and is_swept(plain, own) and not (is_path(plain, own) and os.path.lexists(value)):
        return f"{key}={_swept(plain, value, own)}"
    return argument if value[0] in "'\"" else f"{key}={quoted(value)}"


def _swept(key: str, value: str, own: Path | None) -> str:
    """Return the value of a multirun, which may be several, quoted."""
    function = re.fullmatch(r"\s*(choice|glob|shuffle|sort|tag)\((.*)\)\s*", value, re.DOTALL)
    if function is None:
        return ",".join(map(_as_element, split_values(value)))
    if function[1] == "choice":
        return f"choice({','.join(map(_as_element, split_values(function[2])))})"
    if function[1] != "glob" or not is_path(key, own):
        return value
    return _globbed(key, value, function[2])


def _globbed(key: str, value: str, inside: str) -> str:
    """Return the files that fit ``glob(…)``, which Hydra knows of groups alone."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Glob
    from hydra.errors import HydraException

    typed = value if any(mark in inside for mark in ",='\"") else f"glob({quoted(inside)})"
    try:
        pattern: Any = OverridesParser.create().parse_override(f"{key}={typed}").value()
    except HydraException as error:
        raise ConfigError(f"{key}={value}: quote the pattern: glob('lists/*.csv')") from error
    if not isinstance(pattern, Glob):
        return quoted(value)
    include, exclude = map(_matches, (pattern.include, pattern.exclude))
    if not (found := include - exclude):
        raise ConfigError(f"{key}={value}: no file or folder fits it")
    return f"choice({','.join(map(quoted, sorted(found)))})"


def _matches(patterns: Iterable[str]) -> set[str]:
    """Return what is there by these patterns, of which ``Path.glob`` takes no absolute ones."""
    return {path for each in patterns for path in glob(each, recursive=True)}  # noqa: PTH207


def split_values(text: str) -> list[str]:
    """Return the values that commas separate; the text as it is, if one of them would be empty.

    >>> split_values("a.csv, 'b, c.csv'")
    ['a.csv', "'b, c.csv'"]
    """
    values: list[str] = []
    place = 0
    while (found := _ELEMENT.match(text, place)) is not None and found["value"]:
        values.append(found["value"])
        if (place := found.end()) == len(text):
            return [text] if text.endswith(",") else values
    return [text]


def _as_element(value: str) -> str:
    return value if value[:1] in ("'", '"') or value == "null" else quoted(value)


def quoted(value: str) -> str:
    """Return a text in quotes, as Hydra's grammar reads it back."""
    # In the grammar a backslash escapes a quote, and only runs of them before a quote are special.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


def check_commas(arguments: Iterable[str]) -> None:
    """See that no path of a single run is rather several, of which each is there.

    Raises:
        ConfigError: if one is.
    """
    arguments = list(arguments)
    if is_multirun(arguments):
        return
    own = own_folder(arguments)
    for argument in arguments:
        key, _, value = argument.partition("=")
        if "," not in value or os.path.lexists(value) or not _is_one_of_paths(key.lstrip("+"), own):
            continue
        if all(os.path.lexists(each) for each in split_values(value)):
            raise ConfigError(f"{argument}: there is no such path; for a run with each of them, add -m")


def _is_one_of_paths(key: str, own: Path | None) -> bool:
    """Return whether a key's value is a path that a multirun may vary."""
    return is_path(key, own) and is_swept(key, own)


def unquoted(value: str) -> str:
    """Return a text without the quotes of Hydra's grammar."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return re.sub(r"(\\+)(?='|$)", lambda found: found[1][: len(found[1]) // 2], value[1:-1])
    return value


def is_given(arguments: Iterable[str], key: str) -> str | None:
    """The value that ``key`` is given on the command line, as it was typed."""
    values = [
        argument.partition("=")[2] for argument in arguments if argument.lstrip("+").startswith(f"{key}=")
    ]
    return values[-1] if values else None


def own_folder(flags: Iterable[str]) -> Path | None:
    """Return the folder of ``--config-dir``.

    Raises:
        ConfigError: if there is no such folder.
    """
    given = flag(flags, "--config-dir", "-cd")
    if given is not None and not Path(given).is_dir():
        raise ConfigError(f"--config-dir {given}: no such folder")
    return None if given is None else Path(given)


def flag(flags: Iterable[str], *names: str) -> str | None:
    """Return the value of one of Hydra's flags."""
    left = iter(flags)
    found = None
    for flag in left:
        name, equals, value = flag.partition("=")
        if name in names:
            found = value if equals else next(left, None)
    return found
