"""Figure and table of the speed of a model's predictions, see :mod:`keypoints.benchmark.prediction_speed`."""

from matplotlib.figure import Figure

from keypoints.benchmark.prediction_speed import PredictionSpeed
from keypoints.formatting import shown
from keypoints.reports.console import PlainConsole
from keypoints.reports.speed_bars import draw_speed_bars
from keypoints.reports.terminal_table import Column, TerminalTable


def draw_prediction_speed(speed: PredictionSpeed) -> Figure:
    """Plot faces per second and milliseconds per face, by the size of the batch.

    Args:
        speed: measured speed of a model.
    """
    return draw_speed_bars(
        speed.faces_per_second,
        speed.wall_ms,
        speed.processor_ms,
        thing="face",
        title=_title(speed),
        words=_words,
        grey=("cut_out",),
    )


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
