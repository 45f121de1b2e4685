"""Figure and table of the speed of a model's predictions, see :mod:`keypoints.benchmark.prediction_speed`."""

import numpy as np
from matplotlib.figure import Figure

from keypoints.benchmark.prediction_speed import PredictionSpeed
from keypoints.formatting import shown
from keypoints.reports.console import PlainConsole
from keypoints.reports.figures import new_figure
from keypoints.reports.terminal_table import Column, TerminalTable


def draw_prediction_speed(speed: PredictionSpeed) -> Figure:
    """Plot faces per second and milliseconds per face, by the size of the batch.

    Args:
        speed: measured speed of a model.
    """
    figure = new_figure(11, 3.6)
    left, right = figure.subplots(1, 2)
    rates = {_words(name): spread for name, spread in speed.faces_per_second.items()}
    medians = np.array([each.median for each in rates.values()])
    spread = [
        medians - [each.lowest for each in rates.values()],
        [each.highest for each in rates.values()] - medians,
    ]
    colours = ["tab:gray" if name == "cut_out" else "tab:blue" for name in speed.faces_per_second]
    bars = left.barh(list(rates), medians, xerr=spread, color=colours, ecolor="0.2", capsize=3)
    left.bar_label(bars, [shown(median) for median in medians.tolist()], padding=8)
    left.set_xscale("log")
    left.margins(x=0.25)
    left.set_xlabel("faces per second: median, lowest to highest")
    places = np.arange(len(rates))
    for offset, times, words, colour in (
        (-0.2, speed.wall_ms, "wall-clock time", "tab:blue"),
        (0.2, speed.processor_ms, "CPU time of all cores", "tab:orange"),
    ):
        times_ms = [each.median for each in times.values()]
        bars = right.barh(places + offset, times_ms, 0.4, label=words, color=colour)
        right.bar_label(bars, [shown(value) for value in times_ms], padding=3)
    right.set_yticks(places, list(rates))
    right.margins(x=0.2)
    right.set_xlabel("milliseconds per face, median")
    figure.legend(*right.get_legend_handles_labels(), loc="outside right upper", fontsize=9)
    for axes in (left, right):
        axes.invert_yaxis()
    figure.suptitle(_title(speed))
    return figure


def print_prediction_speed(speed: PredictionSpeed) -> None:
    """Print the numbers that :func:`draw_prediction_speed` plots.

    Args:
        speed: measured speed of a model.
    """
    numbers = ("faces per second", "lowest", "highest", "ms per face", "CPU ms")
    titles = [Column("faces cropped and predicted", text=True), *map(Column, numbers)]
    table = TerminalTable(titles, _title(speed))
    for name, rate in speed.faces_per_second.items():
        times = (speed.wall_ms[name].median, speed.processor_ms[name].median)
        rates = (rate.median, rate.lowest, rate.highest)
        table.add([_words(name), *map(shown, rates), *map(shown, times)])
    table.print(PlainConsole())


def _title(speed: PredictionSpeed) -> str:
    channels, height, width = speed.input
    kind = "grey" if channels == 1 else "RGB"
    return f"{speed.name}: {width} × {height}, {kind}, {speed.runtime}"


def _words(name: str) -> str:
    return "cropping alone" if name == "cut_out" else f"in batches of {name}"
