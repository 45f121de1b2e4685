"""Required values that are not given yet: ``???``. Imports no torch."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from keypoints.config import options
from keypoints.config.registry import folders, is_path, schema_of, setting_named
from keypoints.config.run_names import check_name
from keypoints.config.settings import Setting
from keypoints.errors import ConfigError, shortened

_REQUIRED = "${required:}"
"""Interpolation that replaces ``???`` in files."""


class MissingValueError(ConfigError):
    """Error for a required value that is not given."""


def no_value() -> None:
    """Raise the error of a required value that is not given; the resolver of ``${required:}``.

    Raises:
        MissingValueError: always.
    """
    raise MissingValueError("it has no value (???)")


def keep_missing(node: Any) -> None:
    """Let ``???`` in a file replace an earlier file's value, which OmegaConf would keep."""
    if not isinstance(node, DictConfig):
        return
    for key in [str(key) for key in node if key != "defaults"]:
        if OmegaConf.is_missing(node, key):
            node[key] = _REQUIRED
        elif not OmegaConf.is_interpolation(node, key):
            keep_missing(node[key])


def missing(cfg: DictConfig, own: Path | None = None, config: str | None = None) -> str | None:
    """Return a message about the required values that are not given (``???``); ``None`` if all are given.

    Args:
        cfg: the configuration.
        own: the folder of ``--config-dir``, whose files may describe values in comments, as ``conf`` does.
        config: name of the verb's primary configuration, whose schema describes its own settings.
    """
    plain: Any = OmegaConf.to_container(cfg)
    plain.pop("hydra", None)  # Hydra sets its own values later
    keys = list(_missing_keys(plain))
    message = "; ".join(need(key, own, config) for key in keys)
    if len(keys) > 1 and shortened(message) != message:
        given = " ".join(_example(key, own, config) for key in keys)
        return f"{', '.join(keys)} have no value (???): give {given}; --help describes them"
    return message or None


def _missing_keys(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _missing_keys(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _missing_keys(inner, f"{key}.{number}")
    elif value in ("???", _REQUIRED):
        yield key


def need(key: str, own: Path | None = None, config: str | None = None) -> str:
    """Return the message for a key without a value: how to give it, and its description.

    The description is the comment after the key in a file, else the sentence of its schema.

    >>> need("a.b")
    'a.b has no value (???): give a.b=<value>'
    """
    known = _setting(key, config)
    said = f"{key} has no value (???): give {_example(key, own, config)}"
    about = options.comment(folders(own), key, missing=True) or ("" if known is None else known.sentence)
    return f"{said}, {about[:1].lower()}{about[1:].rstrip('.')}" if about else said


def _setting(key: str, config: str | None) -> Setting | None:
    return setting_named(key) if config is None else schema_of(config).all.get(key)


def _example(key: str, own: Path | None, config: str | None) -> str:
    """Return how a key is given: ``key=<path>``."""
    known = _setting(key, config)
    kind = "|".join(known.choices) if known else ""
    return f"{key}=<{kind or ('path' if is_path(key, own) else 'value')}>"


def check_complete(cfg: DictConfig, own: Path | None = None, config: str | None = None) -> None:
    """Check that no required value is missing, and that the run's name can name a folder.

    Args:
        cfg: the configuration.
        own: the folder of ``--config-dir``.
        config: name of the verb's primary configuration.

    Raises:
        ConfigError: if a value is missing, or the name cannot name a folder.
    """
    if (message := missing(cfg, own, config)) is not None:
        raise ConfigError(message)
    if "name" in cfg:
        check_name(cfg.name)
