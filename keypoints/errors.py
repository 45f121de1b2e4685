"""Errors that the user can fix: a one-line message that names the file or the value, and what to do.

The command line prints them without a traceback and exits with a non-zero status. Any other error is a bug of
the program and keeps its traceback.
"""

import re
from collections.abc import Sequence

_MOST_SHOWN = 300
"""Largest number of characters in a message: four lines of a terminal."""

_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"  # control characters, line ends, halves of characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"  # marks that change the direction of the text
)
_UNPRINTABLE_OF_LINES = re.compile(_UNPRINTABLE.pattern.replace("[\x00-\x1f", "[\x00-\x08\x0b-\x1f"))


class KeypointsError(Exception):
    """Error that the user can fix; the message is one line."""


class ConfigError(KeypointsError):
    """Error for an invalid value in the configuration."""


class DataError(KeypointsError):
    """Error for a file or folder that is missing or has unexpected contents."""


class CheckpointError(KeypointsError):
    """Error for a checkpoint that cannot be used."""


class TrainingError(KeypointsError):
    """Error for a training that cannot continue with its configuration."""


def some_of(names: Sequence[str], most: int) -> str:
    """Return the first ``most`` names, and the number of the others, as text.

    >>> some_of(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def printable(text: str, *, lines: bool = False) -> str:
    r"""Return an external text without characters that control a terminal or change the text's direction.

    A byte that is not Unicode text, which a file name may contain, is shown as an escape too.

    Args:
        text: text such as a file name.
        lines: keep line ends and tabs.

    Returns:
        The text with an escape, such as ``\x1b``, for each control character, surrogate and direction mark.

    >>> print(printable("a\x1b[31m\n.jpg"))
    a\x1b[31m\x0a.jpg
    """
    return (_UNPRINTABLE_OF_LINES if lines else _UNPRINTABLE).sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # Python's surrogate for an undecodable byte
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shortened(text: str, most: int = _MOST_SHOWN) -> str:
    """Return a text of at most ``most`` characters: a longer text is cut in the middle.

    >>> shortened("a name without end.jpg", 15)
    'a name … nd.jpg'
    """
    if len(text) <= most:
        return text
    kept = most - 3
    return f"{text[: kept - kept // 2]} … {text[len(text) - kept // 2 :]}"


def one_line(error: object) -> str:
    """Return the message of an error on one line of at most 300 characters; its type's name if it has none.

    Control characters are escaped, see :func:`printable`. For an error in a DataLoader's worker, the worker's
    traceback is left out.
    """
    text = str(error)
    if "Original Traceback" in text:
        text = text.strip().splitlines()[-1].partition(": ")[2]
    return shortened(printable(" ".join(text.split()))) or type(error).__name__
