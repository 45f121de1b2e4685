"""Figure and table of the speed of a training, see :mod:`keypoints.benchmark.training_speed`."""

from collections import Counter

import numpy as np
from matplotlib.figure import Figure

from keypoints.benchmark.training_speed import TrainingSpeed
from keypoints.formatting import shown
from keypoints.reports.console import PlainConsole
from keypoints.reports.figures import new_figure
from keypoints.reports.terminal_table import Column, TerminalTable

SPEEDS = {
    "loader": "the loader alone",
    "step": "the step alone",
    "trainer": "the full Trainer",
    "course_loader": "the course's loader",
    "course_loop": "the course's loop",
    "trainer_to_slower_part": "the Trainer over its slower part",
    "loader_to_course_loader": "the loader over the course's",
}
"""Descriptions of the results of :func:`keypoints.benchmark.training_speed.measure_training`."""


def draw_training_speed(speed: TrainingSpeed) -> Figure:
    """Plot images per second of each part, and how the time of an epoch is spent.

    Args:
        speed: measured speed of a training.
    """
    figure = new_figure(12, 4.2)
    left, right = figure.subplots(1, 2)
    rates = speed.images_per_second
    names = [SPEEDS[name] for name in rates]
    medians = np.array([each.median for each in rates.values()])
    spread = [
        medians - [each.lowest for each in rates.values()],
        [each.highest for each in rates.values()] - medians,
    ]
    colours = ["tab:gray" if name.startswith("course") else "tab:blue" for name in rates]
    bars = left.barh(names, medians, xerr=spread, color=colours, ecolor="0.2", capsize=3)
    left.bar_label(bars, [shown(median) for median in medians.tolist()], padding=8)
    left.set_xscale("log")
    left.margins(x=0.25)
    left.set_xlabel("images per second: median, lowest to highest")
    shares = Counter({kind: ms * speed.steps_an_epoch for kind, ms in speed.step_ms.items()})
    shares.update(speed.epoch_ms)
    parts = [(kind, 100 * ms / shares.total()) for kind, ms in shares.most_common(10)]
    bars = right.barh([kind for kind, _ in parts], [share for _, share in parts], color="tab:orange")
    right.bar_label(bars, fmt="%.1f %%", padding=3)
    right.margins(x=0.15)
    right.set_xlabel("share of an epoch's time without validation, %")
    for axes in (left, right):
        axes.invert_yaxis()
    ratio = 100 * speed.ratio["trainer_to_slower_part"].median
    figure.suptitle(f"{speed.name}: the full Trainer reaches {ratio:.0f} % of its slower part's speed")
    return figure


def print_training_speed(speed: TrainingSpeed) -> None:
    """Print images per second of each part, the ratios, and how the time is spent.

    Args:
        speed: measured speed of a training.
    """
    titles = [Column("part", text=True), *map(Column, ("median", "lowest", "highest"))]
    table = TerminalTable(titles, f"{speed.name}: images per second")
    last = list(speed.images_per_second)[-1:]
    for name, values in {**speed.images_per_second, **speed.ratio}.items():
        numbers = map(shown, (values.median, values.lowest, values.highest))
        table.add([SPEEDS[name], *numbers], ends_section=name in last)
    console = PlainConsole()
    table.print(console)
    for kind, rate in speed.one_core.items():
        console.print(
            f"one core prepares {shown(rate)} faces per second, {kind}", highlight=False, soft_wrap=True
        )
    for title, times in (("each step", speed.step_ms), ("once per epoch", speed.epoch_ms)):
        listed = ", ".join(
            f"{kind} {shown(ms, 2)}" for kind, ms in times.items() if ms >= sum(times.values()) / 200
        )
        console.print(f"{title}, ms: {listed}", highlight=False, soft_wrap=True)
    memory = ", ".join(f"{kind} {shown(megabytes)} MB" for kind, megabytes in speed.memory_mb.items())
    console.print(f"highest memory use: {memory}", highlight=False, soft_wrap=True)
