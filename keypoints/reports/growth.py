"""Figure of the growth of cost, see :mod:`keypoints.benchmark.growth`.

``python -m keypoints.reports.growth <table of a measurement> <figure>``
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keypoints.benchmark.growth import POINTS, ROWS, RUNS, Cost, read_costs
from keypoints.reports.figures import new_figure, save

_TITLES = {
    ROWS: "start of a training, by rows of the list",
    POINTS: "start of a training, by points of a face",
    RUNS: "report of a sweep, by runs",
}
"""Titles of the rows of panels."""
_SECONDS = {
    "first_s": "first step, by the clock",
    "first_processor_s": "first step, processor",
    "seconds": "command, by the clock",
    "processor_s": "command, processor",
}
_MEGABYTES = {
    "first_mb": "memory until the first step",
    "memory_mb": "memory of the command",
    "written_mb": "file: checkpoint or page",
}
"""Plotted fields, and their names in the legend."""


def draw_growth(costs: Sequence[Cost]) -> Figure:
    """Plot seconds and megabytes over the size of the cases, with a line of proportional growth.

    Args:
        costs: costs; kinds without a size are left out, and wrong rows.
    """
    kinds = [kind for kind in _TITLES if any(cost.kind == kind for cost in costs)]
    figure = new_figure(11, 0.6 + 3.2 * max(len(kinds), 1))
    panels = figure.subplots(max(len(kinds), 1), 2, squeeze=False)
    for kind, (seconds, megabytes) in zip(kinds, panels, strict=False):
        rows = sorted((cost for cost in costs if cost.kind == kind), key=lambda cost: cost.size)
        _draw(seconds, rows, _SECONDS, "seconds")
        _draw(megabytes, rows, _MEGABYTES, "megabytes")
        seconds.set_title(_TITLES[kind], fontsize=10, loc="left")
        for axes in (seconds, megabytes):
            axes.set_xlabel(kind)
    return figure


def _draw(axes: Axes, rows: Sequence[Cost], fields: dict[str, str], unit: str) -> None:
    """Plot fields of costs, and the straight line of growth in proportion through the largest value."""
    highest = (0, 0.0)
    for field, label in fields.items():
        known = [(cost.size, getattr(cost, field)) for cost in rows]
        known = [(size, value) for size, value in known if math.isfinite(value) and value > 0]
        if not known:
            continue
        axes.plot(*zip(*known, strict=True), marker="o", markersize=4, label=label)
        highest = max(highest, known[-1], key=lambda place: place[1])
    size, value = highest
    if size:
        sizes = [cost.size for cost in rows]
        axes.plot(
            sizes,
            [value * each / size for each in sizes],
            linestyle="--",
            color="0.6",
            label="in proportion",
            zorder=0,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylabel(unit)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)


if __name__ == "__main__":
    save(draw_growth(read_costs(Path(sys.argv[1]))), Path(sys.argv[2]))
