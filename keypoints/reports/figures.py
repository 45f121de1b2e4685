"""Basis of all figures: plain data in, matplotlib without a display, PNG files out."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from keypoints.errors import printable
from keypoints.files import replaced

_DPI = 100

Lines = Sequence[tuple[int, int]]

BASELINE = "mean-shape baseline"
"""Name of the baseline in tables and figures; it predicts the mean training face for every photo."""


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, atomically. Its texts are literal: a ``$`` in a name starts no formula."""
    _make_literal(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, format="png")
    return path


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of the given size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def _make_literal(figure: Figure) -> None:
    """Make all texts literal: without formulas, and with control characters escaped.

    Numbers at the axes are not changed, because powers of ten are formulas.
    """
    for text in _texts(figure):
        text.set_parse_math(False)
        text.set_text(printable(text.get_text(), lines=True))


def _texts(artist: Artist) -> Iterator[Text]:
    """Yield all texts of an artist without the numbers at axes, which do not exist before they are drawn."""
    if isinstance(artist, Axis):
        yield artist.label
        return
    if isinstance(artist, Text):
        yield artist
    for child in artist.get_children():
        yield from _texts(child)


def legend_label(name: str) -> str:
    """Return a name that a legend shows; matplotlib leaves out names that begin with ``_``."""
    return f" {name}" if name.startswith("_") else name
