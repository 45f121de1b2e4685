import pytest
from rich.text import Text

from keypoints.reports.console import PlainConsole
from keypoints.reports.terminal_table import Column, TerminalTable

NAME = "kernel-sizes-10-7-5--lr-0.001--seed-0"


@pytest.fixture
def printed(capsys, monkeypatch):
    """Return a function that prints a table of a run and returns its lines that are not empty."""

    def lines(width, *, terminal=True, name=NAME):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("TTY_COMPATIBLE", "1" if terminal else "0")
        titles = [Column("run", text=True), Column("best MSE"), Column("epoch", spare=1)]
        table = TerminalTable([*titles, Column("MAE px", spare=2), Column("status", text=True)])
        table.add([name, "4.3e+18", "12", "28.3", "predicts the mean face"])
        console = PlainConsole()
        console.no_color = True
        table.print(console)
        out = [Text.from_ansi(line).plain.rstrip() for line in capsys.readouterr().out.splitlines()]
        return [line for line in out if line]

    return lines


def test_a_pipe_gets_one_line_per_row(printed):
    row = f"{NAME} 4.3e+18 12 28.3 predicts the mean face"
    assert printed(40, terminal=False)[-1].split() == row.split()


def test_a_name_is_broken_between_its_settings(printed):
    titles, _, *rows = printed(66)
    assert titles.split() == ["run", "best", "MSE", "epoch", "MAE", "px", "status"]
    assert [line[:30].strip() for line in rows] == ["kernel-sizes-10-7-5--", "lr-0.001--seed-0", ""]


def test_a_narrow_terminal_leaves_spare_columns_out_and_names_them(printed):
    assert printed(55)[-1] == "left out in this width: MAE px"
    lines = printed(45)
    assert lines[-1] == "left out in this width: MAE px, epoch"
    assert max(map(len, lines)) <= 45
    assert "".join(line[:23].strip() for line in lines[2:-1]) == NAME


def test_nothing_is_cut_where_even_that_is_too_wide(printed):
    text = "".join(printed(20))
    assert all(part in text for part in ("kernel-sizes-10-7-5--", "4.3e+18", "predicts", "mean", "status"))
    assert "…" not in text


def test_a_very_long_word_is_continued(printed):
    lines = printed(60, name="x" * 60)
    assert sum(line.count("x") for line in lines[2:-1]) == 60
    assert max(map(len, lines)) <= 60
