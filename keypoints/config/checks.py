"""Checks of what is typed and of what files say, by the settings' types. Imports no torch."""

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
from keypoints.config.values import in_yaml
from keypoints.errors import ConfigError, shortened
from keypoints.older_names import current_key


def as_typed(config: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a verb as they are meant: ``no`` is false, a group that is null is ``none``.

    A value is compared with the default that it replaces, so that a mistake is said at once, and by its key.
    What cannot be read as an override is left to Hydra, which says why.

    Args:
        config: name of the verb's primary configuration.
        arguments: overrides and flags, as typed.

    Raises:
        ConfigError: if a value is not of its default's type, a group that is needed is null, an option of a
            group is no name, or an output is empty.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    arguments = _of_optional_group(config, arguments)
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
    found = [(_without_null(config, text, override), override) for text, override in found]
    defaults = _defaults(config, arguments, found)
    for _, override in found:
        _check_place(config, override)
    return [_checked(config, text, override, defaults) for text, override in found if text]


def _check_name(override: Any) -> None:
    """See that a key has the name that it has now.

    Raises:
        ConfigError: if it is an older one; the message says its new name.
    """
    if override is not None and (new := current_key(override.key_or_group)) != override.key_or_group:
        raise ConfigError(f"{override.key_or_group} is called {new} now")


def _check_options(text: str, override: Any, arguments: Sequence[str]) -> None:
    """See that what is chosen of a group are names of options, which is all that Hydra takes.

    Args:
        text: the override as typed.
        override: the same, parsed; ``None`` for a flag and what cannot be parsed.
        arguments: all of them, which may name a folder of the user's own options.

    Raises:
        ConfigError: if a number, a truth value or a mapping is chosen, by itself or in a list.
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
    """See that a place for results is not empty: that would be the current folder.

    Args:
        config: name of the verb's primary configuration.
        override: parsed; ``None`` for a flag and what cannot be parsed.

    Raises:
        ConfigError: if it is, or it is null and the verb needs one.
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


def _of_optional_group(config: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments with values of a group that is left out as additions; Hydra knows no others."""
    group = schema_of(config).optional_group
    if group is None or any(each.lstrip("+").startswith(f"{group}=") for each in arguments):
        return list(arguments)
    return [f"++{each}" if each.startswith(f"{group}.") else each for each in arguments]


def _without_null(config: str, text: str, override: Any) -> str:
    """Return what ``group=null`` means: the group's option ``none``, or nothing where null is the default."""
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
        raise ConfigError(f"{group}=null is its default, which Hydra takes into no sweep: run it by itself")
    options = ", ".join(sorted(path.stem for path in (conf_dir() / group).glob("*.yaml")))
    raise ConfigError(f"{group}=null: there has to be one; choose {group}=… of {options}")


def _default_choice(config: str, group: str) -> Any:
    """Return the option of ``group`` that a primary file chooses, itself or by the file that it builds on."""
    path = conf_dir() / f"{config}.yaml"
    node: Any = OmegaConf.load(path) if path.is_file() else OmegaConf.structured(schema_of(config).node)
    for default in node.defaults:
        if isinstance(default, str) and default != "_self_" and not default.endswith("_schema"):
            return _default_choice(default, group)
        if isinstance(default, DictConfig) and group in default:
            return default[group]
    return None


def _defaults(config: str, arguments: Sequence[str], found: Iterable[tuple[str, Any]]) -> DictConfig | None:
    """Return the configuration with the groups that are chosen, and the values that they bring."""
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
        return None  # Hydra will say what is wrong


@lru_cache(maxsize=32)
def _composed(config: str, overrides: tuple[str, ...]) -> DictConfig:
    return composed(config, overrides)


def _checked(config: str, text: str, override: Any, defaults: DictConfig | None) -> str:
    """Return an override as it is meant.

    Raises:
        ConfigError: if a value of it cannot be used.
    """
    if override is None or override.is_delete() or is_group(override.key_or_group):
        return text
    key = override.key_or_group
    setting = setting_of(config, key, defaults)
    if setting is None:
        return text
    meant = [setting.checked(value) for value in swept_values(override)]
    if not is_listed(override) or not any(isinstance(each, bool) for each in meant):
        return text
    return text.partition("=")[0] + "=" + ",".join(map(in_yaml, meant))


def setting_of(config: str, key: str, cfg: DictConfig | None) -> Setting | None:
    """Return what a value may be: as the verb's schema says, else as the group's class or default does.

    Args:
        config: name of the verb's primary configuration.
        key: dotted.
        cfg: the configuration, with the groups that are chosen; ``None`` where it cannot be composed.
    """
    known = schema_of(config).all.get(key)
    if known is not None or cfg is None or key.startswith("hydra"):
        return known
    return options.setting_of(cfg, key)


def check_values(config: str, cfg: DictConfig) -> None:
    """See that the values of a configuration, wherever they come from, are what they have to be.

    What is checked are the verb's own settings, and those of our classes. Words for true and false become so.

    Args:
        config: name of the verb's primary configuration.
        cfg: as composed; values that have to be given may be missing.

    Raises:
        ConfigError: if one cannot be used.
    """
    settings = schema_of(config).settings
    plain: Any = OmegaConf.to_container(cfg)
    for key, value in options.leaves({name: each for name, each in plain.items() if name != "hydra"}):
        setting = settings.get(key)
        if setting is None and options.is_ours(cfg, key):
            setting = options.setting_of(cfg, key)
        if setting is not None and (meant := setting.checked(value)) != value:
            OmegaConf.update(cfg, key, meant)


def check_swept_files(cfg: DictConfig, overrides: Iterable[str]) -> None:
    """See that the files and folders that a multirun names are there, before its first run trains.

    A multirun whose runs are jobs of a cluster is not checked: its machines may have other disks.

    Args:
        cfg: the configuration of the first run, with Hydra's own node.
        overrides: of the command, as :func:`as_typed` gives them.

    Raises:
        ConfigError: if one is missing.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if "submitit" in str(OmegaConf.select(cfg, "hydra.launcher._target_")):
        return
    params = OmegaConf.select(cfg, "hydra.sweeper.params") or {}
    parser = OverridesParser.create()
    named: dict[str, list[Any]] = {}
    for text in [*(f"{key}={value}" for key, value in params.items()), *overrides]:
        try:
            override = parser.parse_override(text)
        except HydraException:
            continue
        key = override.key_or_group
        if PATH in types_of_key(key) and is_swept(key) and not override.is_delete():
            named[key] = override_values(override)  # as in Hydra, what is typed comes last
    for key, values in named.items():
        for value in values:
            if isinstance(value, str) and _is_absent(key, value):
                raise ConfigError(f"{key}={shortened(value, 120)}: no such file or folder")


def _is_absent(key: str, value: str) -> bool:
    """Return whether a value names a file or folder that is not there."""
    if "${" in value or value in ("", "???"):
        return False
    if key.endswith(".weights") and re.fullmatch(r"\w+", value):
        return False  # torchvision's own weights have such names
    return not os.path.exists(value)  # noqa: PTH110 - Path.exists raises for a name that is too long
