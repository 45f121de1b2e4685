"""Finding and composing the Hydra configuration. Imports no torch."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from omegaconf import DictConfig

import keypoints

PATH_KEYS = frozenset({"output", "paths.data", "paths.outputs", "data.root"})
"""Keys whose values are paths. Hydra's grammar would read commas, brackets and the like in them."""


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
    if not equals or key.lstrip("+") not in PATH_KEYS or not value or value[0] in "'\"":
        return argument
    # In the grammar a backslash escapes a quote, and only runs of them before a quote are special.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"{key}='{escaped}'"


def compose(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration of the verb ``name`` with ``overrides``, as the command line would make it.

    >>> compose("train", ["experiment=nose_tip", "optimizer.lr=1e-4"]).optimizer.lr
    0.0001
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra_compose(name, quote_paths(overrides))
