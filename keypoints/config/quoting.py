"""Quoting of paths and free text on the command line for Hydra's override grammar. Imports no torch."""

import os
import re
import shlex
from collections.abc import Iterable
from glob import glob
from pathlib import Path
from typing import Any

from keypoints.config.registry import is_path, is_quoted, is_swept
from keypoints.errors import ConfigError

_ELEMENT = re.compile(r"""\s*(?P<value>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^,]*?)\s*(?:,|$)""", re.DOTALL)
"""A value of a sweep, with the comma after it; commas in quotes do not separate values."""

_PLAIN = re.compile(r"[\w./:+-]+")
"""A path without characters that have a meaning in a shell or in Hydra's grammar."""

_NOTHING = (None, "", "null", "None")
"""Values of an argument that choose nothing."""


def quote_paths(arguments: Iterable[str]) -> list[str]:
    """Return the arguments, with paths and free text quoted for Hydra's override grammar.

    In a multirun a comma separates paths, unless it is in quotes or the text with its commas is an existing
    path; ``choice(a,b)`` and ``glob(*.csv)`` are sweeps too. In a single run a comma is part of the path.

    Raises:
        ConfigError: if no file matches a ``glob`` of a multirun.
    """
    arguments = list(arguments)
    multirun, own = is_multirun(arguments), own_folder(arguments)
    return [_quote(argument, own, multirun=multirun) for argument in arguments]


def shell_command(words: Iterable[str]) -> str:
    """Return a command to be pasted into a POSIX shell, with the quotes that are easiest to read.

    >>> print(shell_command(["keypoints", "evaluate", "output='a b'"]))
    keypoints evaluate "output='a b'"

    Args:
        words: the program and its arguments, which may be quoted for Hydra's grammar.
    """
    return " ".join(
        f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)
        for word in map(_as_typed, words)
    )


def _as_typed(word: str) -> str:
    """Return an argument without the quotes that :func:`quote_paths` adds to every path again."""
    key, _, value = word.partition("=")
    plain = unquoted(value)
    if plain == "null" or not _PLAIN.fullmatch(plain) or not is_quoted(key.lstrip("+")):
        return word
    return f"{key}={plain}"


def is_multirun(arguments: Iterable[str]) -> bool:
    """Return whether the arguments ask for a multirun: ``-m``, ``hydra.mode=MULTIRUN``, or a ``sweep=``.

    ``hydra.mode=RUN`` makes a single run of a ``sweep=``.
    """
    arguments = list(arguments)
    if any(argument in ("-m", "--multirun") for argument in arguments):
        return True
    if (mode := is_given(arguments, "hydra.mode")) not in _NOTHING:
        return mode.upper() == "MULTIRUN"
    return is_given(arguments, "sweep") not in _NOTHING


def _quote(argument: str, own: Path | None, *, multirun: bool) -> str:
    key, equals, value = argument.partition("=")
    plain = key.lstrip("+")
    if not equals or value in ("", "null") or not is_quoted(plain, own):
        return argument
    if multirun and is_swept(plain, own) and not (is_path(plain, own) and os.path.lexists(value)):
        return f"{key}={_swept(plain, value, own)}"
    return argument if value[0] in "'\"" else f"{key}={quoted(value)}"


def _swept(key: str, value: str, own: Path | None) -> str:
    """Return a value of a multirun, which may be several values, with each value quoted."""
    function = re.fullmatch(r"\s*(choice|glob|shuffle|sort|tag)\((.*)\)\s*", value, re.DOTALL)
    if function is None:
        return ",".join(map(_as_element, split_values(value)))
    if function[1] == "choice":
        return f"choice({','.join(map(_as_element, split_values(function[2])))})"
    if function[1] != "glob" or not is_path(key, own):
        return value
    return _globbed(key, value, function[2])


def _globbed(key: str, value: str, inside: str) -> str:
    """Return the files that match ``glob(…)`` as a ``choice(…)``; Hydra supports ``glob`` for groups only."""
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
        raise ConfigError(f"{key}={value}: no file or folder matches")
    return f"choice({','.join(map(quoted, sorted(found)))})"


def _matches(patterns: Iterable[str]) -> set[str]:
    """Return the existing paths that match the patterns, which may be absolute."""
    return {path for each in patterns for path in glob(each, recursive=True)}  # noqa: PTH207 - may be absolute


def split_values(text: str) -> list[str]:
    """Return the values that commas separate; the whole text as one value if one of them would be empty.

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
    """Return a text in quotes, so that Hydra's grammar reads it back unchanged."""
    # In the grammar a backslash escapes a quote; only backslashes directly before a quote are special.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


def check_commas(arguments: Iterable[str]) -> None:
    """Check that no path of a single run is a list of existing paths, which would need a multirun.

    Raises:
        ConfigError: if a path with commas does not exist, but each of its parts does.
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
            raise ConfigError(f"{argument}: no such file or folder; for one run per path, add -m")


def _is_one_of_paths(key: str, own: Path | None) -> bool:
    """Return whether a key's value is a path that a multirun may sweep."""
    return is_path(key, own) and is_swept(key, own)


def unquoted(value: str) -> str:
    """Return a text without the quotes and escapes of Hydra's grammar."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return re.sub(r"(\\+)(?='|$)", lambda found: found[1][: len(found[1]) // 2], value[1:-1])
    return value


def is_given(arguments: Iterable[str], key: str) -> str | None:
    """Return the last value of ``key`` on the command line, as typed; ``None`` if there is none."""
    values = [
        argument.partition("=")[2] for argument in arguments if argument.lstrip("+").startswith(f"{key}=")
    ]
    return values[-1] if values else None


def own_folder(flags: Iterable[str]) -> Path | None:
    """Return the folder of ``--config-dir``; ``None`` without that flag.

    Raises:
        ConfigError: if the folder does not exist.
    """
    given = flag(flags, "--config-dir", "-cd")
    if given is not None and not Path(given).is_dir():
        raise ConfigError(f"--config-dir {given}: no such folder")
    return None if given is None else Path(given)


def flag(flags: Iterable[str], *names: str) -> str | None:
    """Return the last value of a flag of Hydra that has these ``names``; ``None`` if it is not given."""
    left = iter(flags)
    found = None
    for flag in left:
        name, equals, value = flag.partition("=")
        if name in names:
            found = value if equals else next(left, None)
    return found
