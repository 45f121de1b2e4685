"""Values that have to be given: ``???``. Imports no torch."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from keypoints.config import options
from keypoints.config.registry import folders, is_path, schema_of, setting_named
from keypoints.config.run_names import check_name
from keypoints.errors import ConfigError

_REQUIRED = "${required:}"
"""What takes the place of ``???`` in files."""


class MissingValueError(ConfigError):
    """A value that has to be given was asked for."""


def no_value() -> None:
    """Say that a value was asked for which has to be given; what ``${required:}`` resolves to."""
    raise MissingValueError("it has no value (???)")


def keep_missing(node: Any) -> None:
    """Let ``???`` in a file take the place of an earlier file's value, which OmegaConf would keep."""
    if not isinstance(node, DictConfig):
        return
    for key in [str(key) for key in node if key != "defaults"]:
        if OmegaConf.is_missing(node, key):
            node[key] = _REQUIRED
        elif not OmegaConf.is_interpolation(node, key):
            keep_missing(node[key])


def missing(cfg: DictConfig, own: Path | None = None, config: str | None = None) -> str | None:
    """Return which values have to be given (``???``), and what belongs there; ``None`` if there is none.

    Args:
        cfg: the configuration.
        own: the folder of ``--config-dir``, where comments may say what belongs there, as ours do.
        config: name of the verb's primary configuration, whose schema says what its own settings are.
    """
    plain: Any = OmegaConf.to_container(cfg)
    plain.pop("hydra", None)  # it fills in its own values later
    told = [need(key, own, config) for key in _missing_keys(plain)]
    return "; ".join(told) or None


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
    """Return what belongs to a key that has no value, as a comment behind it or its schema says.

    >>> need("a.b")
    'a.b has no value (???): give a.b=<value>'
    """
    known = setting_named(key) if config is None else schema_of(config).all.get(key)
    kind = "|".join(known.choices) if known else ""
    said = f"{key} has no value (???): give {key}=<{kind or ('path' if is_path(key, own) else 'value')}>"
    about = options.comment(folders(own), key, missing=True) or ("" if known is None else known.sentence)
    return f"{said}, {about[:1].lower()}{about[1:].rstrip('.')}" if about else said


def check_complete(cfg: DictConfig, own: Path | None = None, config: str | None = None) -> None:
    """See that no value is missing, and that the name can be a folder's.

    Args:
        cfg, own, config: as of :func:`missing`.

    Raises:
        ConfigError: if one is, or it cannot.
    """
    if (told := missing(cfg, own, config)) is not None:
        raise ConfigError(told)
    if "name" in cfg:
        check_name(cfg.name)
