"""Messages of libraries that say nothing about the user's work. Imports none of the libraries.

``import keypoints`` hides them for scripts and notebooks as well as for the command line. Warnings that may
ask for a change of the user's program stay visible.
"""

import logging
import re
import warnings

_HIDDEN = {
    "pytorch_lightning.utilities.rank_zero": r"💡|(GPU|TPU|HPU|IPU) available: ",
    "lightning_fabric.utilities.rank_zero": r"💡",
    "matplotlib.font_manager": "generated new fontManager",
    "hydra_plugins.hydra_joblib_launcher._core": r"Joblib\.Parallel\(",
    "optuna.storages._in_memory": "A new study created in memory",
}
"""Beginnings of hidden messages by logger: tips for other products, devices that a machine may lack, the
index of fonts, joblib's settings, and the random name of a search."""

_INSIDE_LIBRARIES = (r"`isinstance\(treespec, LeafSpec\)` is deprecated",)
"""Warnings about one library's use of another one, which the user cannot change."""


def hide_advertisements() -> None:
    """Hide tips for other products, lists of devices, and deprecations between libraries."""
    for name in _HIDDEN:
        logging.getLogger(name).addFilter(is_about_the_work)
    for message in _INSIDE_LIBRARIES:
        warnings.filterwarnings("ignore", message=message)


def is_about_the_work(record: logging.LogRecord) -> bool:
    """Return whether a message is no advertisement; a filter of loggers.

    Args:
        record: record of one of these loggers. Warnings and errors always pass.
    """
    return record.levelno >= logging.WARNING or not re.match(_HIDDEN[record.name], record.getMessage())
