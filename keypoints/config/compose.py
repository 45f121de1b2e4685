"""Composing the Hydra configuration of a verb, and checking it. Imports no torch."""

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, wraps
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from keypoints.config import options
from keypoints.config.quoting import flag, own_folder, quote_paths, quoted, unquoted
from keypoints.config.registry import (
    HYDRAS,
    conf_dir,
    is_group,
    is_path,
    is_swept,
    schema_of,
    sentence_of,
    types_of_key,
)
from keypoints.config.run_names import check_name, run_name, sweep_name
from keypoints.config.settings import PATH, Setting
from keypoints.errors import ConfigError, DataError, shortened
from keypoints.older_names import current_key
from keypoints.structured_files import Kind, check_kinds, read_yaml

_REQUIRED = "${required:}"
"""What takes the place of ``???`` in files."""

_DEFAULTS = Kind(
    "a list of names, or of group: option",
    lambda value: (
        isinstance(value, list) and all(isinstance(each, str) or _is_default(each) for each in value)
    ),
)


def _is_default(entry: Any) -> bool:
    """Return whether an entry of a defaults list chooses an option of a group, several or none."""
    if not isinstance(entry, dict) or len(entry) != 1:
        return False
    ((group, option),) = entry.items()
    options = option if isinstance(option, list) else [option]
    return isinstance(group, str) and all(each is None or isinstance(each, str) for each in options)


def check_files() -> None:
    """Let Hydra read a YAML file only if ``read_yaml`` can, which says what is wrong.

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
        loaded = load(self, config_path)
        _keep_missing(loaded.config)
        return loaded

    source.load_config = checked


def _keep_missing(node: Any) -> None:
    """Let ``???`` in a file take the place of an earlier file's value, which OmegaConf would keep."""
    if not isinstance(node, DictConfig):
        return
    for key in [str(key) for key in node if key != "defaults"]:
        if OmegaConf.is_missing(node, key):
            node[key] = _REQUIRED
        elif not OmegaConf.is_interpolation(node, key):
            _keep_missing(node[key])


class MissingValueError(ConfigError):
    """A value that has to be given was asked for."""


def _no_value() -> None:
    raise MissingValueError("it has no value (???)")


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
    """Let the configuration use :func:`run_name`, :func:`sweep_name`, and values that have to be given."""
    OmegaConf.register_new_resolver("required", _no_value, replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("sweep_name", sweep_name, replace=True)


register()  # also in the processes of a launcher, which import this and no more


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


def first_of_sweep(overrides: Iterable[str]) -> list[str]:
    """Return the overrides of a multirun's first job; of an interval, its lower end.

    What cannot be read as an override stays as it is: Hydra says why.
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


def preview(config: str, flags: Sequence[str], overrides: Sequence[str]) -> DictConfig | None:
    """Return the configuration of a run, or of a sweep's first, with Hydra's own node.

    Args:
        config: name of the verb's primary configuration.
        flags: Hydra's, with their values.
        overrides: as :func:`as_typed` gives them.

    Returns:
        The configuration; ``None`` where it cannot be composed, which Hydra then says.

    Raises:
        ConfigError: if there is no folder of ``--config-dir``.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    own = own_folder(flags)
    if flag(flags, "--config-path", "-cp") is not None:
        return None
    name = flag(flags, "--config-name", "-cn") or config
    first = [*first_of_sweep(overrides), *_search_path(own)]
    try:
        cfg = _compose(name, first, with_hydra=True)
        params = OmegaConf.select(cfg, "hydra.sweeper.params") or {}
        varied = first_of_sweep(f"{key}={value}" for key, value in params.items())
        return _compose(name, [*varied, *first], with_hydra=True) if varied else cfg
    except (HydraException, OmegaConfBaseException):
        return None


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
    known = None if config is None else schema_of(config).all.get(key)
    kind = "|".join(known.choices) if known else ""
    said = f"{key} has no value (???): give {key}=<{kind or ('path' if is_path(key, own) else 'value')}>"
    about = options.comment(_folders(own), key) or (sentence_of(key) if known is None else known.sentence)
    return f"{said}, {about[:1].lower()}{about[1:].rstrip('.')}" if about else said


def _folders(own: Path | None) -> tuple[Path, ...]:
    return (conf_dir(),) if own is None else (own, conf_dir())


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


def flat(cfg: Mapping[Any, Any] | DictConfig) -> dict[str, int | float | str]:
    """Return a configuration's values under dotted names, but for the run's own folder and what lies in it.

    All but numbers is text, in YAML's way; a group that is empty is ``"none"``.

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
            values[key] = value if is_plain else _in_yaml(value)

    visit("", plain)
    return values


def chosen_groups(overrides: Iterable[str]) -> dict[str, str]:
    """Return the options that overrides choose of groups, ours and others': those that hold no value.

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


def _in_yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping) and not value:
        return "none"
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=math.inf, sort_keys=False, allow_unicode=True
    )
    return text.strip()


def compose(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Return the configuration of the verb ``name`` with ``overrides``, as the command line makes it.

    >>> compose("train", ["experiment=nose_tip", "optimizer.lr=1e-4"]).optimizer.lr
    0.0001

    Raises:
        ConfigError: as :func:`as_typed`.
    """
    return _compose(name, as_typed(name, overrides))


def _compose(name: str, overrides: Sequence[str], *, with_hydra: bool = False) -> DictConfig:
    """Return the configuration of the verb ``name`` with ``overrides``, as Hydra reads them."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    register()
    check_files()
    running = GlobalHydra.instance().hydra  # that of a command which composes further settings
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return hydra_compose(name, quote_paths(overrides), return_hydra_config=with_hydra)
    finally:
        GlobalHydra.instance().hydra = running


def option(group: str, name: str) -> dict[str, Any]:
    """Return the values of an option of a group, without what a command changes of them.

    Args:
        group: such as ``data``.
        name: such as ``labelled``.
    """
    values: Any = OmegaConf.to_container(_compose(f"{group}/{name}", ()))
    return dict(values[group])


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
    try:
        return _composed(config, (*groups, *_search_path(own)))
    except (HydraException, OmegaConfBaseException):
        return None  # Hydra will say what is wrong


def _search_path(own: Path | None) -> list[str]:
    return [] if own is None else [f"hydra.searchpath=[{quoted(f'file://{own.resolve()}')}]"]


@lru_cache(maxsize=32)
def _composed(config: str, overrides: tuple[str, ...]) -> DictConfig:
    return _compose(config, overrides)


def _checked(config: str, text: str, override: Any, defaults: DictConfig | None) -> str:
    """Return an override as it is meant.

    Raises:
        ConfigError: if a value of it cannot be used.
    """
    if override is None or override.is_delete() or is_group(override.key_or_group):
        return text
    key = override.key_or_group
    setting = setting_of(config, key, defaults)
    if setting is None or not _is_listed(override):
        return text
    values = override_values(override)
    meant = [setting.checked(value) for value in values]
    if not any(isinstance(each, bool) for each in meant):
        return text
    return text.partition("=")[0] + "=" + ",".join(map(_in_yaml, meant))


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
