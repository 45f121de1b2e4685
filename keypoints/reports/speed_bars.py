"""Bars of a speed: rates, and milliseconds by the clock and of the processor."""

from collections.abc import Callable, Collection, Mapping

import numpy as np
from matplotlib.figure import Figure

from keypoints.benchmark.spread import Spread
from keypoints.formatting import shown
from keypoints.reports.figures import new_figure


def draw_speed_bars(
    rates: Mapping[str, Spread],
    wall_ms: Mapping[str, Spread],
    processor_ms: Mapping[str, Spread],
    *,
    thing: str,
    title: str,
    words: Callable[[str], str],
    grey: Collection[str],
) -> Figure:
    """Plot things per second and milliseconds per thing, for each part that was measured.

    Args:
        rates: things per second, by part.
        wall_ms: elapsed milliseconds per thing, by part.
        processor_ms: milliseconds of processor time per thing, by part.
        thing: what is counted, such as ``"face"``.
        title: title of the figure.
        words: function that describes a part.
        grey: parts whose rates are grey, since they are only a part of the work.
    """
    figure = new_figure(11, 3.6)
    left, right = figure.subplots(1, 2)
    names = [words(part) for part in rates]
    medians = np.array([each.median for each in rates.values()])
    spread = [
        medians - [each.lowest for each in rates.values()],
        [each.highest for each in rates.values()] - medians,
    ]
    colours = ["tab:gray" if part in grey else "tab:blue" for part in rates]
    bars = left.barh(names, medians, xerr=spread, color=colours, ecolor="0.2", capsize=3)
    left.bar_label(bars, [shown(median) for median in medians.tolist()], padding=8)
    left.set_xscale("log")
    left.margins(x=0.35)
    left.set_xlabel(f"{thing}s per second: median, lowest to highest")
    places = np.arange(len(names))
    for offset, times, label, colour in (
        (-0.2, wall_ms, "wall-clock time", "tab:blue"),
        (0.2, processor_ms, "CPU time of all cores", "tab:orange"),
    ):
        times_ms = [each.median for each in times.values()]
        bars = right.barh(places + offset, times_ms, 0.4, label=label, color=colour)
        right.bar_label(bars, [shown(value) for value in times_ms], padding=3)
    right.set_yticks(places, names)
    right.margins(x=0.2)
    right.set_xlabel(f"milliseconds per {thing}, median")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=2, fontsize=9)
    for axes in (left, right):
        axes.invert_yaxis()
    figure.suptitle(title)
    return figure
