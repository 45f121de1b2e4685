"""Figure of an annotation's bias, see :mod:`keypoints.benchmark.annotation_bias`.

``python -m keypoints.reports.annotation_bias <table> <figure>``
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from keypoints.geometry import FloatArray
from keypoints.reports.figures import new_figure, save
from keypoints.schemes import IBUG68
from keypoints.synthetic.portrait import Head, Person, Pose

_TIMES = 10
"""Factor by which the arrows are enlarged."""


def draw_bias(bias: FloatArray) -> Figure:
    """Draw the bias of each landmark as an arrow on a face, ten times as long.

    Args:
        bias: (68, 2) in units of the eye distance, to the right and down.
    """
    face = Head(Person.draw(np.random.default_rng(0)), Pose((0, 0), 60)).ibug68()
    left, right = face[list(IBUG68.eye_line or ())]
    arrows = bias * np.linalg.norm(right - left) * _TIMES
    figure = new_figure(5.5, 5.5)
    axes = figure.subplots()
    for start, end in IBUG68.skeleton:
        axes.plot(*face[[start, end]].T, color="0.75", linewidth=1, zorder=1)
    axes.quiver(
        *face.T, *arrows.T, angles="xy", scale_units="xy", scale=1, width=0.004, color="tab:red", zorder=2
    )
    axes.update_datalim(face + arrows)  # a quiver counts only the arrows' starts
    axes.autoscale_view()
    axes.set_title(f"from the predicted to the labelled points, mean, {_TIMES} times as long", fontsize=10)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_axis_off()
    return figure


if __name__ == "__main__":
    table = pd.read_csv(sys.argv[1])
    save(draw_bias(table[["right_percent", "down_percent"]].to_numpy() / 100), Path(sys.argv[2]))
