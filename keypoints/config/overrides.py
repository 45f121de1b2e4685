"""Overrides as Hydra parses them. Imports no torch."""

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from keypoints.config.quoting import is_given, quote_paths

_MOST_VALUES = 10_000
"""Largest number of values of a range that are listed."""


def varied_by_hand(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the keys of the swept overrides, and the keys of the others.

    Flags, and arguments that cannot be parsed, are skipped; Hydra reports the latter.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    varied: list[str] = []
    constant: list[str] = []
    parser = OverridesParser.create()
    for argument in quote_paths(arguments):
        if argument.startswith("-"):
            continue
        try:
            (override,) = parser.parse_overrides([argument])
        except HydraException:
            continue
        (varied if override.is_sweep_override() else constant).append(override.key_or_group)
    return varied, constant


def named_by_data(overrides: Sequence[str]) -> list[str]:
    """Return the overrides; if they choose data, but neither a name nor an experiment, the data name the run.

    >>> named_by_data(["data=udacity"]), named_by_data(["data=udacity", "name=mine"])
    (['data=udacity', 'name=udacity'], ['data=udacity', 'name=mine'])

    Args:
        overrides: overrides of a verb that has a name.
    """
    data = is_given(overrides, "data")
    if (
        data is None
        or is_given(overrides, "name") is not None
        or is_given(overrides, "experiment") is not None
    ):
        return list(overrides)
    return [*overrides, f"name={data}"] if re.fullmatch(r"(?!null$)[A-Za-z]\w*", data) else list(overrides)


def first_of_sweep(overrides: Iterable[str]) -> list[str]:
    """Return the overrides of a multirun's first job; an interval gives its lower end.

    An argument that cannot be parsed stays unchanged; Hydra reports it.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Glob, IntervalSweep
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    first = []
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except HydraException:
            first.append(text)
            continue
        value: Any = override.value()
        if not override.is_sweep_override():
            first.append(text)
        elif isinstance(value, IntervalSweep):
            first.append(f"{override.get_key_element()}={value.start}")
        elif not isinstance(value, Glob):
            first += [
                f"{override.get_key_element()}={each}" for each in islice(override.sweep_string_iterator(), 1)
            ]
    return first


def override_values(override: Any) -> list[Any]:
    """Return the values of an override as a list, several for a sweep, without their quotes."""
    from hydra.core.override_parser.types import ChoiceSweep, QuotedString

    value = override.value()
    listed = value.list if isinstance(value, ChoiceSweep) else [value]
    return [each.text if isinstance(each, QuotedString) else each for each in listed]


def swept_values(override: Any) -> list[Any]:
    """Return the values of an override that are known before the sweep runs; for a range, the first two.

    The values of an interval or a pattern are not known: the list is empty.
    """
    from hydra.core.override_parser.types import ChoiceSweep, RangeSweep

    value = override.value()
    if isinstance(value, RangeSweep):
        return list(islice(value.range(), 2))
    return (
        override_values(override)
        if isinstance(value, ChoiceSweep) or not override.is_sweep_override()
        else []
    )


def all_values(override: Any) -> list[Any]:
    """Return all values of an override that are known before the sweep runs, also those of a range."""
    from hydra.core.override_parser.types import RangeSweep

    value = override.value()
    return (
        list(islice(value.range(), _MOST_VALUES)) if isinstance(value, RangeSweep) else swept_values(override)
    )


def is_listed(override: Any) -> bool:
    """Return whether an override is one value, or a sweep over a plain list of values."""
    from hydra.core.override_parser.types import ChoiceSweep

    value = override.value()
    return not override.is_sweep_override() or (
        isinstance(value, ChoiceSweep) and value.simple_form and not value.shuffle
    )
