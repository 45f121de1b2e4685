"""Finding and composing the Hydra configuration. Imports no torch."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

import keypoints
from keypoints.errors import ConfigError

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
        "url",
    }
)
"""Keys whose values are paths or addresses. Hydra's grammar would read commas, brackets and the like in
them."""


_DRAWN = re.compile(r"-?\d+\.\d{9,}(e-?\d+)?")
"""More digits than anyone types."""

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


def _short(value: str) -> str:
    """A number that a search drew, to three digits; whatever else as it is."""
    return f"{float(value):.3g}" if _DRAWN.fullmatch(value) else value


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")


def sweep_name(experiment: str, sweep: str | None) -> str:
    """The folder that sweeps of this kind share."""
    return experiment if sweep in (None, "None") else f"{experiment}-{sweep}"


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
    """See that these values are numbers above 0.

    Raises:
        ConfigError: if one is not.
    """
    for key in keys:
        if isinstance(cfg[key], bool) or not isinstance(cfg[key], int | float) or cfg[key] <= 0:
            raise ConfigError(f"{key} is a number above 0, not {cfg[key]!r}")


def compose(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration of the verb ``name`` with ``overrides``, as the command line would make it.

    >>> compose("train", ["experiment=nose_tip", "optimizer.lr=1e-4"]).optimizer.lr
    0.0001
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra_compose(name, quote_paths(overrides))
