"""Finding and composing the Hydra configuration. Imports no torch."""

import argparse
import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import keypoints
from keypoints.errors import ConfigError, DataError
from keypoints.reading import Kind, check_kinds, read_yaml

PATH_KEYS = frozenset(
    {
        "calibration",
        "check",
        "checkpoint",
        "model.net.weights",
        "data.root",
        "data.train",
        "data.val",
        "folder",
        "hydra.sweep.dir",
        "input",
        "list",
        "output",
        "paths.data",
        "paths.outputs",
        "resume",
        "root",
        "source",
        "start_from",
        "trust",
        "url",
    }
)
"""Keys whose values are paths, addresses or names of packages. Hydra's grammar would read commas, brackets
and the like in them."""


_DRAWN = re.compile(r"-?\d+\.\d{9,}(e-?\d+)?")
"""More digits than anyone types."""

_DEFAULTS = Kind(
    "a list of names, or of group: option",
    lambda value: (
        isinstance(value, list) and all(isinstance(each, str) or _is_default(each) for each in value)
    ),
)

SEPARATOR = ";"
"""Between the overrides that Hydra joins for a job's name; lists have commas in them."""


def run_name(overrides: str, number: int) -> str:
    """The folder's name for a job that differs by these overrides: letters, digits, dots and dashes.

    >>> run_name("model.net.kernel_sizes=[10,7,5];optimizer.lr=0.01", 3)
    'kernel-sizes-10-7-5--lr-0.01'
    >>> run_name("optimizer.lr=0.00044303752452182633", 3)
    'lr-0.000443'
    >>> run_name("", 3)
    '3'
    """
    pairs = [override.partition("=")[::2] for override in overrides.split(SEPARATOR) if override]
    if not pairs:
        return str(number)
    short = [key.rpartition(".")[2] for key, _ in pairs]
    keys = [last if short.count(last) == 1 else key for last, (key, _) in zip(short, pairs, strict=True)]
    return "--".join(
        f"{_plain(key)}-{_plain(_short(value))}" for key, (_, value) in zip(keys, pairs, strict=True)
    )


def _is_default(entry: Any) -> bool:
    """Return whether an entry of a defaults list chooses an option of a group, several or none."""
    if not isinstance(entry, dict) or len(entry) != 1:
        return False
    ((group, option),) = entry.items()
    options = option if isinstance(option, list) else [option]
    return isinstance(group, str) and all(each is None or isinstance(each, str) for each in options)


def _short(value: str) -> str:
    """A number that a search drew, to three digits; whatever else as it is."""
    return f"{float(value):.3g}" if _DRAWN.fullmatch(value) else value


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")


def sweep_name(experiment: str, sweep: str | None) -> str:
    """The folder that sweeps of this kind share."""
    return experiment if sweep in (None, "None") else f"{experiment}-{sweep}"


def check_files() -> None:
    """Let Hydra read a YAML file only if :func:`keypoints.reading.read_yaml` can, which says what is wrong.

    Hydra by itself raises ten kinds of errors, or follows anchors without end. Our own files are not checked.
    """
    from hydra._internal.sources_registry import SourcesRegistry
    from hydra.core.plugins import Plugins

    Plugins.instance()  # makes the class, which is not the one of its module
    source: Any = SourcesRegistry.instance().resolve("file")
    load = source.load_config
    if hasattr(load, "__wrapped__"):
        return

    @wraps(load)
    def checked(self: Any, config_path: str) -> Any:
        path = Path(self.path, self._normalize_file_name(config_path))
        if path.exists() and not path.is_relative_to(conf_dir()):
            _check_defaults(path, OmegaConf.to_container(read_yaml(path)))
        return load(self, config_path)

    source.load_config = checked


def _check_defaults(path: Path, values: Any) -> None:
    """See that the defaults list of a file is one, where it has one.

    Raises:
        DataError: if it is not.
    """
    try:
        check_kinds(values, {"defaults": _DEFAULTS})
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def register() -> None:
    """Let the configuration use :func:`run_name` and :func:`sweep_name`."""
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("sweep_name", sweep_name, replace=True)


register()  # also in the processes of a launcher, which import this and no more


def conf_dir() -> Path:
    """The folder of the configuration: in the installed package, or beside it in a checkout."""
    package = Path(keypoints.__file__).resolve().parent
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


def quote_paths(arguments: Iterable[str]) -> list[str]:
    """The arguments, with the values of :data:`PATH_KEYS` quoted for Hydra's override grammar."""
    return [_quote(argument) for argument in arguments]


def _quote(argument: str) -> str:
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+") not in PATH_KEYS or value in ("", "null") or value[0] in "'\"":
        return argument
    # In the grammar a backslash escapes a quote, and only runs of them before a quote are special.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"{key}='{escaped}'"


def is_given(arguments: Iterable[str], key: str) -> str | None:
    """The value that ``key`` is given on the command line, as it was typed."""
    values = [
        argument.partition("=")[2] for argument in arguments if argument.lstrip("+").startswith(f"{key}=")
    ]
    return values[-1] if values else None


def varied_by_hand(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """The keys of the overrides that are sweeps, and of those that are not.

    What is no override, or cannot be parsed, is left to Hydra.
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


def check_counts(cfg: DictConfig, *keys: str) -> None:
    """See that these values are whole numbers from 1 up.

    Raises:
        ConfigError: if one is not.
    """
    for key in keys:
        if isinstance(cfg[key], bool) or not isinstance(cfg[key], int) or cfg[key] < 1:
            raise ConfigError(f"{key} is a whole number from 1 up, not {cfg[key]!r}")


def check_positive(cfg: DictConfig, *keys: str) -> None:
    """See that these values are finite numbers above 0.

    Raises:
        ConfigError: if one is not.
    """
    for key in keys:
        value = cfg[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ConfigError(f"{key} is a finite number above 0, not {value!r}")


def compose(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Return the configuration of the verb ``name`` with ``overrides``, as the command line makes it.

    >>> compose("train", ["experiment=nose_tip", "optimizer.lr=1e-4"]).optimizer.lr
    0.0001

    Raises:
        ConfigError: as :func:`as_typed`.
    """
    return _compose(name, as_typed(name, overrides))


def _compose(name: str, overrides: Sequence[str]) -> DictConfig:
    """Return the configuration of the verb ``name`` with ``overrides``, as Hydra reads them."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    register()
    check_files()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra_compose(name, quote_paths(overrides))


_TRUE, _FALSE = ("true", "yes", "on", "y", "1"), ("false", "no", "off", "n", "0")

_LIGHTNINGS = ("trainer.", "hydra.")
"""Nodes whose values may be words where the default is a number: ``trainer.devices=auto``."""


def as_typed(config: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a verb as they are meant: ``no`` is false, a group that is null is ``none``.

    A value is compared with the default that it replaces, so that a mistake is said at once, and by its key.
    What cannot be read as an override is left to Hydra, which says why.

    Args:
        config: the verb's primary file in ``conf/``.
        arguments: overrides and flags, as typed.

    Raises:
        ConfigError: if a value is not of its default's type, or a group that is needed is null.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    found: list[tuple[str, Any]] = []
    for argument in quote_paths(arguments):
        try:
            found.append((argument, None if argument.startswith("-") else parser.parse_override(argument)))
        except HydraException:
            found.append((argument, None))
    found = [(_without_null(config, text, override), override) for text, override in found]
    defaults = _defaults(config, arguments, found)
    return [_checked(text, override, defaults) for text, override in found if text]


def _without_null(config: str, text: str, override: Any) -> str:
    """Return what ``group=null`` means: the group's option ``none``, or nothing where null is the default."""
    if override is None or override.package is not None or override.is_delete():
        return text
    if not _is_group(override.key_or_group):
        return text
    group, values = override.key_or_group, override_values(override)
    if None not in values:
        return text
    if (conf_dir() / group / "none.yaml").is_file():
        return f"{group}={','.join('none' if value is None else str(value) for value in values)}"
    if _default_choice(config, group) is None:
        if values == [None]:
            return ""
        raise ConfigError(f"{group}=null is its default, which Hydra takes into no sweep: run it by itself")
    options = ", ".join(sorted(path.stem for path in (conf_dir() / group).glob("*.yaml")))
    raise ConfigError(f"{group}=null: there has to be one; choose {group}=… of {options}")


def _is_group(key: str) -> bool:
    return (conf_dir() / key).is_dir()


def override_values(override: Any) -> list[Any]:
    """Return the values of an override, those of a sweep one by one, without their quotes."""
    from hydra.core.override_parser.types import ChoiceSweep, QuotedString

    value = override.value()
    listed = value.list if isinstance(value, ChoiceSweep) else [value]
    return [each.text if isinstance(each, QuotedString) else each for each in listed]


def _is_listed(override: Any) -> bool:
    """Return whether an override is one value, or a sweep over values that stand in it."""
    from hydra.core.override_parser.types import ChoiceSweep

    value = override.value()
    return not override.is_sweep_override() or (
        isinstance(value, ChoiceSweep) and value.simple_form and not value.shuffle
    )


def _default_choice(config: str, group: str) -> Any:
    """Return the option of ``group`` that a primary file chooses, itself or by the file that it builds on."""
    for default in OmegaConf.load(conf_dir() / f"{config}.yaml").defaults:
        if isinstance(default, str) and default != "_self_":
            return _default_choice(default, group)
        if isinstance(default, DictConfig) and group in default:
            return default[group]
    return None


def _defaults(config: str, arguments: Sequence[str], found: Iterable[tuple[str, Any]]) -> DictConfig | None:
    """Return the configuration with the groups that are chosen, and the values that they bring."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    found = [(text, override) for text, override in found if text and override is not None]
    if all(_is_group(override.key_or_group) for _, override in found):
        return None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    own = parser.parse_known_args(list(arguments))[0].config_dir
    groups = [
        text
        for text, override in found
        if "/" in override.key_or_group
        or _is_group(override.key_or_group)
        or (own is not None and (Path(own) / override.key_or_group).is_dir())
    ]
    groups = [text for text in groups if "," not in text]
    path = [] if own is None else [f"hydra.searchpath=['file://{Path(own).resolve()}']"]
    try:
        return _composed(config, (*groups, *path))
    except (HydraException, OmegaConfBaseException):
        return None  # Hydra will say what is wrong


@lru_cache(maxsize=32)
def _composed(config: str, overrides: tuple[str, ...]) -> DictConfig:
    return _compose(config, overrides)


def _checked(text: str, override: Any, defaults: DictConfig | None) -> str:
    if override is None or defaults is None or override.is_delete() or _is_group(override.key_or_group):
        return text
    key = override.key_or_group
    try:
        default = OmegaConf.select(defaults, key)
    except Exception:  # an interpolation that needs what is not given here
        return text
    values = override_values(override)
    if not _is_listed(override) or any(isinstance(each, str) and each.startswith("${") for each in values):
        return text
    if isinstance(default, bool):
        switches = [str(_switch(key, value)).lower() for value in values]
        return text.partition("=")[0] + "=" + ",".join(switches)
    if isinstance(default, int | float) and not key.startswith(_LIGHTNINGS):
        for value in values:
            # Where the default is a whole number, a list may stand: pooling has a number, or one a layer.
            wrong = (str, bool, dict, list) if isinstance(default, float) else (str, bool, dict)
            if isinstance(value, wrong):
                raise ConfigError(f"{key} is a number, like its default {default:g}, not {value!r}")
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{key} is a finite number, like its default {default:g}, not {value!r}")
    return text


def _switch(key: str, value: Any) -> bool:
    word = str(value).lower()
    if word not in (*_TRUE, *_FALSE):
        raise ConfigError(f"{key} is true or false, not {value!r}")
    return word in _TRUE
