"""Figure of commands' times on idle cores and beside a busy process, see :mod:`keypoints.benchmark.busy`.

``python -m keypoints.reports.busy <table of a measurement> <figure>``
"""

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from keypoints.benchmark.busy import ACTIVE, BEFORE, OURS, Took, read_times
from keypoints.reports.figures import new_figure, save

_SHOWN = {OURS: ("keypoints", "C0"), BEFORE: ("earlier version", "C1"), ACTIVE: ("active waiting", "C1")}
"""Names and colours of the ways."""


def draw_busy(took: Sequence[Took]) -> Figure:
    """Plot the seconds of each command by way, idle and busy: a point for each round, a bar for the median.

    Args:
        took: times; each command has a panel.
    """
    names = list(dict.fromkeys(each.command for each in took))
    figure = new_figure(11, 3.4)
    for axes, name in zip(figure.subplots(1, max(len(names), 1), squeeze=False)[0], names, strict=False):
        rows = [each for each in took if each.command == name]
        ways = list(dict.fromkeys(sorted((each.way for each in rows), key=list(_SHOWN).index)))
        for place, way in enumerate(ways):
            label, colour = _SHOWN[way]
            for state in (False, True):
                walls = [each.wall_s for each in rows if each.way == way and bool(each.busy) == state]
                if not walls:
                    continue
                x = state + 0.4 * (place - (len(ways) - 1) / 2)
                axes.bar(x, statistics.median(walls), 0.36, color=colour, alpha=0.35)
                axes.scatter(
                    [x] * len(walls), walls, 14, color=colour, label=None if state else label, zorder=3
                )
        axes.set_title(name, fontsize=10)
        axes.set_xticks([0, 1], ["idle", "beside a\nbusy process"])
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", alpha=0.3)
    figure.axes[0].set_ylabel("seconds by the clock")
    figure.axes[0].legend(fontsize=8)
    return figure


if __name__ == "__main__":
    save(draw_busy(read_times(Path(sys.argv[1]))), Path(sys.argv[2]))
