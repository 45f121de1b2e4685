"""Finding and composing the Hydra configuration. Imports no torch."""

import hashlib
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, wraps
from glob import glob
from itertools import count, islice
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

import keypoints
from keypoints.errors import ConfigError, DataError, printable, shortened
from keypoints.older_names import current_key
from keypoints.reading import Kind, check_kinds, read_json, read_text, read_yaml

PATH_KEYS = frozenset(
    {
        "calibration",
        "check",
        "checkpoint",
        "model.net.weights",
        "data.root",
        "data.test",
        "data.train",
        "data.val",
        "folder",
        "hydra.run.dir",
        "hydra.sweep.dir",
        "input",
        "list",
        "output",
        "paths.data",
        "paths.outputs",
        "predictions",
        "resume",
        "root",
        "source",
        "start_from",
        "trust",
        "url",
    }
)
"""Keys whose values are paths, addresses or names of packages. Hydra's grammar would read commas, brackets
and the like in them."""

_FREE_TEXT = frozenset({"name"})
"""Keys whose values are any text, and quoted as paths are."""

_OPTIONAL_GROUPS = {"evaluate": "data"}
"""Groups that are left out by default: without a choice, their values change what a run was trained on."""

_NEVER_SWEPT = frozenset({"hydra.run.dir", "hydra.sweep.dir", "output", "paths.outputs", "resume", "trust"})
"""Keys of a command as a whole: a comma in their values is a part of them in a multirun too."""

_ELEMENT = re.compile(r"""\s*(?P<value>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^,]*?)\s*(?:,|$)""", re.DOTALL)
"""A value of a sweep, with the comma behind it; commas in quotes are none."""

_SWEPT_FILES = frozenset(
    {"data.root", "data.test", "data.train", "data.val", "model.net.weights", "start_from"}
)
"""Keys whose values are files or folders that have to be there when a multirun begins."""

_PLACES = frozenset({"hydra.run.dir", "hydra.sweep.dir", "output", "paths.outputs"})
"""Keys that name where results go."""

_OUTPUT_FILES = frozenset({"convert", "export", "submit", "verify"})
"""Primary files of the verbs whose output is a file, not a folder."""

_LONGEST_NAME = 200
"""Characters of a run's folder; file systems take 255 bytes."""

_REQUIRED = "${required:}"
"""What takes the place of ``???`` in files."""

_DRAWN = re.compile(r"-?\d+\.\d{9,}(e-?\d+)?")
"""More digits than anyone types."""

_DEFAULTS = Kind(
    "a list of names, or of group: option",
    lambda value: (
        isinstance(value, list) and all(isinstance(each, str) or _is_default(each) for each in value)
    ),
)

SEPARATOR = ";"
"""Between the overrides that Hydra joins for a job's name; lists have commas in them."""


def run_name(overrides: str, number: int, sweep: str | None = None) -> str:
    """Return the folder's name for a job that differs by these overrides: letters, digits, dots and dashes.

    >>> run_name("model.net.kernel_sizes=[10,7,5];optimizer.lr=0.01", 3)
    'kernel-sizes-10-7-5--lr-0.01'
    >>> run_name("optimizer.lr=0.00044303752452182633", 3)
    'lr-0.000443'
    >>> run_name("data.train='/home/me/lists/t.csv'", 3)
    'train-lists-t.csv'
    >>> run_name("", 3)
    '3'

    Args:
        overrides: the job's, joined by :data:`SEPARATOR`.
        number: of the job, which names one that differs by nothing.
        sweep: the sweep's folder. Where a run of other overrides has the name there, a number is added.
    """
    given = split_overrides(overrides)
    name = _name_of(given) or str(number)
    if sweep is None:
        return name
    numbered = (name if place == 1 else f"{name}--{place}" for place in count(1))
    return next(each for each in numbered if _is_of(Path(sweep) / each, given))


def split_overrides(joined: str) -> list[str]:
    """Return the overrides that are joined by :data:`SEPARATOR`, which may stand in a path too."""
    outside = rf"{SEPARATOR}(?=[+~]*[\w./@-]+=)(?=(?:[^']*'[^']*')*[^']*$)"
    return [each for each in re.split(outside, joined) if each]


def _name_of(overrides: Sequence[str]) -> str:
    pairs = [override.partition("=")[::2] for override in overrides]
    short = [key.rpartition(".")[2] for key, _ in pairs]
    keys = [last if short.count(last) == 1 else key for last, (key, _) in zip(short, pairs, strict=True)]
    name = "--".join(
        f"{_plain(key)}-{_plain(_short(full, value))}" for key, (full, value) in zip(keys, pairs, strict=True)
    )
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(SEPARATOR.join(overrides).encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 10].rstrip('-')}--{digest}"


def _is_of(folder: Path, overrides: Sequence[str]) -> bool:
    """Return whether a folder of a sweep is free for a run of these overrides, or holds the one of them."""
    try:
        recorded = read_json(folder / "status.json").get("overrides")
    except (FileNotFoundError, ValueError, AttributeError, DataError):
        return True  # a status that is damaged is told where the run begins
    if not isinstance(recorded, list):
        return True
    return set(map(normal_override, overrides)) <= set(map(normal_override, recorded))


def normal_override(override: object) -> str:
    """Return an override with its text in one kind of quotes."""
    key, _, value = str(override).partition("=")
    return f"{key}={_unquoted(value)}"


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return re.sub(r"(\\+)(?='|$)", lambda found: found[1][: len(found[1]) // 2], value[1:-1])
    return value


def _is_default(entry: Any) -> bool:
    """Return whether an entry of a defaults list chooses an option of a group, several or none."""
    if not isinstance(entry, dict) or len(entry) != 1:
        return False
    ((group, option),) = entry.items()
    options = option if isinstance(option, list) else [option]
    return isinstance(group, str) and all(each is None or isinstance(each, str) for each in options)


def _short(key: str, value: str) -> str:
    """A number that a search drew, to three digits; the end of a path; whatever else as it is."""
    if _DRAWN.fullmatch(value):
        return f"{float(value):.3g}"
    return "/".join(Path(_unquoted(value)).parts[-2:]) if key.lstrip("+") in PATH_KEYS else value


def _plain(text: str) -> str:
    ascii_ = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9.]+", "-", ascii_).strip("-")


def sweep_name(experiment: str, sweep: str | None) -> str:
    """The folder that sweeps of this kind share."""
    return experiment if sweep in (None, "None") else f"{experiment}-{sweep}"


def check_files() -> None:
    """Let Hydra read a YAML file only if :func:`keypoints.reading.read_yaml` can, which says what is wrong.

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


def conf_dir() -> Path:
    """The folder of the configuration: in the installed package, or beside it in a checkout."""
    package = Path(keypoints.__file__).resolve().parent
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


def quote_paths(arguments: Iterable[str]) -> list[str]:
    """Return the arguments, with paths and free text quoted for Hydra's override grammar.

    In a multirun a comma separates paths, unless it stands in quotes or the path is there as it stands;
    ``choice(a,b)`` and ``glob(*.csv)`` sweep too. In a single run a comma is a part of the path.

    Raises:
        ConfigError: if no file fits a ``glob`` of a multirun.
    """
    arguments = list(arguments)
    multirun = is_multirun(arguments)
    return [_quote(argument, multirun=multirun) for argument in arguments]


def is_multirun(arguments: Iterable[str]) -> bool:
    """Return whether the arguments ask for several runs by themselves: ``-m``, or ``sweep=`` as ours do."""
    arguments = list(arguments)
    if any(argument in ("-m", "--multirun") for argument in arguments):
        return True
    mode = is_given(arguments, "hydra.mode") or ""
    return mode.upper() == "MULTIRUN" or is_given(arguments, "sweep") not in (None, "", "null", "None")


def _quote(argument: str, *, multirun: bool) -> str:
    key, equals, value = argument.partition("=")
    plain = key.lstrip("+")
    if not equals or plain not in PATH_KEYS | _FREE_TEXT or value in ("", "null"):
        return argument
    if multirun and plain not in _NEVER_SWEPT and not (plain in PATH_KEYS and os.path.lexists(value)):
        return f"{key}={_swept(plain, value)}"
    return argument if value[0] in "'\"" else f"{key}={_quoted(value)}"


def _swept(key: str, value: str) -> str:
    """Return the value of a multirun, which may be several, quoted."""
    function = re.fullmatch(r"\s*(choice|glob|shuffle|sort|tag)\((.*)\)\s*", value, re.DOTALL)
    if function is None:
        return ",".join(map(_as_element, split_values(value)))
    if function[1] == "choice":
        return f"choice({','.join(map(_as_element, split_values(function[2])))})"
    if function[1] != "glob" or key not in PATH_KEYS:
        return value
    return _globbed(key, value, function[2])


def _globbed(key: str, value: str, inside: str) -> str:
    """Return the files that fit ``glob(…)``, which Hydra knows of groups alone."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Glob
    from hydra.errors import HydraException

    typed = value if any(mark in inside for mark in ",='\"") else f"glob({_quoted(inside)})"
    try:
        pattern: Any = OverridesParser.create().parse_override(f"{key}={typed}").value()
    except HydraException as error:
        raise ConfigError(f"{key}={value}: quote the pattern: glob('lists/*.csv')") from error
    if not isinstance(pattern, Glob):
        return _quoted(value)
    include, exclude = map(_matches, (pattern.include, pattern.exclude))
    if not (found := include - exclude):
        raise ConfigError(f"{key}={value}: no file or folder fits it")
    return f"choice({','.join(map(_quoted, sorted(found)))})"


def _matches(patterns: Iterable[str]) -> set[str]:
    """Return what is there by these patterns, of which ``Path.glob`` takes no absolute ones."""
    return {path for each in patterns for path in glob(each, recursive=True)}  # noqa: PTH207


def split_values(text: str) -> list[str]:
    """Return the values that commas separate; the text as it is, if one of them would be empty.

    >>> split_values("a.csv, 'b, c.csv'")
    ['a.csv', "'b, c.csv'"]
    """
    values: list[str] = []
    place = 0
    while (found := _ELEMENT.match(text, place)) is not None and found["value"]:
        values.append(found["value"])
        if (place := found.end()) == len(text):
            return [text] if text.endswith(",") else values
    return [text]


def _as_element(value: str) -> str:
    return value if value[:1] in ("'", '"') or value == "null" else _quoted(value)


def _quoted(value: str) -> str:
    # In the grammar a backslash escapes a quote, and only runs of them before a quote are special.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


def check_commas(arguments: Iterable[str]) -> None:
    """See that no path of a single run is rather several, of which each is there.

    Raises:
        ConfigError: if one is.
    """
    arguments = list(arguments)
    if is_multirun(arguments):
        return
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key.lstrip("+") not in PATH_KEYS - _NEVER_SWEPT or "," not in value or os.path.lexists(value):
            continue
        if all(os.path.lexists(each) for each in split_values(value)):
            raise ConfigError(f"{argument}: there is no such path; for a run with each of them, add -m")


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
        if override.key_or_group in _SWEPT_FILES and not override.is_delete():
            named[override.key_or_group] = override_values(override)  # as in Hydra, what is typed comes last
    for key, values in named.items():
        for value in values:
            if isinstance(value, str) and _is_absent(key, value):
                raise ConfigError(f"{key}={shortened(value, 120)}: no such file or folder")


def _is_absent(key: str, value: str) -> bool:
    """Return whether a value names a file or folder that is not there."""
    if "${" in value or value in ("", "???"):
        return False
    if key == "model.net.weights" and re.fullmatch(r"\w+", value):
        return False  # torchvision's own weights have such names
    return not os.path.exists(value)  # noqa: PTH110 - Path.exists raises for a name that is too long


def output_kind(config: str) -> str:
    """Return what the output of a verb is: ``"file"`` or ``"folder"``.

    Args:
        config: the verb's primary file in ``conf/``.
    """
    return "file" if config in _OUTPUT_FILES else "folder"


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
    """See that these values are finite numbers above 0.

    Raises:
        ConfigError: if one is not.
    """
    for key in keys:
        value = cfg[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ConfigError(f"{key} is a finite number above 0, not {value!r}")


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
        config: the verb's primary file in ``conf/``.
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
    if _flag(flags, "--config-path", "-cp") is not None:
        return None
    name = _flag(flags, "--config-name", "-cn") or config
    first = [*first_of_sweep(overrides), *_search_path(own)]
    try:
        cfg = _compose(name, first, with_hydra=True)
        params = OmegaConf.select(cfg, "hydra.sweeper.params") or {}
        varied = first_of_sweep(f"{key}={value}" for key, value in params.items())
        return _compose(name, [*varied, *first], with_hydra=True) if varied else cfg
    except (HydraException, OmegaConfBaseException):
        return None


def missing(cfg: DictConfig, own: Path | None = None) -> str | None:
    """Return which values have to be given (``???``), and what belongs there; ``None`` if there is none.

    Args:
        cfg: the configuration.
        own: the folder of ``--config-dir``, where comments may say what belongs there, as ours do.
    """
    plain: Any = OmegaConf.to_container(cfg)
    plain.pop("hydra", None)  # it fills in its own values later
    told = [need(key, own) for key in _missing_keys(plain)]
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


def need(key: str, own: Path | None = None) -> str:
    """Return what belongs to a key that has no value, as the comment behind ``???`` says.

    >>> need("a.b")
    'a.b has no value (???): give a.b=<value>'
    """
    group, _, _ = key.partition(".")
    last = re.escape(key.rpartition(".")[2])
    comment = re.compile(rf"^\s*{last}:\s*[\"']?\?\?\?[\"']?\s+#\s*(.+)$", re.MULTILINE)
    said = f"{key} has no value (???): give {key}=<{'path' if key in PATH_KEYS else 'value'}>"
    for folder in (own, conf_dir()):
        files = [] if folder is None else [*folder.glob("*.yaml"), *folder.glob("*/*.yaml")]
        for path in sorted(files, key=lambda path: (path.parent.name != group, path)):
            try:
                found = comment.search(read_text(path))
            except (OSError, DataError):
                continue
            if found is not None:
                return f"{said}, {found[1].strip()}"
    return said


def check_complete(cfg: DictConfig, own: Path | None = None) -> None:
    """See that no value is missing, and that the name can be a folder's.

    Args:
        cfg, own: as of :func:`missing`.

    Raises:
        ConfigError: if one is, or it cannot.
    """
    if (told := missing(cfg, own)) is not None:
        raise ConfigError(told)
    if "name" in cfg:
        check_name(cfg.name)


def check_name(name: Any) -> None:
    r"""See that a run's name can be a part of its folder's path on any file system that has such names.

    Raises:
        ConfigError: if it cannot: it is no text, blank, too long, or has a ``/``, ``\`` or control character.
    """
    if not isinstance(name, str):
        raise ConfigError(f"name is a text, not {name!r}; in a file it needs quotes: name: '{name}'")
    shown = f"name={shortened(printable(name), 60)!r}"
    if not name.strip(" ."):
        raise ConfigError(f"{shown}: names folders, and needs a letter or a digit")
    if any(mark in name for mark in "/\\") or printable(name) != name or name != name.strip():
        raise ConfigError(
            f"{shown}: names folders: no / or \\, no control character, no blank at an end; for another "
            "place take output=<folder>"
        )
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise ConfigError(f"{shown}: names folders, and may have {_LONGEST_NAME} bytes")


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
        key: _unquoted(value)
        for key, value in pairs
        if not key.startswith("hydra") and ("/" in key or _is_group(key))
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


_TRUE, _FALSE = ("true", "yes", "on", "y", "1"), ("false", "no", "off", "n", "0")

_LIGHTNINGS = ("trainer.", "hydra.")
"""Nodes whose values may be words where the default is a number: ``trainer.devices=auto``."""


def as_typed(config: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a verb as they are meant: ``no`` is false, a group that is null is ``none``.

    A value is compared with the default that it replaces, so that a mistake is said at once, and by its key.
    What cannot be read as an override is left to Hydra, which says why.

    Args:
        config: the verb's primary file in ``conf/``.
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
        _check_place(config, override, defaults)
    return [_checked(text, override, defaults) for text, override in found if text]


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


def _check_place(config: str, override: Any, defaults: DictConfig | None) -> None:
    """See that a place for results is not empty: that would be the current folder.

    Args:
        config: the verb's primary file in ``conf/``.
        override: parsed; ``None`` for a flag and what cannot be parsed.
        defaults: of the verb; ``None`` where they cannot be composed.

    Raises:
        ConfigError: if it is, or it is null and the verb needs one.
    """
    if override is None or defaults is None or override.is_delete() or override.key_or_group not in _PLACES:
        return
    key = override.key_or_group
    plain: Any = OmegaConf.to_container(defaults)
    for part in key.split("."):
        plain = plain.get(part) if isinstance(plain, Mapping) else None
    if plain is None and key == "output" and "output" not in defaults:
        return  # a verb without one, as Hydra says
    for value in override_values(override):
        if (value is None and plain is not None) or (isinstance(value, str) and not value.strip()):
            kind = output_kind(config) if key == "output" else "folder"
            raise ConfigError(f"{key}= is empty: name a {kind}")


def _of_optional_group(config: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments with values of a group that is left out as additions; Hydra knows no others."""
    group = _OPTIONAL_GROUPS.get(config)
    if group is None or any(each.lstrip("+").startswith(f"{group}=") for each in arguments):
        return list(arguments)
    return [f"++{each}" if each.startswith(f"{group}.") else each for each in arguments]


def _without_null(config: str, text: str, override: Any) -> str:
    """Return what ``group=null`` means: the group's option ``none``, or nothing where null is the default."""
    if override is None or override.package is not None or override.is_delete():
        return text
    if not _is_group(override.key_or_group):
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


def _is_group(key: str) -> bool:
    return (conf_dir() / key).is_dir()


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
    for default in OmegaConf.load(conf_dir() / f"{config}.yaml").defaults:
        if isinstance(default, str) and default != "_self_":
            return _default_choice(default, group)
        if isinstance(default, DictConfig) and group in default:
            return default[group]
    return None


def _defaults(config: str, arguments: Sequence[str], found: Iterable[tuple[str, Any]]) -> DictConfig | None:
    """Return the configuration with the groups that are chosen, and the values that they bring."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    found = [(text, override) for text, override in found if text and override is not None]
    if all(_is_group(override.key_or_group) for _, override in found):
        return None
    own = own_folder(arguments)
    groups = [
        text
        for text, override in found
        if "/" in override.key_or_group
        or _is_group(override.key_or_group)
        or (own is not None and (own / override.key_or_group).is_dir())
    ]
    groups = [text for text in groups if "," not in text]
    try:
        return _composed(config, (*groups, *_search_path(own)))
    except (HydraException, OmegaConfBaseException):
        return None  # Hydra will say what is wrong


def own_folder(flags: Iterable[str]) -> Path | None:
    """Return the folder of ``--config-dir``.

    Raises:
        ConfigError: if there is no such folder.
    """
    given = _flag(flags, "--config-dir", "-cd")
    if given is not None and not Path(given).is_dir():
        raise ConfigError(f"--config-dir {given}: no such folder")
    return None if given is None else Path(given)


def _flag(flags: Iterable[str], *names: str) -> str | None:
    """Return the value of one of Hydra's flags."""
    left = iter(flags)
    found = None
    for flag in left:
        name, equals, value = flag.partition("=")
        if name in names:
            found = value if equals else next(left, None)
    return found


def _search_path(own: Path | None) -> list[str]:
    return [] if own is None else [f"hydra.searchpath=[{_quoted(f'file://{own.resolve()}')}]"]


@lru_cache(maxsize=32)
def _composed(config: str, overrides: tuple[str, ...]) -> DictConfig:
    return _compose(config, overrides)


def _checked(text: str, override: Any, defaults: DictConfig | None) -> str:
    if override is None or defaults is None or override.is_delete() or _is_group(override.key_or_group):
        return text
    key = override.key_or_group
    try:
        default = OmegaConf.select(defaults, key)
    except Exception:  # an interpolation that needs what is not given here
        return text
    values = override_values(override)
    if not _is_listed(override) or any(isinstance(each, str) and each.startswith("${") for each in values):
        return text
    if isinstance(default, bool):
        switches = [str(_switch(key, value)).lower() for value in values]
        return text.partition("=")[0] + "=" + ",".join(switches)
    if isinstance(default, int | float) and not key.startswith(_LIGHTNINGS):
        for value in values:
            # Where the default is a whole number, a list may stand: pooling has a number, or one a layer.
            wrong = (str, bool, dict, list) if isinstance(default, float) else (str, bool, dict)
            if isinstance(value, wrong):
                raise ConfigError(f"{key} is a number, like its default {default:g}, not {value!r}")
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{key} is a finite number, like its default {default:g}, not {value!r}")
    return text


def _switch(key: str, value: Any) -> bool:
    word = str(value).lower()
    if word not in (*_TRUE, *_FALSE):
        raise ConfigError(f"{key} is true or false, not {value!r}")
    return word in _TRUE
