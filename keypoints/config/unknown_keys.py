"""Message about a typed key that no file and no schema has. Imports no torch."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from keypoints.config.compose import composed, search_path
from keypoints.config.options import leaves
from keypoints.config.overrides import first_of_sweep
from keypoints.config.quoting import own_folder
from keypoints.config.registry import is_group, schema_of
from keypoints.config.signatures import parameters
from keypoints.errors import shortened

_HYDRAS = re.compile(r"Could not override '(?P<key>[^']+)'")
"""Hydra's message; its advice, to add the key with ``+``, would keep a misspelt key without any effect."""

_MOST = 3
"""Largest number of similar keys in a message."""


def explain_unknown_key(config: str, arguments: Sequence[str], message: str) -> str | None:
    """Return our message if Hydra refuses an unknown key, with the most similar known ones.

    Args:
        config: name of the verb's primary configuration.
        arguments: flags and overrides of the command.
        message: Hydra's message.

    Returns:
        The message; ``None`` if Hydra's message is about something else.
    """
    found = _HYDRAS.match(message)
    if found is None:
        return None
    key, cfg = found["key"], _chosen(config, arguments)
    above, _, last = key.rpartition(".")
    target = _target(cfg, above)
    if last == "_target_":
        return f"'{key}' is in no file: +{key}=… adds it"
    if target is not None and last in parameters(target):
        return f"'{key}' is in no file: +{key}=… adds this argument of {target}"
    known = [*schema_of(config).all, *_keys(cfg), *_trainers_keys(cfg)]
    close = [
        *(each for each in known if each.rpartition(".")[2] == last),
        *difflib.get_close_matches(key, known, _MOST),
    ]
    near = ", ".join(list(dict.fromkeys(close))[:_MOST])
    said = [
        f"'{shortened(key, 80)}' is not a setting here",
        f"similar: {near}" if near else "",
        "" if target is None else f"if {target} takes it, +{key}=… adds it",
        "--help lists all",
    ]
    return "; ".join(filter(None, said))


def _chosen(config: str, arguments: Sequence[str]) -> DictConfig:
    """Return the configuration with the chosen groups; an empty one if Hydra cannot compose it."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    overrides = first_of_sweep(each for each in arguments if not each.startswith("-"))
    groups = [each for each in overrides if is_group(each.lstrip("+").partition("=")[0])]
    try:
        return composed(config, [*groups, *search_path(own_folder(arguments))])
    except (HydraException, OmegaConfBaseException):
        return OmegaConf.create()


def _keys(cfg: DictConfig) -> list[str]:
    """Return the dotted keys of the values in files."""
    plain: Any = OmegaConf.to_container(cfg)
    return [key for key, _ in leaves(plain) if not key.endswith("_target_")]


def _trainers_keys(cfg: DictConfig) -> list[str]:
    """Return the keys of the Trainer's arguments, which may be given although no file has them."""
    return [f"trainer.{name}" for name in parameters("pytorch_lightning.Trainer")] if "trainer" in cfg else []


def _target(cfg: DictConfig, key: str) -> str | None:
    """Return the class of a node, as ``_target_`` names it; ``None`` if there is no such node."""
    node: Any = OmegaConf.select(cfg, key, throw_on_missing=False) if key else cfg
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    return target if isinstance(target, str) else None
