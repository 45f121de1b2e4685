"""Names of runs, and of the folders of runs and sweeps. Imports no torch."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from keypoints.config.quoting import unquoted
from keypoints.config.registry import is_path
from keypoints.errors import ConfigError, DataError, printable, shortened
from keypoints.structured_files import read_json

_LONGEST_NAME = 200
"""Longest name of a run's folder, in characters; file systems allow 255 bytes."""

_SAMPLED = re.compile(r"-?\d+\.\d{9,}(e-?\d+)?")
"""A number that a search sampled: it has more digits than a user types."""

SEPARATOR = ";"
"""Separator of the overrides that Hydra joins for a job's name; not a comma, since lists contain commas."""


def run_name(overrides: str, number: int, sweep: str | None = None) -> str:
    """Return the folder name of a sweep's job, from its overrides: letters, digits, dots and dashes.

    >>> run_name("model.net.kernel_sizes=[10,7,5];optimizer.lr=0.01", 3)
    'kernel-sizes-10-7-5--lr-0.01'
    >>> run_name("optimizer.lr=0.00044303752452182633", 3)
    'lr-0.000443'
    >>> run_name("data.train='/home/me/lists/t.csv'", 3)
    'train-lists-t.csv'
    >>> run_name("", 3)
    '3'

    Args:
        overrides: the job's overrides, joined by :data:`SEPARATOR`.
        number: number of the job; the name of a job without overrides.
        sweep: the sweep's folder. If a run with other overrides has the name there, a number is added.
    """
    given = split_overrides(overrides)
    name = _name_of(given) or str(number)
    if sweep is None:
        return name
    numbered = (name if place == 1 else f"{name}--{place}" for place in count(1))
    return next(each for each in numbered if _is_free_for(Path(sweep) / each, given))


def split_overrides(joined: str) -> list[str]:
    """Return the overrides that are joined by :data:`SEPARATOR`, which may also occur in a path."""
    outside = rf"{SEPARATOR}(?=[+~]*[\w./@-]+=)(?=(?:[^']*'[^']*')*[^']*$)"
    return [each for each in re.split(outside, joined) if each]


def _name_of(overrides: Sequence[str]) -> str:
    pairs = [override.partition("=")[::2] for override in overrides]
    short = [key.rpartition(".")[2] for key, _ in pairs]
    keys = [last if short.count(last) == 1 else key for last, (key, _) in zip(short, pairs, strict=True)]
    name = "--".join(
        f"{_plain(key)}-{_plain(_short(full, value))}" for key, (full, value) in zip(keys, pairs, strict=True)
    )
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(SEPARATOR.join(overrides).encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 10].rstrip('-')}--{digest}"


def _is_free_for(folder: Path, overrides: Sequence[str]) -> bool:
    """Return whether a sweep's folder is free for a run with these overrides, or already holds that run."""
    try:
        recorded = read_json(folder / "status.json").get("overrides")
    except (FileNotFoundError, ValueError, AttributeError, DataError):
        return True  # a damaged status is reported when the run starts
    if not isinstance(recorded, list):
        return True
    return set(map(normal_override, overrides)) <= set(map(normal_override, recorded))


def normal_override(override: object) -> str:
    """Return an override without quotes, so that two spellings compare equal."""
    key, _, value = str(override).partition("=")
    return f"{key}={unquoted(value)}"


def _short(key: str, value: str) -> str:
    """Return a sampled number with three digits, a path as its last two parts, another value unchanged."""
    if _SAMPLED.fullmatch(value):
        return f"{float(value):.3g}"
    return "/".join(Path(unquoted(value)).parts[-2:]) if is_path(key.lstrip("+")) else value


def _plain(text: str) -> str:
    ascii_ = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9.]+", "-", ascii_).strip("-")


def sweep_name(experiment: str, sweep: str | None) -> str:
    """Return the name of the folder that all sweeps of an experiment over the same option share."""
    return experiment if sweep in (None, "None") else f"{experiment}-{sweep}"


def check_name(name: Any) -> None:
    r"""Check that a run's name can be a folder's name on common file systems.

    Raises:
        ConfigError: if it cannot: it is not a text, is blank or too long, begins or ends with a space, or has
            a ``/``, ``\`` or control character.
    """
    if not isinstance(name, str):
        raise ConfigError(f"name is a text, not {name!r}; in a file it needs quotes: name: '{name}'")
    shown = f"name={shortened(printable(name), 60)!r}"
    if not name.strip(" ."):
        raise ConfigError(f"{shown}: the name is also a folder's name, so it needs a letter or a digit")
    if any(mark in name for mark in "/\\") or printable(name) != name or name != name.strip():
        raise ConfigError(
            f"{shown}: the name is also a folder's name: no / or \\, no control character, no space at "
            "either end; for another place give output=<folder>"
        )
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise ConfigError(f"{shown}: the name is also a folder's name: at most {_LONGEST_NAME} bytes")
