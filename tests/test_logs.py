import logging
import sys
from pathlib import Path

import pytest

from keypoints.logs import PlainRecord, log_in_files, log_start


@pytest.fixture
def said(tmp_path):
    """Function that logs a warning and returns the contents of the log file."""
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
def test_control_characters_in_values_are_escaped(said, value, shown):
    assert said("left out: %s", value) == f"left out: {shown}\n"


def test_a_message_keeps_its_own_lines(said):
    assert said("two\nlines\x1b %d") == "two\nlines\\x1b %d\n"


def test_values_by_name_are_escaped_too(said):
    assert said("%(name)s", {"name": "\x07"}) == "\\x07\n"


def test_a_very_long_value_is_shortened(said):
    assert len(said("%s", "x" * 10**6)) < 5000


def test_the_values_of_a_record_stay_unchanged():
    record = PlainRecord("name", logging.INFO, "path", 1, "%s", ("\x07",), None)
    assert record.getMessage() == r"\x07"
    assert record.args == ("\x07",)


def test_a_message_for_files_is_in_no_terminal(tmp_path, caplog):
    root, log = logging.getLogger(), logging.getLogger("keypoints.tests.logs")
    handler = logging.FileHandler(tmp_path / "train.log")
    root.addHandler(handler)
    try:
        log_in_files(log, "epoch %d", 3)
        log_in_files(log, "%s", "failed", level=logging.ERROR, error=ValueError("cause"))
    finally:
        root.removeHandler(handler)
        handler.close()
    assert (tmp_path / "train.log").read_text() == "epoch 3\nfailed\nValueError: cause\n"
    assert caplog.records == []


@pytest.mark.parametrize(
    ("slow", "loaded", "waits"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_the_first_line_says_if_libraries_are_loaded(caplog, monkeypatch, slow, loaded, waits):
    if loaded:
        monkeypatch.setitem(sys.modules, "torch", object())
    else:
        monkeypatch.delitem(sys.modules, "torch", raising=False)
    with caplog.at_level(logging.INFO):
        log_start(logging.getLogger("keypoints.tests.logs"), "training imm", slow=slow)
    assert caplog.messages == ["training imm" + waits * "; loading the libraries takes some seconds"]
