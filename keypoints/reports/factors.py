"""Factors of a sweep: table of two factors, and the effect of each factor."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from keypoints.errors import some_of
from keypoints.evaluation.comparison import Difference, compare
from keypoints.formatting import counted, shown
from keypoints.reports.setting_results import Measure, SettingResult, Verdict, interval_of

_NO_FACTORS = ("seed", "data.fold", "data.seed", "output")
"""Keys that make repetitions of a setting, not settings."""
_NAMED = 6
"""Largest number of levels that a sentence names."""

Levels = Mapping[str, Mapping[str, str]]
"""Level of each factor, by the setting's name and the factor's."""


def levels_of(overrides: Mapping[str, Sequence[str]]) -> Levels:
    """Return the levels of the factors: the overrides in which the settings differ.

    >>> levels_of({"a": ["optimizer.lr=0.1", "x=1"], "b": ["optimizer.lr=1", "x=1"]})
    {'a': {'lr': '0.1'}, 'b': {'lr': '1'}}
    >>> levels_of({"a": ["start_from='a run'"], "b": ["start_from=null"]})
    {'a': {'start_from': 'a run'}, 'b': {'start_from': 'null'}}

    Args:
        overrides: overrides of one run of each setting, by the setting's name.
    """
    given = {
        setting: dict(each.lstrip("+").split("=", 1) for each in own if "=" in each)
        for setting, own in overrides.items()
    }
    keys = dict.fromkeys(key for own in given.values() for key in own if key not in _NO_FACTORS)
    varied = [key for key in keys if len({own.get(key) for own in given.values()}) > 1]
    short = [key.rpartition(".")[2].rpartition("/")[2] for key in varied]
    names = {key: name if short.count(name) == 1 else key for key, name in zip(varied, short, strict=True)}
    return {
        setting: {names[key]: _unquoted(own.get(key, "default")) for key in varied}
        for setting, own in given.items()
    }


def _unquoted(level: str) -> str:
    """Return a level without the quotes around a path or a text."""
    quoted = len(level) > 1 and level[0] == level[-1] and level[0] in "'\""
    return level[1:-1] if quoted else level


@dataclass(frozen=True)
class Cell:
    """Cell of a table of two factors.

    Args:
        text: mean error of the setting, with its deviation over seeds.
        shade: place of the mean between the best (0) and the worst (1) setting, on a log scale; ``None`` for
            a setting without a result.
    """

    text: str
    shade: float | None


@dataclass(frozen=True)
class FactorTable:
    """Table of the mean errors of two factors.

    Args:
        down: factor of the rows.
        across: factor of the columns.
        columns: levels of the columns.
        rows: level of each row, and its cells.
    """

    down: str
    across: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]


def factor_table(results: Sequence[SettingResult], levels: Levels, measure: Measure) -> FactorTable | None:
    """Return the table of two factors; ``None`` unless the settings differ in two, each with two levels.

    Args:
        results: results of the settings.
        levels: levels of the factors.
        measure: error to show.
    """
    factors = _factors(levels)
    if len(factors) != 2:
        return None
    (down, rows), (across, columns) = factors.items()
    means = {each.setting: each.mean(measure.column) for each in results}
    known = [value for value in means.values() if 0 < value < math.inf]
    cells: dict[tuple[str, str], Cell] = {}
    for each in results:
        level = levels[each.setting]
        text = measure.shown(means[each.setting])
        if not math.isnan(each.deviation(measure.column)):
            text += f" ± {measure.shown(each.deviation(measure.column), 2)}"
        cells[level[down], level[across]] = Cell(text, _shade(means[each.setting], known))
    missing = Cell("–", None)
    return FactorTable(
        down,
        across,
        columns,
        [(row, [cells.get((row, column), missing) for column in columns]) for row in rows],
    )


def _shade(value: float, known: Sequence[float]) -> float | None:
    if not 0 < value < math.inf:
        return None
    low, high = math.log(min(known)), math.log(max(known))
    return 0.0 if high == low else (math.log(value) - low) / (high - low)


def _factors(levels: Levels) -> dict[str, list[str]]:
    """Return the levels of each factor, in the order of the settings."""
    names = dict.fromkeys(name for own in levels.values() for name in own)
    return {name: list(dict.fromkeys(own[name] for own in levels.values())) for name in names}


@dataclass(frozen=True)
class Effect:
    """Mean error of one level of a factor.

    Args:
        factor: name of the factor.
        level: its level.
        mean: mean error over the settings of the level.
        settings: number of these settings.
        difference: difference to the factor's best level; ``None`` for the best level itself.
    """

    factor: str
    level: str
    mean: float
    settings: int
    difference: Difference | None


def effects(results: Sequence[SettingResult], levels: Levels, found: Verdict | None) -> list[Effect]:
    """Return the effect of each level of each factor, in the order of the settings.

    The mean is over the settings of the other factors' levels that all levels of the factor have, so that
    levels are compared under the same conditions.

    Args:
        results: results of the settings.
        levels: levels of the factors.
        found: verdict on the settings, with their errors; without errors there are no effects.
    """
    factors = _factors(levels)
    if len(factors) < 2 or found is None or found.errors is None:
        return []
    finished = {each.setting for each in results} & found.errors.by_setting.keys()
    known: list[Effect] = []
    for factor, own in factors.items():
        members = _same_conditions(factor, own, {name: levels[name] for name in finished})
        if len(own) < 2 or not all(members.values()):
            continue
        differences = {each.setting: each for each in compare(found.errors, averages=members)}
        for level, names in members.items():
            mean = sum(found.errors.means[name] for name in names) / len(names)
            known.append(Effect(factor, level, mean, len(names), differences.get(level)))
    return known


def shown_effects(known: Sequence[Effect], found: Verdict | None) -> list[dict[str, str]]:
    """Return one row per effect for pages.

    Args:
        known: effects of the levels.
        found: verdict on the settings, see :func:`effects`.
    """
    if found is None:
        return []
    rows = []
    for each in known:
        row = {
            "factor": each.factor,
            "level": each.level,
            f"{found.measure.title}, mean": found.measure.shown(each.mean),
            "settings": str(each.settings),
            "difference to best": "best",
            "95 % interval": "–",
            "p": "–",
        }
        if each.difference is not None:
            row["difference to best"] = found.measure.shown(each.difference.contrast.value)
            if not found.doubt:
                row["95 % interval"] = interval_of(each.difference.contrast, found.measure)
                row["p"] = shown(each.difference.p, 2)
        rows.append(row)
    return rows


def effect_findings(known: Sequence[Effect], found: Verdict | None) -> list[str]:
    """Return a sentence per factor: its best level, and which levels are certainly worse.

    Args:
        known: effects of the levels.
        found: verdict on the settings, see :func:`effects`.
    """
    if found is None:
        return []
    sentences = []
    for factor in dict.fromkeys(each.factor for each in known):
        own = [each for each in known if each.factor == factor]
        best = next(each for each in own if each.difference is None)
        order = [f"{each.level} ({found.measure.shown(each.mean)})" for each in sorted(own, key=_mean)]
        over = counted(best.settings, "setting")
        text = f"{factor}, mean {found.measure.title} over {over} a level: {some_of(order, _NAMED)}"
        others = [each.difference for each in own if each.difference is not None and not found.doubt]
        worse = [each.setting for each in others if each.is_certain]
        unsure = [each.setting for each in others if not each.is_certain]
        if worse:
            text += f"; worse than {best.level}: {some_of(worse, _NAMED)}"
        if unsure:
            text += f"; not told apart from {best.level}: {some_of(unsure, _NAMED)}"
        sentences.append(f"{text}.")
    return sentences


def _mean(effect: Effect) -> float:
    return effect.mean


def _same_conditions(factor: str, own: Sequence[str], levels: Levels) -> dict[str, list[str]]:
    """Return the settings of each level whose other levels occur with every level of the factor."""
    by_place: dict[tuple[str, tuple[str, ...]], str] = {}
    for setting, given in levels.items():
        others = tuple(value for name, value in given.items() if name != factor)
        by_place[given[factor], others] = setting
    conditions = dict.fromkeys(others for _, others in by_place)
    complete = [others for others in conditions if all((level, others) in by_place for level in own)]
    members: dict[str, list[str]] = {level: [] for level in own}
    for level, others in product(own, complete):
        members[level].append(by_place[level, others])
    return members
