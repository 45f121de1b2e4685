"""Log messages that hold names from outside."""

import logging
from collections.abc import Sequence
from pathlib import Path

from keypoints.errors import printable, shortened

_MOST = 4096
"""Characters of a value in a message: a path of the longest that a system takes is kept whole."""


_SHOWN = 5
"""So many lines are told of one by one."""


def log_some(log: logging.Logger, what: str, lines: Sequence[str], most: int = _SHOWN) -> None:
    """Warn of some things, and say how many more there are.

    Args:
        log: of the module that warns.
        what: they are, in front of each.
        lines: one for each.
        most: so many of them are told of.
    """
    for line in lines[:most]:
        log.warning("%s: %s", what, line)
    if len(lines) > most:
        log.warning("%s: %d more", what, len(lines) - most)


class PlainRecord(logging.LogRecord):
    """Log record whose message commands no terminal, and whose values begin no new line.

    The command line installs it for every logger, in the terminal and in the log file:
    ``logging.setLogRecordFactory(PlainRecord)``.
    """

    def getMessage(self) -> str:  # noqa: N802 - logging's name
        """Return the message with its values, see :func:`keypoints.errors.printable`."""
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
    """Return text, paths and errors as text without control characters; other values as they are."""
    if isinstance(value, str | Path | BaseException):
        return printable(shortened(str(value), _MOST))
    return value
