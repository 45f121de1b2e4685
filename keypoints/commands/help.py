"""Help of a verb, from its schema and the files of the groups: for ``--help`` and for docs/."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from omegaconf import DictConfig, OmegaConf

from keypoints.commands.verb import Verb
from keypoints.config import options
from keypoints.config.registry import folders, schema_of
from keypoints.config.settings import Setting
from keypoints.errors import printable

_MOST_COLUMNS = 100
_LEFT = 30
"""Largest width of the keys, in columns; the description of a longer key is on the next line."""

_LAST = ("trust", "paths.data", "paths.outputs")
"""Settings that come last, since few users need them."""


class Entry(NamedTuple):
    """Entry of the help.

    Attributes:
        typed: text that the user types, such as ``seed=int`` or the name of an option.
        said: its description.
    """

    typed: str
    said: str


@dataclass(frozen=True)
class GroupHelp:
    """Help of a group of the configuration.

    Args:
        name: name of the group, such as ``model``.
        chosen: option that the configuration has; ``None`` without one.
        options: its options.
        values: values of the chosen option.
    """

    name: str
    chosen: str | None
    options: Sequence[Entry]
    values: Sequence[Entry]


@dataclass(frozen=True)
class Help:
    """Help of a verb.

    Args:
        usage: command line with its required parts.
        what: description, one sentence.
        required: settings that need a value.
        settings: settings that have a default.
        groups: groups that the verb's configuration chooses from.
        flags: flags of every verb.
        examples: commands.
        writes: description of the files that the verb writes, one sentence.
    """

    usage: str
    what: str
    required: Sequence[Entry]
    settings: Sequence[Entry]
    groups: Sequence[GroupHelp]
    flags: Sequence[Entry]
    examples: Sequence[str]
    writes: str


_FLAGS = (
    Entry("-m", "Run the verb for each of several values, separated by commas: seed=0,1,2."),
    Entry("--cfg job", "Print the configuration that the command would use, and stop."),
    Entry("--config-dir FOLDER", "Folder of your own options, such as FOLDER/model/mine.yaml: model=mine."),
    Entry("--hydra-help", "List Hydra's other flags."),
)


def help_of(verb: Verb, cfg: DictConfig, own: Path | None = None) -> Help:
    """Return the help of a verb.

    Args:
        verb: verb of the command line.
        cfg: its configuration with Hydra's own node; the help has its groups and values.
        own: folder of the user's own options.
    """
    settings = schema_of(verb.config).all
    required = [each for each in settings.values() if each.required]
    others = [each for each in settings.values() if not each.required]
    others.sort(key=lambda each: (each.key in _LAST, each.key != verb.positional))
    return Help(
        usage=_usage(verb, required),
        what=f"{verb.what[0].upper()}{verb.what[1:]}.",
        required=[_entry(each) for each in required],
        settings=[_entry(each, _current_value(cfg, each)) for each in others],
        groups=list(_groups(cfg, folders(own))),
        flags=_FLAGS,
        examples=[f"keypoints {example}" for example in verb.examples],
        writes=f"{verb.writes}.",
    )


def show_help(verb: Verb, cfg: DictConfig, own: Path | None = None) -> None:
    """Print a verb's settings, groups, examples and outputs.

    Args:
        verb: verb of the command line.
        cfg: its configuration with Hydra's own node; the help shows its groups and values.
        own: folder of the user's own options.
    """
    columns = min(shutil.get_terminal_size().columns, _MOST_COLUMNS)
    print(printable("\n".join(_lines(help_of(verb, cfg, own), columns)), lines=True))


def _lines(shown: Help, columns: int) -> Iterator[str]:
    yield from textwrap.wrap(shown.usage, columns, subsequent_indent="       ", break_on_hyphens=False)
    yield ""
    yield from textwrap.wrap(shown.what, columns)
    if shown.required:
        yield from ("", "Required:")
        yield from _table(shown.required, columns)
    yield from ("", "Settings:")
    yield from _table(shown.settings, columns)
    if shown.groups:
        yield from _about_groups(shown.groups, columns)
    yield from ("", "Flags:")
    yield from _table(shown.flags, columns)
    yield from ("", "Examples:", *(f"  {example}" for example in shown.examples))
    yield from ("", *textwrap.wrap(f"Writes: {shown.writes}", columns, subsequent_indent="  "))


def _usage(verb: Verb, required: Sequence[Setting]) -> str:
    words = [each for each in required if each.key != verb.positional]
    given = [f"{each.key}={_placeholder(each)}" for each in words]
    first = verb.positional.upper() if verb.positional else None
    if verb.takes_words and first is not None:
        first = f"{first.removesuffix('S')} …"
    if first is not None and all(each.key != verb.positional for each in required):
        first = f"[{first}]"
    return " ".join(filter(None, ["usage: keypoints", verb.name, first, *given, "[key=value …]"]))


def _placeholder(setting: Setting) -> str:
    return f"{{{setting.kind.replace('|', ',')}}}" if setting.choices else setting.kind.upper()


def _current_value(cfg: DictConfig, setting: Setting) -> Any:
    """Return the current value of a setting, which a chosen group may have set."""
    plain: Any = OmegaConf.to_container(cfg)
    for part in setting.key.split("."):
        plain = plain.get(part, setting.default) if isinstance(plain, Mapping) else setting.default
    return plain


def _entry(setting: Setting, value: Any = None) -> Entry:
    shown = value if setting.choices else as_yaml(value)  # a choice such as false needs no quotes
    notes = [f"default {shown}"] if value is not None and not setting.required else []
    notes += [str(setting.bounds)] if str(setting.bounds) else []
    sentence = setting.sentence if setting.sentence.endswith((".", "…", "*")) else f"{setting.sentence}."
    behind = f" ({', '.join(notes)})" if notes else ""
    said = f"{sentence.rstrip('.')}.{behind}" if setting.sentence else behind[1:]
    return Entry(f"{setting.key}={setting.kind}", said)


def as_yaml(value: Any) -> str:
    """Return a value as the user would type it.

    Args:
        value: plain value.
    """
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("...\n").strip()


def _table(rows: Sequence[Entry], columns: int) -> Iterator[str]:
    fitting = [len(left) for left, _ in rows if len(left) <= _LEFT]
    width = max(fitting, default=_LEFT) + 4
    for left, right in rows:
        lines = textwrap.wrap(right, columns - width, break_on_hyphens=False) or [""]
        first = f"  {left}"
        if len(left) > _LEFT:
            yield first
        else:
            yield f"{first:{width}}{lines.pop(0)}".rstrip()
        yield from (f"{'':{width}}{line}" for line in lines)


def _chosen_options(cfg: DictConfig) -> Mapping[str, Any]:
    """Return the chosen option of each group, by group."""
    choices = OmegaConf.to_container(cfg.hydra.runtime.choices)
    assert isinstance(choices, dict)
    return {
        str(group): option
        for group, option in reversed(choices.items())
        if not str(group).startswith("hydra") and "@" not in str(group) and group != "paths"
    }


def _groups(cfg: DictConfig, places: Sequence[Path]) -> Iterator[GroupHelp]:
    """Yield the help of each group: its options, and the values in the chosen option."""
    plain: Any = OmegaConf.to_container(cfg)
    for group, chosen in _chosen_options(cfg).items():
        listed = [
            Entry(option, option_text(places, group, option)) for option in options.options(places, group)
        ]
        values = plain.get(group)
        if listed or isinstance(values, dict):
            entries = values_of(cfg, group, str(chosen), places) if isinstance(values, dict) else ()
            yield GroupHelp(group, chosen, listed, list(entries))


def option_text(places: Sequence[Path], group: str, option: str) -> str:
    """Return the description of an option, with the keys that it sets outside of its group.

    Args:
        places: configuration folders.
        group: name of the group, such as ``trainer``.
        option: name of the option, such as ``gpu``.
    """
    beyond = options.reach(places, group, option) if group not in ("experiment", "sweep") else []
    also = f" Also sets {', '.join(beyond)}." if beyond else ""
    return options.about(places, group, option) + also


def values_of(cfg: DictConfig, group: str, chosen: str, places: Sequence[Path]) -> Iterator[Entry]:
    """Yield the values in the chosen option of a group: key, value and type; and the description.

    Args:
        cfg: the configuration.
        group: name of the group, such as ``model``.
        chosen: name of its option, such as ``heatmap``.
        places: configuration folders.
    """
    plain: Any = OmegaConf.to_container(cfg)
    for key, value in options.leaves(plain[group], f"{group}."):
        if key.endswith("._target_"):
            continue
        known = options.setting_of(cfg, key)
        kind = f"  ({known.kind})" if known.kind != "value" else ""
        yield Entry(f"{key}={as_yaml(value)}{kind}", options.sentence(places, key, chosen, known))


def _about_groups(groups: Sequence[GroupHelp], columns: int) -> Iterator[str]:
    """Yield the options of each group, and the values in the chosen options."""
    yield from ("", *textwrap.wrap("Groups, each chosen by group=option; * is chosen here:", columns))
    for group in groups:
        if not group.options:  # an optional group without a file
            continue
        yield f"  {group.name}"
        marked = [
            Entry(f"{'*' if name == group.chosen else ' '} {name}", said) for name, said in group.options
        ]
        yield from _table(marked, columns)
    if any(group.values for group in groups):
        yield from ("", *textwrap.wrap("Values in the chosen groups, each set by key=value:", columns))
    for group in groups:
        if group.values:
            yield f"  {group.name}={group.chosen}"
        for value in group.values:
            yield f"    {value.typed}"
            yield from textwrap.wrap(
                value.said,
                columns,
                initial_indent=f"{'':8}",
                subsequent_indent=f"{'':8}",
                break_on_hyphens=False,
            )
