"""How fast a model predicts, as :mod:`keypoints.benchmark.prediction_speed` found: a figure and a table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich import box
from rich.table import Table

from keypoints.formatting import shown
from keypoints.reports.console import PlainConsole
from keypoints.reports.figures import new_figure


def draw_speed(result: Mapping[str, Any]) -> Figure:
    """Faces a second, and what a face takes, by the size of the batch."""
    figure = new_figure(11, 3.6)
    left, right = figure.subplots(1, 2)
    rates = {_words(name): spread for name, spread in result["faces_per_second"].items()}
    medians = np.array([each["median"] for each in rates.values()])
    spread = [
        medians - [each["lowest"] for each in rates.values()],
        [each["highest"] for each in rates.values()] - medians,
    ]
    colours = ["tab:gray" if name == "cut_out" else "tab:blue" for name in result["faces_per_second"]]
    bars = left.barh(list(rates), medians, xerr=spread, color=colours, ecolor="0.2", capsize=3)
    left.bar_label(bars, [shown(median) for median in medians.tolist()], padding=8)
    left.set_xscale("log")
    left.margins(x=0.25)
    left.set_xlabel("faces a second: median, lowest to highest")
    places = np.arange(len(rates))
    for offset, key, words, colour in (
        (-0.2, "wall_ms", "by the clock", "tab:blue"),
        (0.2, "processor_ms", "of all cores together", "tab:orange"),
    ):
        found = [each["median"] for each in result[key].values()]
        bars = right.barh(places + offset, found, 0.4, label=words, color=colour)
        right.bar_label(bars, [shown(value) for value in found], padding=3)
    right.set_yticks(places, list(rates))
    right.margins(x=0.2)
    right.set_xlabel("milliseconds a face, median")
    figure.legend(*right.get_legend_handles_labels(), loc="outside right upper", fontsize=9)
    for axes in (left, right):
        axes.invert_yaxis()
    figure.suptitle(_title(result))
    return figure


def print_speed(result: Mapping[str, Any]) -> None:
    """Print what :func:`draw_speed` draws."""
    table = Table(title=_title(result), box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("faces cut out, predicted", no_wrap=True)
    for title in ("faces a second", "lowest", "highest", "ms a face", "processor ms"):
        table.add_column(title, justify="right")
    for name, rate in result["faces_per_second"].items():
        times = (result[key][name]["median"] for key in ("wall_ms", "processor_ms"))
        rates = (rate[key] for key in ("median", "lowest", "highest"))
        table.add_row(_words(name), *map(shown, rates), *map(shown, times))
    PlainConsole().print(table)


def _title(result: Mapping[str, Any]) -> str:
    channels, height, width = result["input"]
    kind = "grey" if channels == 1 else "RGB"
    return f"{result['name']}: {width} × {height}, {kind}, {result['runtime']}"


def _words(name: str) -> str:
    return "cut out alone" if name == "cut_out" else f"in batches of {name}"
