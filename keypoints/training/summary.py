"""Final metrics of a training."""

import logging
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, Timer
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason

from keypoints.callbacks.metrics_history import logged_rows
from keypoints.errors import ConfigError, KeypointsError, TrainingError
from keypoints.formatting import counted, fixed
from keypoints.mean_face import collapse
from keypoints.runs.history import summary
from keypoints.runs.run_folder import DEV_RUN, RunFolder

log = logging.getLogger(__name__)


def summarise(run: RunFolder, trainer: pl.Trainer) -> dict[str, float]:
    """Return the metrics of a run's best and last epoch, from what it logged.

    Args:
        run: folder of the run, for messages.
        trainer: Trainer after the fit. With ``fast_dev_run`` it has no table, and only one epoch.

    Returns:
        See :func:`keypoints.runs.history.summary`.

    Raises:
        ConfigError: if no epoch was validated.
        TrainingError: if the validation MSE is NaN in all epochs.
    """
    rows = logged_rows(trainer)
    if metrics := summary(pd.DataFrame(rows), run.monitor):
        return metrics
    if any("val/mse" in row for row in rows):
        raise TrainingError(
            f"{run.path}: the validation MSE was NaN in every epoch; check the faces: keypoints data preview"
        )
    raise ConfigError(
        f"{run.path}: the training ended before an epoch was validated; give it more time or steps: "
        "trainer.max_time, trainer.max_steps, trainer.val_check_interval"
    )


@contextmanager
def summarised(run: RunFolder, trainer: pl.Trainer, metrics: MutableMapping[str, float]) -> Iterator[None]:
    """Add the metrics of a run to ``metrics`` after the fit in the block, also after Ctrl-C.

    Args:
        run: folder of the run.
        trainer: Trainer of the fit.
        metrics: metrics of ``status.json``, see :func:`keypoints.runs.status.record`.

    Raises:
        ConfigError: see :func:`summarise`.
        TrainingError: see :func:`summarise`.
    """
    try:
        yield
    except KeyboardInterrupt:
        with suppress(KeypointsError):  # no epoch may have ended yet
            metrics.update(summarise(run, trainer))
        raise
    metrics.update(summarise(run, trainer))


def tell_end(trainer: pl.Trainer) -> None:
    """Log that a training ended before its last epoch, and where its profile is.

    Args:
        trainer: Trainer after the fit.
    """
    for each in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(each, EarlyStopping) and each.stopping_reason is not EarlyStoppingReason.NOT_STOPPED:
            log.info("stopped early, after epoch %d: %s", each.stopped_epoch, _reason(each))
        if isinstance(each, Timer) and (left := each.time_remaining()) is not None and left <= 0:
            log.info("stopped after trainer.max_time")
    profiler = trainer.profiler  # type: ignore[attr-defined]
    if profiler.dirpath is not None and profiler.filename is not None:  # Lightning sets only the folder
        log.info("profile: %s", Path(profiler.dirpath) / f"fit-{profiler.filename}.txt")


def _reason(stopping: EarlyStopping) -> str:
    """Return why a callback ended a training."""
    if stopping.stopping_reason is EarlyStoppingReason.PATIENCE_EXHAUSTED:
        return f"{stopping.monitor} did not improve in {counted(stopping.patience, 'validation')}"
    return str(stopping.stopping_reason_message)


def tell(run: RunFolder, metrics: Mapping[str, float], *, is_trial: bool = False) -> None:
    """Log the results of a run.

    Args:
        run: folder of the run.
        metrics: result of :func:`summarise`.
        is_trial: whether only some batches were trained on, with ``trainer.fast_dev_run``.
    """
    if is_trial:
        log.info("trainer.fast_dev_run: %s", DEV_RUN)
    constant = metrics.get("constant/mse")
    for when in ("best", "last"):
        nme = f"NME {fixed(100 * metrics[f'{when}/nme'], 2)} %, " if f"{when}/nme" in metrics else ""
        log.info(
            "%s epoch (%d): validation MSE %s, %sMAE per coordinate %s px, variance ratio %s",
            when,
            metrics[f"{when}/epoch"],
            fixed(metrics[f"{when}/mse"], 6),
            nme,
            fixed(metrics[f"{when}/mae_px"], 2),
            fixed(metrics[f"{when}/variance_ratio"], 2),
        )
    if constant is not None:
        log.info("validation MSE of the mean-shape baseline: %s", fixed(constant, 6))
    if warning := collapse(metrics["best/variance_ratio"], metrics["best/mse"], constant):
        log.warning("%s", warning)
    log.info("look at it: %s", run.report)
