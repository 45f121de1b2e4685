"""Values of a configuration by dotted key. Imports no torch."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from keypoints.config.quoting import unquoted
from keypoints.config.registry import is_group
from keypoints.errors import ConfigError


def flat(cfg: Mapping[Any, Any] | DictConfig) -> dict[str, int | float | str]:
    """Return a configuration's values by dotted key, except the run's own folder and paths in it.

    Numbers stay numbers; all other values become YAML text, and an empty group becomes ``"none"``.

    >>> flat({"loss": {}, "net": {"sizes": [7, 5]}, "start_from": None})
    {'loss': 'none', 'net.sizes': '[7, 5]', 'start_from': 'null'}
    """
    plain: Any = OmegaConf.to_container(cfg, resolve=True) if isinstance(cfg, DictConfig) else cfg
    own = str(plain.get("output"))
    values: dict[str, int | float | str] = {}

    def visit(key: str, value: Any) -> None:
        if isinstance(value, Mapping) and value:
            for name, inner in value.items():
                visit(f"{key}.{name}" if key else str(name), inner)
        elif not (isinstance(value, str) and (value == own or value.startswith(f"{own}/"))):
            is_plain = isinstance(value, int | float | str) and not isinstance(value, bool)
            values[key] = value if is_plain else in_yaml(value)

    visit("", plain)
    return values


def chosen_groups(overrides: Iterable[str]) -> dict[str, str]:
    """Return the options of groups that overrides choose, without the overrides of single values.

    >>> chosen_groups(["augmentation=wild", "optimizer.lr=1e-3", "callbacks/mine=some"])
    {'augmentation': 'wild', 'callbacks/mine': 'some'}
    """
    pairs = [
        override.lstrip("+").partition("=")[::2] for override in overrides if not override.startswith("~")
    ]
    return {
        key: unquoted(value)
        for key, value in pairs
        if not key.startswith("hydra") and ("/" in key or is_group(key))
    }


def in_yaml(value: Any) -> str:
    """Return a value as YAML text on one line; an empty group becomes ``none``."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping) and not value:
        return "none"
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=math.inf, sort_keys=False, allow_unicode=True
    )
    return text.strip()


def one_or_more(given: Any) -> str | list[str]:
    """Return the user's model, or several of them as a list.

    Args:
        given: the user's value, see :func:`listed_names`.

    Raises:
        ConfigError: if it names no model.
    """
    names = [] if given is None else listed_names(given)
    if not names:
        raise ConfigError(f"checkpoint is a path, or a list of paths, not {given}")
    return names[0] if len(names) == 1 else names


def listed_names(given: Any) -> list[str]:
    """Return the names in the user's value: a list, the text of one, or one name.

    >>> listed_names('["a", "b, c"]'), listed_names("[a,b]"), listed_names("a, b")
    (['a', 'b, c'], ['a', 'b'], ['a, b'])

    Args:
        given: the user's value.
    """
    if isinstance(given, list | ListConfig):
        return [str(each) for each in given]
    text = str(given)
    try:
        listed = json.loads(text)
    except ValueError:
        listed = text[1:-1].split(",") if text.startswith("[") and text.endswith("]") else [text]
    names = listed if isinstance(listed, list) else [text]
    return [name for each in names if (name := str(each).strip(" '\""))]
