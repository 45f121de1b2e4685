"""Figure of compared detectors, see :mod:`keypoints.benchmark.detection`.

``python -m keypoints.reports.detection <table of a measurement> <figure>``
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from keypoints.benchmark.detection import Count, read_counts
from keypoints.reports.figures import new_figure, save


def draw_detection(counts: Sequence[Count]) -> Figure:
    """Plot the share of found faces for each set of pictures and detector.

    Args:
        counts: results of one or more detectors; sets without known faces are left out.
    """
    shown = [row for row in counts if row.faces]
    names = list(dict.fromkeys(_name(row) for row in shown))
    detectors = list(dict.fromkeys(row.detector for row in shown))
    figure = new_figure(9, 0.5 + 0.42 * len(names))
    axes = figure.subplots()
    height = 0.8 / max(len(detectors), 1)
    for number, detector in enumerate(detectors):
        rows = [row for row in shown if row.detector == detector]
        places = [names.index(_name(row)) + (number - (len(detectors) - 1) / 2) * height for row in rows]
        shares = [100 * row.found / row.faces for row in rows]
        bars = axes.barh(places, shares, height, label=detector)
        axes.bar_label(bars, [f"{share:.1f}" for share in shares], padding=3, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlim(0, 108)
    axes.invert_yaxis()
    axes.set_xlabel("found faces, in % of the known ones; without a bar: not measured")
    figure.legend(loc="outside upper right", ncols=len(detectors), fontsize=9)
    return figure


def _name(row: Count) -> str:
    return f"{row.pictures}{', with quarter turns' if row.turns else ''}"


if __name__ == "__main__":
    save(draw_detection(read_counts(Path(sys.argv[1]))), Path(sys.argv[2]))
