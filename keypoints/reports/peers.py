"""Figure of our speed beside peers, see :mod:`keypoints.benchmark.peers`.

``python -m keypoints.reports.peers <results> <figure>``
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keypoints.benchmark.peer_prediction import BOX, NETWORK, PHOTO, SMALL
from keypoints.benchmark.peers import EPOCH, OURS, STEPS, Row, read_rows
from keypoints.formatting import counted, shown
from keypoints.reports.figures import new_figure, save

_TITLES = {
    BOX: "points of a face whose box is given",
    PHOTO: "detection and points in a whole photo",
}
"""Titles of the parts of a prediction."""

_WITHIN = {
    NETWORK: (BOX, "network alone"),
    SMALL: (PHOTO, "not doubled"),
    STEPS: (EPOCH, "steps alone"),
}
"""Parts that are shown among the bars of another part, and what is added to the names of their ways."""


def draw_peers(results: Mapping[str, Sequence[Row]]) -> Figure:
    """Plot elapsed time and processor time of each way, a panel for each work, part and number of threads.

    Args:
        results: rows of each task, not empty.
    """
    rows = [row for of_task in results.values() for row in of_task]
    works = list(dict.fromkeys((row.work, _part(row)) for row in rows))
    threads = sorted({row.threads for row in rows})
    figure = new_figure(6 * len(threads), 0.6 + 1.5 * len(works))
    axes = figure.subplots(len(works), len(threads), squeeze=False)
    for line, work in enumerate(works):
        for column, number in enumerate(threads):
            shown_here = [row for row in rows if (row.work, _part(row), row.threads) == (*work, number)]
            if shown_here:
                _draw_panel(axes[line, column], shown_here)
            else:
                axes[line, column].set_visible(False)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2, fontsize=9)
    return figure


def _part(row: Row) -> str:
    return _WITHIN.get(row.part, (row.part, ""))[0]


def _name(row: Row) -> str:
    return f"{row.way}, {_WITHIN[row.part][1]}" if row.part in _WITHIN else row.way


def _draw_panel(axes: Axes, rows: Sequence[Row]) -> None:
    for offset, kind, label in (
        (-0.2, "wall", "wall-clock time"),
        (0.2, "processor", "CPU time of all cores"),
    ):
        spreads = [getattr(row, kind) for row in rows]
        medians = [spread.median for spread in spreads]
        reach = [
            [spread.median - spread.lowest for spread in spreads],
            [spread.highest - spread.median for spread in spreads],
        ]
        places = [place + offset for place in range(len(rows))]
        colours = ["tab:blue" if row.way == OURS else "tab:gray" for row in rows]
        bars = axes.barh(
            places,
            medians,
            0.4,
            xerr=reach,
            color=colours,
            ecolor="0.2",
            capsize=2,
            alpha=1.0 if kind == "wall" else 0.5,
            label=label,
        )
        axes.bar_label(bars, [shown(value) for value in medians], padding=6, fontsize=7)
    first = rows[0]
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    what = _TITLES.get(_part(first)) or f"{first.work}: {_part(first)}"
    threads = counted(first.threads, "thread")
    axes.set_title(f"{what}, {threads}", fontsize=9)
    axes.set_xlabel(f"{first.unit}, median; lowest to highest", fontsize=8)


if __name__ == "__main__":
    save(draw_peers(read_rows(Path(sys.argv[1]))), Path(sys.argv[2]))
