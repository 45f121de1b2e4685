"""Checks of typed arguments and of values in files, by the settings' types. Imports no torch."""

import os
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from keypoints.config import options
from keypoints.config.compose import composed, search_path
from keypoints.config.overrides import is_listed, override_values, swept_values
from keypoints.config.quoting import flag, own_folder, quote_paths
from keypoints.config.registry import HYDRAS, conf_dir, is_group, is_swept, schema_of, types_of_key
from keypoints.config.settings import PATH, Setting
from keypoints.config.signatures import parameters
from keypoints.config.values import in_yaml
from keypoints.errors import ConfigError, shortened
from keypoints.older_names import current_key


def as_typed(config: str, arguments: Sequence[str]) -> list[str]:
    """Return the normalised arguments of a verb: ``no`` becomes false, ``group=null`` becomes ``group=none``.

    Each value is checked against the type of the default that it replaces, so that a mistake is reported at
    once, with its key. An argument that is not a valid override is left to Hydra, which reports it.

    Args:
        config: name of the verb's primary configuration.
        arguments: overrides and flags, as typed.

    Raises:
        ConfigError: if a value does not have its default's type, a required group is null, an option of a
            group is not a name, or an output is empty.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    arguments = _with_additions(config, arguments)
    parser = OverridesParser.create()
    found: list[tuple[str, Any]] = []
    for argument in quote_paths(arguments):
        try:
            found.append((argument, None if argument.startswith("-") else parser.parse_override(argument)))
        except HydraException:
            found.append((argument, None))
    for text, override in found:
        _check_name(override)
        _check_options(text, override, arguments)
    found = [(_replace_null(config, text, override), override) for text, override in found]
    defaults = _defaults(config, arguments, found)
    for _, override in found:
        _check_place(config, override)
    return [_normalised(config, text, override, defaults) for text, override in found if text]


def _check_name(override: Any) -> None:
    """Check that a key is not an older name.

    Raises:
        ConfigError: if it is; the message gives the current name.
    """
    if override is not None and (new := current_key(override.key_or_group)) != override.key_or_group:
        raise ConfigError(f"{override.key_or_group} is called {new} now")


def _check_options(text: str, override: Any, arguments: Sequence[str]) -> None:
    """Check that the options chosen for a group are names; Hydra accepts nothing else.

    Args:
        text: the override as typed.
        override: the parsed override; ``None`` for a flag or an argument that cannot be parsed.
        arguments: all arguments of the command, which may name a folder of the user's own options.

    Raises:
        ConfigError: if a number, a boolean or a mapping is chosen, by itself or in a list.
    """
    from hydra.core.override_parser.types import Glob, QuotedString

    if override is None or override.is_delete():
        return
    group = override.key_or_group
    own = own_folder(arguments)
    folders = [
        each for each in (conf_dir() / group, own and own / group) if each is not None and each.is_dir()
    ]
    if not folders and not group.startswith("hydra/"):
        return
    for value in override_values(override):
        if value is None or isinstance(value, str | Glob):
            continue
        if isinstance(value, list) and all(isinstance(each, str | QuotedString) for each in value):
            continue
        options = ", ".join(sorted({path.stem for folder in folders for path in folder.glob("*.yaml")}))
        way_out = f"; choose {group}=… of {options}" if options else ": it has to be a name"
        raise ConfigError(f"{shortened(text, 120)}: there is no such option{way_out}")


def _check_place(config: str, override: Any) -> None:
    """Check that an output path is not empty, which would mean the current folder.

    Args:
        config: name of the verb's primary configuration.
        override: the parsed override; ``None`` for a flag or an argument that cannot be parsed.

    Raises:
        ConfigError: if it is empty, or null although the verb requires it.
    """
    if override is None or override.is_delete():
        return
    key = override.key_or_group
    setting = schema_of(config).all.get(key) or HYDRAS.get(key)
    if setting is None or setting.place is None:
        return
    for value in override_values(override):
        if (value is None and not setting.optional) or (isinstance(value, str) and not value.strip()):
            raise ConfigError(f"{key}= is empty: name a {setting.place}")


def _with_additions(config: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments, with ``++`` before values that no file of the configuration has.

    These are values of an optional group that is not chosen, and further parameters of Lightning's Trainer.
    Hydra rejects such values without it.
    """
    arguments = [_with_addition(config, each) for each in arguments]
    group = schema_of(config).optional_group
    if group is None or any(each.lstrip("+").startswith(f"{group}=") for each in arguments):
        return arguments
    return [f"++{each}" if each.startswith(f"{group}.") else each for each in arguments]


def _with_addition(config: str, argument: str) -> str:
    """Return an argument; for a parameter of Lightning's Trainer with ``++`` if no file has it, else without.

    Files of older versions had fewer of them, and ``+`` was needed.
    """
    plain = argument.removeprefix("+")
    key = plain.partition("=")[0]
    name = key.removeprefix("trainer.")
    if name == key or name not in parameters("pytorch_lightning.Trainer"):
        return argument
    if _default_choice(config, "trainer") is None:
        return argument
    return plain if name in _trainers_keys() else f"++{plain}"


@lru_cache(maxsize=1)
def _trainers_keys() -> frozenset[str]:
    """Return the parameters of Lightning's Trainer that the default option of the group has."""
    return frozenset(map(str, OmegaConf.load(conf_dir() / "trainer" / "default.yaml")))


def _replace_null(config: str, text: str, override: Any) -> str:
    """Return an override with ``group=null`` replaced by ``group=none``, or by "" if null is the default."""
    if override is None or override.package is not None or override.is_delete():
        return text
    if not is_group(override.key_or_group):
        return text
    group, values = override.key_or_group, override_values(override)
    if None not in values:
        return text
    if (conf_dir() / group / "none.yaml").is_file():
        return f"{group}={','.join('none' if value is None else str(value) for value in values)}"
    if _default_choice(config, group) is None:
        if values == [None]:
            return ""
        raise ConfigError(f"{group}=null is the default, which Hydra cannot sweep: run it separately")
    options = ", ".join(sorted(path.stem for path in (conf_dir() / group).glob("*.yaml")))
    raise ConfigError(f"{group}=null: {group} is required; choose {group}=… of {options}")


def _default_choice(config: str, group: str) -> Any:
    """Return the option of ``group`` that a primary file, or the file that it builds on, chooses."""
    path = conf_dir() / f"{config}.yaml"
    node: Any = OmegaConf.load(path) if path.is_file() else OmegaConf.structured(schema_of(config).node)
    for default in node.defaults:
        if isinstance(default, str) and default != "_self_" and not default.endswith("_schema"):
            return _default_choice(default, group)
        if isinstance(default, DictConfig) and group in default:
            return default[group]
    return None


def _defaults(config: str, arguments: Sequence[str], found: Iterable[tuple[str, Any]]) -> DictConfig | None:
    """Return the configuration with the chosen groups: the defaults that the other overrides replace.

    ``None`` if no default is needed, or if Hydra cannot compose the configuration.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    found = [(text, override) for text, override in found if text and override is not None]
    if all(is_group(override.key_or_group) for _, override in found):
        return None
    own = own_folder(arguments)
    groups = [
        text
        for text, override in found
        if "/" in override.key_or_group
        or is_group(override.key_or_group)
        or (own is not None and (own / override.key_or_group).is_dir())
    ]
    groups = [text for text in groups if "," not in text]
    groups += [
        text
        for text, override in found
        if override.key_or_group.endswith("._target_") and not override.is_sweep_override()
    ]
    config = flag(arguments, "--config-name", "-cn") or config
    try:
        return _composed(config, (*groups, *search_path(own)))
    except (HydraException, OmegaConfBaseException):
        return None  # Hydra reports the error later


@lru_cache(maxsize=32)
def _composed(config: str, overrides: tuple[str, ...]) -> DictConfig:
    return composed(config, overrides)


def _normalised(config: str, text: str, override: Any, defaults: DictConfig | None) -> str:
    """Return an override with its values checked and normalised.

    Raises:
        ConfigError: if one of its values is invalid.
    """
    if override is None or override.is_delete() or is_group(override.key_or_group):
        return text
    key = override.key_or_group
    setting = setting_of(config, key, defaults)
    if setting is None:
        return text
    normalised = [setting.checked(value) for value in swept_values(override)]
    if not is_listed(override) or not any(isinstance(each, bool) for each in normalised):
        return text
    return text.partition("=")[0] + "=" + ",".join(map(in_yaml, normalised))


def setting_of(config: str, key: str, cfg: DictConfig | None) -> Setting | None:
    """Return the setting of a key, from the verb's schema, else from the group's class or default value.

    Args:
        config: name of the verb's primary configuration.
        key: dotted key.
        cfg: the configuration with the chosen groups; ``None`` if it cannot be composed.

    Returns:
        The setting; ``None`` if the key is not known.
    """
    known = schema_of(config).all.get(key)
    if known is not None or cfg is None or key.startswith("hydra"):
        return known
    return options.setting_of(cfg, key)


def check_values(config: str, cfg: DictConfig) -> None:
    """Check the values of a configuration, whether they were typed or come from files.

    This checks the verb's own settings and the arguments of this package's classes. Words such as ``yes``
    are replaced by booleans, in place.

    Args:
        config: name of the verb's primary configuration.
        cfg: the composed configuration; required values may still be missing.

    Raises:
        ConfigError: if a value is invalid.
    """
    settings = schema_of(config).settings
    plain: Any = OmegaConf.to_container(cfg)
    for key, value in options.leaves({name: each for name, each in plain.items() if name != "hydra"}):
        setting = settings.get(key)
        if setting is None and options.is_ours(cfg, key):
            setting = options.setting_of(cfg, key)
        if setting is not None and (normalised := setting.checked(value)) != value:
            OmegaConf.update(cfg, key, normalised)


def check_swept_files(cfg: DictConfig, overrides: Iterable[str]) -> None:
    """Check that the files and folders that a multirun names exist, before its first run trains.

    A multirun on a cluster is not checked: the machines of the cluster may have other disks.

    Args:
        cfg: the configuration of the first run, with Hydra's own node.
        overrides: the command's overrides, as :func:`as_typed` returns them.

    Raises:
        ConfigError: if a file or folder does not exist.
    """
    if "submitit" in str(OmegaConf.select(cfg, "hydra.launcher._target_")):
        return
    for key, override in given_to_multirun(cfg, overrides).items():
        if PATH not in types_of_key(key) or not is_swept(key):
            continue
        for value in override_values(override):
            if isinstance(value, str) and _is_absent(key, value):
                raise ConfigError(f"{key}={shortened(value, 120)}: no such file or folder")


def given_to_multirun(cfg: DictConfig, overrides: Iterable[str]) -> dict[str, Any]:
    """Return the parsed overrides of a multirun by key, of its sweep file and of the command.

    A typed override replaces the sweep file's, as in Hydra. Overrides that cannot be parsed, which Hydra
    reports, and deletions are left out.

    Args:
        cfg: the configuration of the first run, with Hydra's own node.
        overrides: the command's overrides, as :func:`as_typed` returns them.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    params = OmegaConf.select(cfg, "hydra.sweeper.params") or {}
    parser = OverridesParser.create()
    given: dict[str, Any] = {}
    for text in [*(f"{key}={value}" for key, value in params.items()), *overrides]:
        try:
            override = parser.parse_override(text)
        except HydraException:
            continue
        if not override.is_delete():
            given[override.key_or_group] = override
    return given


def _is_absent(key: str, value: str) -> bool:
    """Return whether a value names a file or folder that does not exist."""
    if "${" in value or value in ("", "???"):
        return False
    if key.endswith(".weights") and re.fullmatch(r"\w+", value):
        return False  # name of pretrained weights in torchvision
    if key.endswith(".scheme") and re.fullmatch(r"\w+", value):
        return False  # name of a landmark scheme
    return not os.path.exists(value)  # noqa: PTH110 - Path.exists raises for names that are too long
