"""Pictures, texts, hyper-parameters and final metrics, handed to each logger by its public methods.

The methods of a logger decide, not its class, since the package of a class may not be installed:

================== ====================================================== ==============================
what               method                                                 logger
================== ====================================================== ==============================
picture            ``log_image(key=, images=, step=)``                    ours, Weights & Biases, your own
..                 ``experiment.add_image(tag, picture, step, …)``        Lightning's for TensorBoard
..                 ``experiment.log_image(run_id, picture, key=, step=)`` MLflow
text               ``log_text(key=, columns=, data=)``                    ours, Weights & Biases, your own
..                 ``experiment.add_text(tag, text)``                     Lightning's for TensorBoard
..                 ``experiment.log_text(run_id, text, file)``            MLflow
charts             ``experiment.add_custom_scalars(charts)``              Lightning's for TensorBoard
hyper-parameters   ``log_hyperparams(values)``                            all others
..                 ``log_hyperparams(values, metrics)``, at the end       Lightning's for TensorBoard
final metrics      ``log_metrics(metrics, step)``                         all others
both               ``log_result(result)``, at the end                     ours for TensorBoard
================== ====================================================== ==============================

Ours is :class:`keypoints.TensorBoard`, Lightning's its ``TensorBoardLogger``, as in older configurations.

Only the first of several processes logs. A logger without a method for pictures gets none.
"""

import inspect
import logging
from collections.abc import Callable, Container, Mapping
from typing import Any
from weakref import WeakSet

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from keypoints.geometry import ByteArray
from keypoints.loggers.failures import attempt
from keypoints.loggers.result import Result, Values, preformatted
from keypoints.runs.metrics_table import MetricsTable

log = logging.getLogger(__name__)

Picture = Callable[[str, ByteArray, int], object]
"""Function that logs a picture: its name, (H, W, 3) RGB, number of optimizer steps so far."""

_told: "WeakSet[Logger]" = WeakSet()
"""Loggers about which was said that they get no pictures."""


def add_picture(trainer: pl.Trainer, name: str, picture: ByteArray, step: int) -> None:
    """Log a picture in each logger that has a method for it.

    Args:
        trainer: the trainer.
        name: name of the picture.
        picture: (H, W, 3) RGB.
        step: number of optimizer steps so far.
    """
    for logger in _loggers(trainer):
        with attempt(trainer, logger):
            write = picture_method(logger)
            if write is not None:
                write(name, picture, step)
            elif not isinstance(logger, MetricsTable) and logger not in _told:
                _told.add(logger)
                log.info("%s has no method for pictures, so it gets none", type(logger).__name__)


def picture_method(logger: Logger) -> Picture | None:
    """Return the function that logs a picture in a logger; ``None`` if it has no method for pictures."""
    if (own := _method(logger, "log_image")) is not None:
        return lambda name, picture, step: own(key=name, images=[picture], step=step)
    experiment = getattr(logger, "experiment", None)
    if (add := _method(experiment, "add_image")) is not None:
        return lambda name, picture, step: add(name, picture, step, dataformats="HWC")
    if (image := _method(experiment, "log_image")) is not None and (run := _run_id(logger)) is not None:
        return lambda name, picture, step: image(run, picture, key=name, step=step)
    return None


def add_text(trainer: pl.Trainer, name: str, text: str) -> None:
    """Log a text, shown verbatim, in each logger that has a method for it.

    Args:
        trainer: the trainer.
        name: name of the text.
        text: its lines.
    """
    for logger in _loggers(trainer):
        with attempt(trainer, logger):
            write = text_method(logger)
            if write is not None:
                write(name, text)


def text_method(logger: Logger) -> Callable[[str, str], object] | None:
    """Return the function that logs a name and its text; ``None`` if the logger has no method for texts."""
    if (own := _method(logger, "log_text")) is not None:
        return lambda name, text: own(key=name, columns=["text"], data=[[text]])
    experiment = getattr(logger, "experiment", None)
    if (add := _method(experiment, "add_text")) is not None:
        return lambda name, text: add(name, preformatted(text))
    if (write := _method(experiment, "log_text")) is not None and (run := _run_id(logger)) is not None:
        return lambda name, text: write(run, text, f"{name}.txt")
    return None


def add_charts(trainer: pl.Trainer, charts: Mapping[str, Any]) -> None:
    """Log the layout of charts that join several curves, where a logger has a method for it.

    Args:
        trainer: the trainer.
        charts: charts by category and title, as TensorBoard's ``add_custom_scalars`` takes them.
    """
    for logger in _loggers(trainer):
        with attempt(trainer, logger):
            add = _method(getattr(logger, "experiment", None), "add_custom_scalars")
            if add is not None and _method(logger, "log_result") is None:  # ours joins the curves itself
                add(charts)


def add_hyper_parameters(trainer: pl.Trainer, values: Values) -> None:
    """Log hyper-parameters at the start of a run, unless a logger takes them with the final metrics.

    Hyper-parameters in MLflow cannot change, so a resumed run logs only those that it did not log before.

    Args:
        trainer: the trainer.
        values: hyper-parameters by dotted name.
    """
    for logger in _loggers(trainer):
        if not _takes_metrics(logger) and _method(logger, "log_result") is None:
            with attempt(trainer, logger):
                known = _known(logger)
                logger.log_hyperparams({name: each for name, each in values.items() if name not in known})


def add_final_metrics(trainer: pl.Trainer, result: Result) -> None:
    """Log the final metrics of a run, with its hyper-parameters where a logger takes both together.

    Args:
        trainer: the trainer.
        result: hyper-parameters and final metrics.
    """
    for logger in _loggers(trainer):
        with attempt(trainer, logger):
            if (own := _method(logger, "log_result")) is not None:
                own(result)
            elif _takes_metrics(logger):
                logger.log_hyperparams(dict(result.values), dict(result.metrics))
            elif result.metrics:
                logger.log_metrics(dict(result.metrics), trainer.global_step)


def _loggers(trainer: pl.Trainer) -> list[Logger]:
    """Return the loggers of a trainer; none on processes other than the first."""
    return list(trainer.loggers) if trainer.is_global_zero else []


def _method(owner: object, name: str) -> Callable[..., Any] | None:
    found = getattr(owner, name, None)
    return found if callable(found) else None


def _run_id(logger: Logger) -> str | None:
    found = getattr(logger, "run_id", None)
    return found if isinstance(found, str) else None


def _known(logger: Logger) -> Container[str]:
    """Return the names of the hyper-parameters that MLflow's run has already; empty for other loggers."""
    get_run = _method(getattr(logger, "experiment", None), "get_run")
    run = _run_id(logger)
    return get_run(run).data.params if get_run is not None and run is not None else ()


def _takes_metrics(logger: Logger) -> bool:
    """Return whether a logger's method for hyper-parameters takes metrics too."""
    try:
        return "metrics" in inspect.signature(logger.log_hyperparams).parameters
    except (TypeError, ValueError):
        return False
