"""Figure and table of the speed of a folder's prediction, see :mod:`keypoints.benchmark.folder_speed`."""

from matplotlib.figure import Figure

from keypoints.benchmark.folder_speed import WHOLE, FolderSpeed
from keypoints.formatting import counted, shown
from keypoints.reports.console import PlainConsole
from keypoints.reports.speed_bars import draw_speed_bars
from keypoints.reports.terminal_table import Column, TerminalTable

STAGES = {
    "decode": "decoding alone",
    "detect": "detecting and cropping alone",
    "network": "the network alone",
    "draw": "drawing and writing alone",
    "table": "rows of the table alone",
    WHOLE: "the whole",
}
"""Descriptions of the stages."""


def draw_folder_speed(speed: FolderSpeed) -> Figure:
    """Plot photos per second and milliseconds per photo, of each stage alone and of the whole.

    Args:
        speed: measured speed of a folder.
    """
    rates = speed.photos_per_second
    return draw_speed_bars(
        rates,
        speed.wall_ms,
        speed.processor_ms,
        thing="photo",
        title=_title(speed),
        words=STAGES.__getitem__,
        grey=[key for key in rates if key != WHOLE],
    )


def print_folder_speed(speed: FolderSpeed) -> None:
    """Print the numbers that :func:`draw_folder_speed` plots, the ratios and the memory.

    Args:
        speed: measured speed of a folder.
    """
    numbers = ("photos per second", "lowest", "highest", "ms per photo", "CPU ms")
    titles = [Column(f"in {counted(speed.threads, 'thread')}", text=True), *map(Column, numbers)]
    table = TerminalTable(titles, _title(speed))
    for key, rate in speed.photos_per_second.items():
        times = (speed.wall_ms[key].median, speed.processor_ms[key].median)
        table.add([STAGES[key], *map(shown, (rate.median, rate.lowest, rate.highest)), *map(shown, times)])
    console = PlainConsole()
    table.print(console)
    ratios = [100 * speed.ratio[key].median for key in ("to_bound", "to_slowest_stage")]
    console.print(
        "the whole reaches {:.0f} % of the speed that the cores allow, and {:.0f} % of the speed of its "
        "slowest stage alone".format(*ratios),
        highlight=False,
        soft_wrap=True,
    )
    memory = ", ".join(f"{when} {shown(megabytes)} MB" for when, megabytes in speed.memory_mb.items())
    console.print(f"memory: {memory}", highlight=False, soft_wrap=True)


def _title(speed: FolderSpeed) -> str:
    found = "" if speed.detector is None else f", faces by {speed.detector}"
    photos = f"{counted(speed.photos, 'photo')} of {shown(speed.megapixels, 2)} megapixels"
    return f"{speed.name}: {photos}, {counted(speed.faces, 'face')}{found}, {speed.runtime}"
