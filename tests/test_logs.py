import logging
from pathlib import Path

import pytest

from keypoints.logs import PlainRecord


@pytest.fixture
def said(tmp_path):
    """What a logger writes to a file, once the command line has installed the records."""
    before, log = logging.getLogRecordFactory(), logging.getLogger("keypoints.tests.logs")
    handler = logging.FileHandler(tmp_path / "log", encoding="utf-8")
    log.addHandler(handler)
    logging.setLogRecordFactory(PlainRecord)

    def of(message, *args):
        log.warning(message, *args)
        return (tmp_path / "log").read_text()

    yield of
    logging.setLogRecordFactory(before)
    log.removeHandler(handler)
    handler.close()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\x1b[31m.jpg", r"a\x1b[31m.jpg"),
        (Path("a\nerror: forged"), r"a\x0aerror: forged"),
        (ValueError("\u202egpj.exe"), r"\u202egpj.exe"),
        ("half \udc80", r"half \x80"),
        (5, "5"),
        ("ø [red] %s", "ø [red] %s"),
    ],
    ids=ascii,
)
def test_values_command_no_terminal_and_begin_no_line(said, value, shown):
    assert said("left out: %s", value) == f"left out: {shown}\n"


def test_a_message_keeps_its_own_lines(said):
    assert said("two\nlines\x1b %d") == "two\nlines\\x1b %d\n"


def test_values_by_name_are_treated_alike(said):
    assert said("%(name)s", {"name": "\x07"}) == "\\x07\n"


def test_a_value_without_end_is_shortened(said):
    assert len(said("%s", "x" * 10**6)) < 5000


def test_the_records_own_values_stay_as_they_are():
    record = PlainRecord("name", logging.INFO, "path", 1, "%s", ("\x07",), None)
    assert record.getMessage() == r"\x07"
    assert record.args == ("\x07",)
