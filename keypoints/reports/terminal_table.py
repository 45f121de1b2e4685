"""Table for the terminal that cuts no text, however narrow the terminal is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from keypoints.errors import printable
from keypoints.reports.console import PlainConsole

_NARROWEST = 24
"""Columns of the terminal that a longer word gets at least; the word is then continued on the next line."""

_ANY_WIDTH = 10_000
"""Width in which no column is cut."""

_BREAKS = re.compile(r"(?<=--)|(?<=\s)")
"""Places for line breaks: between words, and between the settings in a run's name."""


@dataclass(frozen=True)
class Column:
    """Column of a :class:`TerminalTable`.

    Args:
        title: its title.
        text: align to the left and break lines; else numbers, which stay on one line, to the right.
        spare: 0 for a column that is always shown; others are left out of a narrow terminal, those with the
            largest number first.
    """

    title: str
    text: bool = False
    spare: int = 0


class _Row(NamedTuple):
    cells: Sequence[str | Text]
    style: str | None
    ends_section: bool


class TerminalTable:
    """Table whose rows are lines, as far as the terminal is wide enough.

    In a pipe or a file, each row is one line of any length. In a terminal, text is broken between words and
    between the settings in a run's name. If that is not enough, spare columns are left out, and named below
    the table.

    Args:
        columns: the columns.
        title: title above the table.
    """

    def __init__(self, columns: Sequence[Column], title: str | None = None) -> None:
        self._columns = list(columns)
        self._title = title
        self._rows: list[_Row] = []

    def add(
        self, cells: Sequence[str | Text], style: str | None = None, *, ends_section: bool = False
    ) -> None:
        """Add a row.

        Args:
            cells: a cell for each column.
            style: style of the row, as rich names it.
            ends_section: leave a line empty after the row.
        """
        self._rows.append(_Row(cells, style, ends_section))

    def print(self, console: PlainConsole) -> None:
        """Print the table.

        Args:
            console: console to print on.
        """
        shown = list(range(len(self._columns)))
        left_out: list[str] = []
        for place in self._spare() if console.is_terminal else ():
            if self._slack(console, shown) < 0:
                shown.remove(place)
                left_out.append(self._columns[place].title)
        slack = self._slack(console, shown) if console.is_terminal else None
        console.print(self._table(shown, self._widths(shown, slack)), crop=False)
        if left_out:
            console.print(f"left out in this width: {', '.join(left_out)}", style="dim", highlight=False)

    def _spare(self) -> list[int]:
        """Return the places of the columns that may be left out, the first one to be left out first."""
        places = [place for place, column in enumerate(self._columns) if column.spare]
        return sorted(places, key=lambda place: -self._columns[place].spare)

    def _slack(self, console: Console, shown: Sequence[int]) -> int:
        """Return how much wider the terminal is than the narrowest table of the shown columns."""
        wide = console.options.update(width=_ANY_WIDTH)
        table = self._table(shown, self._widths(shown, 0))
        return console.width - console.measure(table, options=wide).minimum

    def _widths(self, shown: Sequence[int], slack: int | None) -> list[int]:
        """Return the width of each shown column: its least width, and its part of the slack.

        rich itself may divide a terminal's width so that a word is cut.

        Args:
            shown: places of the columns.
            slack: width to give to columns that need it, the first ones first; ``None`` for any width.
        """
        widths = []
        for place in shown:
            column = self._columns[place]
            texts = [
                printable(str(each)) for each in (column.title, *(row.cells[place] for row in self._rows))
            ]
            most = max(map(cell_len, texts))
            least = max(map(_least, texts)) if column.text else most
            added = most - least if slack is None else min(max(slack, 0), most - least)
            slack = None if slack is None else slack - added
            widths.append(least + added)
        return widths

    def _table(self, shown: Sequence[int], widths: Sequence[int]) -> Table:
        table = Table(title=self._title, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for place, width in zip(shown, widths, strict=True):
            column = self._columns[place]
            table.add_column(
                column.title,
                justify="left" if column.text else "right",
                no_wrap=not column.text,
                min_width=width,
                max_width=width,
            )
        for row in self._rows:
            cells = [self._cell(place, row.cells[place]) for place in shown]
            table.add_row(*cells, style=row.style, end_section=row.ends_section)
        return table

    def _cell(self, place: int, cell: str | Text) -> "str | Text | _Broken":
        return _Broken(cell) if self._columns[place].text and isinstance(cell, str) else cell


class _Broken:
    """Text that is broken at :data:`_BREAKS` where a line is too narrow.

    Args:
        text: the text.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        longest = cell_len(console.render_str(self._text).plain)
        return Measurement(min(_least(self._text), options.max_width), min(longest, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [""]
        for piece in _BREAKS.split(console.render_str(self._text).plain):
            if cell_len(lines[-1] + piece.rstrip()) > options.max_width and lines[-1]:
                lines.append("")
            lines[-1] += piece
        yield Text("\n".join(line.rstrip() for line in lines), overflow="fold")


def _least(text: str) -> int:
    """Return the smallest number of columns of the terminal for a text."""
    return min(max(cell_len(piece.rstrip()) for piece in _BREAKS.split(text)), _NARROWEST)
