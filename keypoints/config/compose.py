"""Composition of a verb's Hydra configuration. Imports no torch."""

import pickle
from collections.abc import Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from keypoints.config.missing import keep_missing, no_value
from keypoints.config.overrides import first_of_sweep
from keypoints.config.quoting import flag, own_folder, quote_paths, quoted
from keypoints.config.registry import conf_dir
from keypoints.config.run_names import run_name, sweep_name
from keypoints.errors import DataError
from keypoints.structured_files import Kind, check_kinds, read_yaml

_DEFAULTS = Kind(
    "a list of names, or of group: option",
    lambda value: (
        isinstance(value, list) and all(isinstance(each, str) or _is_default(each) for each in value)
    ),
)


def _is_default(entry: Any) -> bool:
    """Return whether an entry of a defaults list is a group with one option, several options or none."""
    if not isinstance(entry, dict) or len(entry) != 1:
        return False
    ((group, option),) = entry.items()
    options = option if isinstance(option, list) else [option]
    return isinstance(group, str) and all(each is None or isinstance(each, str) for each in options)


def check_files() -> None:
    """Make Hydra check a user's YAML file with ``read_yaml`` first, which reports errors clearly.

    Hydra itself raises ten kinds of errors, or follows anchors without end. The package's own configuration
    files are not checked, and are parsed once: a command composes several times, and a multirun for each job.
    """
    from hydra._internal.sources_registry import SourcesRegistry
    from hydra.core.plugins import Plugins

    Plugins.instance()  # creates the registered class, which differs from the one in its module
    source: Any = SourcesRegistry.instance().resolve("file")
    load = source.load_config
    if hasattr(load, "__wrapped__"):
        return

    parsed: dict[tuple[Any, ...], bytes] = {}

    @wraps(load)
    def checked(self: Any, config_path: str) -> Any:
        path = Path(self.path, self._normalize_file_name(config_path))
        if not path.exists():
            return load(self, config_path)  # which raises Hydra's error
        if not path.is_relative_to(conf_dir()):
            _check_defaults(path, OmegaConf.to_container(read_yaml(path)))
            return _complete(load(self, config_path))
        version = (self.provider, self.path, path, path.stat().st_mtime_ns)
        if version not in parsed:
            parsed[version] = pickle.dumps(_complete(load(self, config_path)))
        return pickle.loads(parsed[version])  # faster than YAML

    source.load_config = checked


def _complete(loaded: Any) -> Any:
    """Return a file that Hydra loaded, whose required values replace those of earlier files."""
    keep_missing(loaded.config)
    return loaded


def _check_defaults(path: Path, values: Any) -> None:
    """Check the defaults list of a file, if it has one.

    Raises:
        DataError: if it is not a valid defaults list.
    """
    try:
        check_kinds(values, {"defaults": _DEFAULTS})
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def register() -> None:
    """Register the resolvers for :func:`run_name`, :func:`sweep_name` and required values."""
    OmegaConf.register_new_resolver("required", no_value, replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("sweep_name", sweep_name, replace=True)


register()  # also for a launcher's processes, which only import this module


def composed(name: str, overrides: Sequence[str], *, with_hydra: bool = False) -> DictConfig:
    """Return the configuration that Hydra composes for the verb ``name`` with ``overrides``."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    register()
    check_files()
    running = GlobalHydra.instance().hydra  # a running command may compose another configuration
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return hydra_compose(name, quote_paths(overrides), return_hydra_config=with_hydra)
    finally:
        GlobalHydra.instance().hydra = running


def option(group: str, name: str) -> dict[str, Any]:
    """Return the values of an option of a group, before any override.

    Args:
        group: name of the group, such as ``data``.
        name: name of the option, such as ``labelled``.
    """
    values: Any = OmegaConf.to_container(composed("train", (f"{group}={name}",))[group])
    return dict(values)


def preview(config: str, flags: Sequence[str], overrides: Sequence[str]) -> DictConfig | None:
    """Return the configuration of a run, or of the first run of a sweep, with Hydra's own node.

    Args:
        config: name of the verb's primary configuration.
        flags: Hydra's flags, with their values.
        overrides: overrides, as :func:`as_typed` returns them.

    Returns:
        The configuration; ``None`` if it cannot be composed, which Hydra reports later.

    Raises:
        ConfigError: if the folder of ``--config-dir`` does not exist.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    own = own_folder(flags)
    if flag(flags, "--config-path", "-cp") is not None:
        return None
    name = flag(flags, "--config-name", "-cn") or config
    first = [*first_of_sweep(overrides), *search_path(own)]
    try:
        cfg = composed(name, first, with_hydra=True)
        params = OmegaConf.select(cfg, "hydra.sweeper.params") or {}
        varied = first_of_sweep(f"{key}={value}" for key, value in params.items())
        return composed(name, [*varied, *first], with_hydra=True) if varied else cfg
    except (HydraException, OmegaConfBaseException):
        return None


def search_path(own: Path | None) -> list[str]:
    """Return the override that makes Hydra search the user's own folder for options too."""
    return [] if own is None else [f"hydra.searchpath=[{quoted(f'file://{own.resolve()}')}]"]
