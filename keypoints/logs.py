"""Log messages that hold names from outside."""

import logging
from pathlib import Path

from keypoints.errors import printable, shortened

_MOST = 4096
"""Characters of a value in a message: a path of the longest that a system takes is kept whole."""


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
