"""Log messages that contain external names, such as file names."""

import logging
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
