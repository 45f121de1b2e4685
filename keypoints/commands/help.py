"""Text of ``keypoints VERB --help``, from the verb's schema and the files of the groups."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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

_FLAGS = (
    ("-m", "Run the verb for each of several values, separated by commas: seed=0,1,2."),
    ("--cfg job", "Print the configuration that the command would use, and stop."),
    ("--config-dir FOLDER", "Folder of your own options, such as FOLDER/model/mine.yaml: model=mine."),
    ("--hydra-help", "List Hydra's other flags."),
)


def show_help(verb: Verb, cfg: DictConfig, own: Path | None = None) -> None:
    """Print a verb's settings, groups, examples and outputs.

    Args:
        verb: verb of the command line.
        cfg: its configuration with Hydra's own node; the help shows its groups and values.
        own: folder of the user's own options.
    """
    columns = min(shutil.get_terminal_size().columns, _MOST_COLUMNS)
    print(printable("\n".join(_lines(verb, cfg, own, columns)), lines=True))


def _lines(verb: Verb, cfg: DictConfig, own: Path | None, columns: int) -> Iterator[str]:
    settings = schema_of(verb.config).all
    required = [each for each in settings.values() if each.required]
    others = [each for each in settings.values() if not each.required]
    yield from _usage(verb, required, columns)
    yield ""
    yield from textwrap.wrap(f"{verb.what[0].upper()}{verb.what[1:]}.", columns)
    if required:
        yield from ("", "Required:")
        yield from _table([_row(each) for each in required], columns)
    yield from ("", "Settings:")
    others.sort(key=lambda each: (each.key in _LAST, each.key != verb.positional))
    yield from _table([_row(each, _current_value(cfg, each)) for each in others], columns)
    if groups := _groups(cfg):
        yield from _about_groups(groups, cfg, own, columns)
    yield from ("", "Flags:")
    yield from _table([(name, said) for name, said in _FLAGS], columns)
    yield from ("", "Examples:", *(f"  keypoints {example}" for example in verb.examples))
    yield from ("", *textwrap.wrap(f"Writes: {verb.writes}.", columns, subsequent_indent="  "))


def _usage(verb: Verb, required: Sequence[Setting], columns: int) -> Iterator[str]:
    words = [each for each in required if each.key != verb.positional]
    given = [f"{each.key}={_placeholder(each)}" for each in words]
    first = verb.positional.upper() if verb.positional else None
    if verb.takes_words and first is not None:
        first = f"{first.removesuffix('S')} …"
    if first is not None and all(each.key != verb.positional for each in required):
        first = f"[{first}]"
    usage = " ".join(filter(None, ["usage: keypoints", verb.name, first, *given, "[key=value …]"]))
    yield from textwrap.wrap(usage, columns, subsequent_indent="       ", break_on_hyphens=False)


def _placeholder(setting: Setting) -> str:
    return f"{{{setting.kind.replace('|', ',')}}}" if setting.choices else setting.kind.upper()


def _current_value(cfg: DictConfig, setting: Setting) -> Any:
    """Return the current value of a setting, which a chosen group may have set."""
    plain: Any = OmegaConf.to_container(cfg)
    for part in setting.key.split("."):
        plain = plain.get(part, setting.default) if isinstance(plain, Mapping) else setting.default
    return plain


def _row(setting: Setting, value: Any = None) -> tuple[str, str]:
    notes = [f"default {_as_yaml(value)}"] if value is not None and not setting.required else []
    notes += [str(setting.bounds)] if str(setting.bounds) else []
    sentence = setting.sentence if setting.sentence.endswith((".", "…", "*")) else f"{setting.sentence}."
    behind = f" ({', '.join(notes)})" if notes else ""
    return (
        f"{setting.key}={setting.kind}",
        f"{sentence.rstrip('.')}.{behind}" if setting.sentence else behind[1:],
    )


def _as_yaml(value: Any) -> str:
    """Return a value as the user would type it."""
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("...\n").strip()


def _table(rows: Sequence[tuple[str, str]], columns: int) -> Iterator[str]:
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


def _groups(cfg: DictConfig) -> Mapping[str, Any]:
    """Return the chosen option of each group, by group."""
    choices = OmegaConf.to_container(cfg.hydra.runtime.choices)
    assert isinstance(choices, dict)
    return {
        str(group): option
        for group, option in reversed(choices.items())
        if not str(group).startswith("hydra") and "@" not in str(group) and group != "paths"
    }


def _about_groups(
    groups: Mapping[str, Any], cfg: DictConfig, own: Path | None, columns: int
) -> Iterator[str]:
    """Yield the options of each group, and the values in the chosen options."""
    places = folders(own)
    yield from ("", *textwrap.wrap("Groups, each chosen by group=option; * is chosen here:", columns))
    for group, chosen in groups.items():
        if not options.options(places, group):  # an optional group without a file
            continue
        yield f"  {group}"
        rows = []
        for option in options.options(places, group):
            beyond = options.reach(places, group, option) if group not in ("experiment", "sweep") else []
            also = f" Also sets {', '.join(beyond)}." if beyond else ""
            mark = "*" if option == chosen else " "
            rows.append((f"{mark} {option}", options.about(places, group, option) + also))
        yield from _table(rows, columns)
    plain: Any = OmegaConf.to_container(cfg)
    chosen_values = {group: plain[group] for group in groups if isinstance(plain.get(group), dict)}
    if any(chosen_values.values()):
        yield from ("", *textwrap.wrap("Values in the chosen groups, each set by key=value:", columns))
    for group, values in chosen_values.items():
        chosen = groups[group]
        yield f"  {group}={chosen}"
        for key, value in options.leaves(values, f"{group}."):
            if key.endswith("._target_"):
                continue
            known = options.setting_of(cfg, key)
            said = options.sentence(places, key, str(chosen), known)
            yield f"    {key}={_as_yaml(value)}" + (f"  ({known.kind})" if known.kind != "value" else "")
            yield from textwrap.wrap(
                said, columns, initial_indent=f"{'':8}", subsequent_indent=f"{'':8}", break_on_hyphens=False
            )
