"""Registry of the verbs' schemas, and look-up of a key in schemas and group files. Imports no torch.

:mod:`keypoints.commands` registers the schemas; the packages that it depends on look them up here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import keypoints
from keypoints.config import options
from keypoints.config.settings import FOLDER, NAMES, PATH, PLACES, TEXT, Setting, settings_of

HYDRAS: Mapping[str, Setting] = {
    key: Setting(key, frozenset({FOLDER}), "", sentence)
    for key, sentence in {
        "hydra.run.dir": "Folder of a run; output=<folder> is the same.",
        "hydra.sweep.dir": "Folder of a sweep; output=<folder> is the same.",
    }.items()
}
"""Hydra's own settings that are paths."""


@dataclass(frozen=True)
class Schema:
    """Schema of a verb.

    Args:
        node: dataclass of the configuration.
        typed: dataclass of settings that can be typed but are not part of the configuration.
        optional_group: group without a default option. If the user chooses none, the values typed for it
            change the recorded configuration of the run.
        base: dataclass of the configuration that this one builds on through its defaults list.
    """

    node: type
    typed: type | None = None
    optional_group: str | None = None
    base: type | None = None

    @cached_property
    def settings(self) -> Mapping[str, Setting]:
        """Settings of the configuration, by dotted key."""
        return settings_of(self.node)

    @cached_property
    def all(self) -> Mapping[str, Setting]:
        """Settings that can be typed, by dotted key."""
        return self.settings if self.typed is None else {**self.settings, **settings_of(self.typed)}


_schemas: dict[str, Schema] = {}


def register_schemas(verbs: Mapping[str, Schema], groups: Mapping[tuple[str, str], type]) -> None:
    """Register schemas, here and with Hydra.

    Args:
        verbs: schemas by the name of the primary configuration, such as ``train``.
        groups: dataclasses of options, by group and option.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    store = ConfigStore.instance()
    for name, schema in verbs.items():
        _schemas[name] = schema
        # Not strict while files are merged, since they may add keys; strict for typed overrides.
        node = OmegaConf.structured(schema.node, flags={"struct": False})
        if schema.base is not None:
            # Only keys whose default differs from the base's: others would undo values of files.
            before = {each.name: each.default for each in fields(schema.base)}
            keys = [each.name for each in fields(schema.node) if before.get(each.name, each) != each.default]
            node = OmegaConf.masked_copy(node, keys)
        store.store(name=name if "defaults" in node else f"{name}_schema", node=node)
    for (group, option), node in groups.items():  # as plain values: a typed node would refuse keys of files
        store.store(group=group, name=option, node=OmegaConf.to_container(OmegaConf.structured(node)))


def schema_of(config: str) -> Schema:
    """Return the schema of a verb.

    Args:
        config: name of the verb's primary configuration.
    """
    return _schemas[config]


def conf_dir() -> Path:
    """Return the configuration folder: in the installed package, or next to the package in a checkout."""
    package = Path(keypoints.__file__).resolve().parent
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


def folders(own: Path | None = None) -> tuple[Path, ...]:
    """Return the configuration folders in Hydra's search order: the package's folder comes first.

    Args:
        own: folder of the user's own configuration.
    """
    return (conf_dir(),) if own is None else (conf_dir(), own)


def is_group(key: str) -> bool:
    """Return whether a key is a group of the package's configuration."""
    return (conf_dir() / key).is_dir()


def _settings(key: str) -> Iterable[Setting]:
    """Return the settings named ``key`` of all verbs and of Hydra."""
    named = (schema.all[key] for schema in _schemas.values() if key in schema.all)
    return (*named, *filter(None, [HYDRAS.get(key)]))


def setting_named(key: str) -> Setting | None:
    """Return the first setting that a verb has under a key; ``None`` if no verb has one.

    Args:
        key: dotted key.
    """
    return next(iter(_settings(key)), None)


def types_of_key(key: str, own: Path | None = None) -> frozenset[str]:
    """Return the types of a setting, over all verbs.

    For a key in a group's file, only paths are known: ``{PATH}`` if its value is a path, else nothing.

    Args:
        key: dotted key, as on the command line.
        own: folder of the user's own configuration.
    """
    found = frozenset[str]().union(*(each.types for each in _settings(key)))
    return found | {PATH} if not found and options.is_path(folders(own), key) else found


def is_path(key: str, own: Path | None = None) -> bool:
    """Return whether a key's value is a path.

    Args:
        key: dotted key, as on the command line.
        own: folder of the user's own configuration.
    """
    return bool(types_of_key(key, own) & {PATH, *PLACES})


def is_quoted(key: str, own: Path | None = None) -> bool:
    """Return whether a key's value is quoted for Hydra's grammar.

    Args:
        key: dotted key, as on the command line.
        own: folder of the user's own configuration.
    """
    return bool(types_of_key(key, own) & {PATH, TEXT, NAMES, *PLACES})


def is_swept(key: str, own: Path | None = None) -> bool:
    """Return whether with ``-m`` a comma in a key's value begins the next value of a sweep.

    A comma does not do so in settings of the full command, such as ``output``, ``resume`` and ``trust``.

    Args:
        key: dotted key, as on the command line.
        own: folder of the user's own configuration.
    """
    of_command = any(key in schema.all and key not in schema.settings for schema in _schemas.values())
    return not of_command and bool(types_of_key(key, own) & {PATH, TEXT})
