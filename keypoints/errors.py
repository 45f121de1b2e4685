"""Errors that are the user's to mend: one line that names the file or the value, and the way out.

The command line prints them without a traceback and exits with a non-zero status. Anything else
that is raised is a fault of the program and keeps its traceback.
"""

import re
from collections.abc import Sequence

_MOST_SHOWN = 300
"""Characters of a message: four lines of a terminal."""

_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"  # control characters, line ends, halves of characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"  # what turns the direction of the text round
)
_UNPRINTABLE_OF_LINES = re.compile(_UNPRINTABLE.pattern.replace("[\x00-\x1f", "[\x00-\x08\x0b-\x1f"))


class KeypointsError(Exception):
    """What a user can mend; the message is one line."""


class ConfigError(KeypointsError):
    """A value in the configuration that cannot be used."""


class DataError(KeypointsError):
    """A file or folder that is missing or not what it should be."""


class CheckpointError(KeypointsError):
    """A checkpoint that cannot be used."""


class TrainingError(KeypointsError):
    """A training that cannot go on as it was configured."""


def some_of(names: Sequence[str], most: int) -> str:
    """The first ``most`` names, and how many more there are.

    >>> some_of(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def printable(text: str, *, lines: bool = False) -> str:
    r"""Return a text from outside without anything that would command a terminal or turn the text round.

    A byte that is no Unicode text, as a file's name may hold, is shown as such.

    Args:
        text: such as a file's name.
        lines: leave line ends and tabs as they are.

    Returns:
        The text with an escape, such as ``\x1b``, for each control character, half of a character, and mark
        of direction.

    >>> print(printable("a\x1b[31m\n.jpg"))
    a\x1b[31m\x0a.jpg
    """
    return (_UNPRINTABLE_OF_LINES if lines else _UNPRINTABLE).sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # Python's stand-in for a byte
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shortened(text: str, most: int = _MOST_SHOWN) -> str:
    """Return at most this many characters of a text: its beginning and its end, where it is longer.

    >>> shortened("a name without end.jpg", 15)
    'a name … nd.jpg'
    """
    if len(text) <= most:
        return text
    kept = most - 3
    return f"{text[: kept - kept // 2]} … {text[len(text) - kept // 2 :]}"


def one_line(error: object) -> str:
    """Return the message of ``error`` on one line, cut at 300 characters; without one, its type's name.

    Nothing in it commands the terminal: see :func:`printable`. Of an error that a DataLoader's worker met,
    it is the message alone and not the worker's traceback.
    """
    text = str(error)
    if "Original Traceback" in text:
        text = text.strip().splitlines()[-1].partition(": ")[2]
    return shortened(printable(" ".join(text.split()))) or type(error).__name__
