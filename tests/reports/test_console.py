import pytest
from rich.table import Table

from keypoints.reports.console import PlainConsole

NAMES = ["[red]a[/red].jpg", "[/]", "[link=http://x]b", ":smile:.jpg", "a$b{.jpg", "[bold"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_printed_literally(capsys, name):
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name, style="red")
    PlainConsole().print(table)
    PlainConsole().print(name)
    PlainConsole(stderr=True).print(name, style="red", highlight=False)
    said = capsys.readouterr()
    assert said.out.count(name) == 4
    assert said.err == f"{name}\n"


def test_control_characters_of_a_name_are_escaped(capsys):
    table = Table("file")
    table.add_row("a\x1b]0;title\x07\u202egpj.exe")
    PlainConsole().print(table)
    PlainConsole().print("half \udc80\x9b2J")
    said = capsys.readouterr().out
    assert r"a\x1b]0;title\x07\u202egpj.exe" in said
    assert r"half \x80\x9b2J" in said
