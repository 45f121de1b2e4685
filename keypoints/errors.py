"""Errors that are the user's to mend: one line that names the file or the value, and the way out.

The command line prints them without a traceback and exits with a non-zero status. Anything else
that is raised is a fault of the program and keeps its traceback.
"""

from collections.abc import Sequence


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


def one_line(error: object) -> str:
    """The message of ``error`` on one line, or its type's name where it has none.

    Of an error that a DataLoader's worker met, the message alone and not the worker's traceback.
    """
    text = str(error)
    if "Original Traceback" in text:
        text = text.strip().splitlines()[-1].partition(": ")[2]
    return " ".join(text.split()) or type(error).__name__
