"""Hydra's compositions, remembered: tests compose the same few configurations, for other folders."""

import pickle
import re
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

hydras = hydra.compose
_PATH = re.compile(r"^([a-z][\w.]*)='(/[^'\\]*)'$")
"""Override whose value is an absolute path, as ``quote_paths`` quotes it."""

_remembered: dict[tuple[Any, ...], bytes] = {}


def compose(
    config_name: str | None = None, overrides: list[str] | None = None, return_hydra_config: bool = False
) -> DictConfig:
    """Return what ``hydra.compose`` returns, composed once for overrides that differ only in paths.

    A composition with Hydra's own node, which repeats the overrides, is not remembered, nor one with a user's
    folder of options, which may change.
    """
    overrides = overrides or []
    if return_hydra_config or any(each.startswith("hydra.") for each in overrides):
        return hydras(config_name, overrides, return_hydra_config)
    last = {each.lstrip("+~").partition("=")[0]: each for each in overrides}  # a later one replaces a path
    paths = {found[1]: found[2] for each in last.values() if (found := _PATH.fullmatch(each))}
    common = tuple(_PATH.sub(r"\1='/'", each) for each in overrides)
    key = (config_name, common)
    if key not in _remembered:
        _remembered[key] = pickle.dumps(hydras(config_name, list(common)))
    cfg: DictConfig = pickle.loads(_remembered[key])
    for name, path in paths.items():
        OmegaConf.update(cfg, name, path)
    return cfg
