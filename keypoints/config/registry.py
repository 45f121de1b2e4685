"""Schemas of the verbs, and the files of the groups: what is known of a key. Imports no torch.

:mod:`keypoints.commands` registers the schemas; what lies below it asks here.
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
"""Settings of Hydra's own that are paths."""


@dataclass(frozen=True)
class Schema:
    """Schema of a verb.

    Args:
        node: dataclass of the configuration.
        typed: dataclass of settings that are typed, but are none of the configuration.
        optional_group: a group that is left out by default; its values then change what was recorded.
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
    """Make schemas known, to Hydra too.

    Args:
        verbs: by the name of the primary configuration, ``train``.
        groups: dataclasses of options, by group and option.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    store = ConfigStore.instance()
    for name, schema in verbs.items():
        _schemas[name] = schema
        # Not strict while files are merged, which may add keys of their own; what is typed is strict.
        node = OmegaConf.structured(schema.node, flags={"struct": False})
        if schema.base is not None:  # whose values files may have changed by the time that this is merged
            before = {each.name: each.default for each in fields(schema.base)}
            keys = [each.name for each in fields(schema.node) if before.get(each.name, each) != each.default]
            node = OmegaConf.masked_copy(node, keys)
        store.store(name=name if "defaults" in node else f"{name}_schema", node=node)
    for (group, option), node in groups.items():  # without its type, which would refuse further keys of files
        store.store(group=group, name=option, node=OmegaConf.to_container(OmegaConf.structured(node)))


def schema_of(config: str) -> Schema:
    """Return the schema of a verb.

    Args:
        config: name of its primary configuration.
    """
    return _schemas[config]


def conf_dir() -> Path:
    """Return the folder of the configuration: in the installed package, or beside it in a checkout."""
    package = Path(keypoints.__file__).resolve().parent
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


def folders(own: Path | None = None) -> tuple[Path, ...]:
    """Return the folders of configuration in Hydra's order: of two options of one name ours is taken.

    Args:
        own: folder of the user's own configuration.
    """
    return (conf_dir(),) if own is None else (conf_dir(), own)


def is_group(key: str) -> bool:
    """Return whether a key is a group of ours."""
    return (conf_dir() / key).is_dir()


def _settings(key: str) -> Iterable[Setting]:
    """Return the settings of any verb that are called ``key``."""
    named = (schema.all[key] for schema in _schemas.values() if key in schema.all)
    return (*named, *filter(None, [HYDRAS.get(key)]))


def setting_named(key: str) -> Setting | None:
    """Return a setting that any verb has under a key, if one has.

    Args:
        key: dotted.
    """
    return next(iter(_settings(key)), None)


def types_of_key(key: str, own: Path | None = None) -> frozenset[str]:
    """Return the types that a dotted key has in any verb, or of a group's value ``PATH`` if it is one.

    Args:
        key: as on the command line.
        own: folder of the user's own configuration.
    """
    found = frozenset[str]().union(*(each.types for each in _settings(key)))
    return found | {PATH} if not found and options.is_path(folders(own), key) else found


def is_path(key: str, own: Path | None = None) -> bool:
    """Return whether a key's value is a path.

    Args:
        key, own: as :func:`types_of_key`.
    """
    return bool(types_of_key(key, own) & {PATH, *PLACES})


def is_quoted(key: str, own: Path | None = None) -> bool:
    """Return whether a key's value is quoted for Hydra's grammar.

    Args:
        key, own: as :func:`types_of_key`.
    """
    return bool(types_of_key(key, own) & {PATH, TEXT, NAMES, *PLACES})


def is_swept(key: str, own: Path | None = None) -> bool:
    """Return whether commas separate a key's quoted values in a multirun.

    They do not in settings of a command as a whole: where results go, what is resumed, what is trusted.

    Args:
        key, own: as :func:`types_of_key`.
    """
    whole = any(key in schema.all and key not in schema.settings for schema in _schemas.values())
    return not whole and bool(types_of_key(key, own) & {PATH, TEXT})
