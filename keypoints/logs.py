"""Log messages that contain external names, such as file names."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from keypoints.errors import printable, shortened

_MOST = 4096
"""Largest number of characters of a value in a message; the longest possible path is not cut."""


_SHOWN = 5
"""Number of lines that are logged one by one."""


def log_some(log: logging.Logger, what: str, lines: Sequence[str], most: int = _SHOWN) -> None:
    """Log the first lines as warnings, and the number of the others.

    Args:
        log: logger of the module that warns.
        what: text before each line.
        lines: lines to log.
        most: largest number of lines to log one by one.
    """
    for line in lines[:most]:
        log.warning("%s: %s", what, line)
    if len(lines) > most:
        log.warning("%s: %d more", what, len(lines) - most)


def log_start(log: logging.Logger, what: str, *, slow: bool = True) -> None:
    """Log that a command starts, because the import of its libraries takes seconds.

    Args:
        log: logger of the module that starts the command.
        what: the work, beginning with a participle: "training imm in outputs/imm".
        slow: whether the import takes seconds, unless the libraries are imported already.
    """
    wait = slow and "torch" not in sys.modules
    log.info("%s%s", what, "; loading the libraries takes some seconds" if wait else "")


def log_in_files(
    log: logging.Logger,
    message: str,
    *args: object,
    level: int = logging.INFO,
    error: BaseException | None = None,
) -> None:
    """Log a message in log files only, because the terminal shows it in another form.

    Args:
        log: logger of the module that has the message.
        message: message, with a placeholder for each argument.
        args: the message's arguments.
        level: level of the message.
        error: error whose traceback follows the message.
    """
    trace = None if error is None else (type(error), error, error.__traceback__)
    record = log.makeRecord(log.name, level, "", 0, message, args, trace)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler) and record.levelno >= handler.level:
            handler.handle(record)


class PlainRecord(logging.LogRecord):
    """Log record whose message has no control characters, and whose values start no new line.

    The command line installs it for every logger, for the terminal and the log file:
    ``logging.setLogRecordFactory(PlainRecord)``.
    """

    def getMessage(self) -> str:  # noqa: N802 - logging's name
        """Return the message with its values, escaped as by :func:`keypoints.errors.printable`."""
        args = self.args
        if isinstance(args, tuple):
            self.args = tuple(map(_plain, args))
        elif args is not None:
            self.args = {key: _plain(value) for key, value in args.items()}
        try:
            return printable(super().getMessage(), lines=True)
        finally:
            self.args = args


def _plain(value: object) -> object:
    """Return text, paths and errors as text without control characters, other values unchanged."""
    if isinstance(value, str | Path | BaseException):
        return printable(shortened(str(value), _MOST))
    return value
