"""Training of a task by Lightning, with errors that name the setting to change."""

import gc
import signal
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from keypoints.callbacks.settings_check import SettingsCheck
from keypoints.components import TRUST, trusted_by_user
from keypoints.distributed import others_join
from keypoints.errors import ConfigError, KeypointsError, TrainingError, one_line
from keypoints.runs.run_folder import RunFolder
from keypoints.threads import THREADS
from keypoints.training.prepare import Prepared


def fit_in_all_processes(parts: Prepared, run: RunFolder, *, recorded: bool) -> None:
    """Train in this process and in the processes that Lightning starts.

    Args:
        parts: parts of the training.
        run: folder of the run.
        recorded: whether the configuration was read from that folder, so that only trusted classes are built.

    Raises:
        KeypointsError: if the user can correct the cause.
    """
    shared = {TRUST: ",".join(sorted(trusted_by_user()))}
    if parts.trainer.world_size > 1:  # without the variable, Lightning would choose another number
        shared[THREADS] = str(parts.threads)
    with others_join(run.path, recorded=recorded, shared=shared):
        fit(parts)


def fit(parts: Prepared) -> None:
    """Train with Lightning; if it or the machine fails, raise an error that says what to change.

    Args:
        parts: parts of the training.

    Raises:
        ConfigError: if Lightning cannot use a setting; the message names its key.
        TrainingError: if memory ran out, or ``detect_anomaly`` found NaN.
    """
    trainer, data = parts.trainer, parts.data
    try:
        with garbage_frozen(), _ctrl_c_handler_restored():
            trainer.fit(parts.task, datamodule=data, ckpt_path=parts.checkpoint, weights_only=True)
    except SystemExit as ended:  # Lightning's answer to a KeyboardInterrupt
        if isinstance(ended.__context__, KeyboardInterrupt):
            raise ended.__context__ from None
        raise
    except (KeypointsError, OSError):
        raise
    except Exception as error:
        if _is_lack_of_memory(error):
            raise TrainingError(
                f"out of memory ({one_line(error)[:200]}); {_memory_advice(data.batch_size)}"
            ) from error
        if isinstance(error, RuntimeError) and " returned nan values in its " in str(error):
            raise TrainingError(
                f"trainer.detect_anomaly: {one_line(error)} Train again with a smaller optimizer.lr or "
                "trainer.gradient_clip_val=1"
            ) from error
        if (key := _rejected_key(error, trainer)) is None:
            raise
        too_few = bool(getattr(trainer, "overfit_batches", 0)) and "_dataloader" in str(error)
        instead = "; give a number of batches: trainer.overfit_batches=1" if too_few else ""
        raise ConfigError(f"{key}: {one_line(error)}{instead}") from error


def _rejected_key(error: Exception, trainer: pl.Trainer) -> str | None:
    """Return the key of the settings that Lightning rejects; ``None`` for an error of other code.

    Lightning raises errors of many types. An error counts as Lightning's if its code raised it, or if torch
    raised it in a call by Lightning's code.
    """
    names = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    while names and _module_of(names[-1]) == "torch":
        names.pop()
    if not names or _module_of(names[-1]) not in ("pytorch_lightning", "lightning_fabric"):
        return None
    (check,) = (each for each in trainer.callbacks if isinstance(each, SettingsCheck))  # type: ignore[attr-defined]
    keys = [check.key_of(frame.f_locals.get("self")) for frame in names]
    key = next((key for key in reversed(keys) if key is not None), None)
    own = isinstance(error, MisconfigurationException) or names[-1] is _last_frame(error)
    return key or ("trainer" if own else None)


def _last_frame(error: Exception) -> FrameType:
    return list(traceback.walk_tb(error.__traceback__))[-1][0]


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


@contextmanager
def _ctrl_c_handler_restored() -> Iterator[None]:
    """Restore the handler of Ctrl-C after the block: Lightning ignores all but the first Ctrl-C."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGINT, before)


def _is_lack_of_memory(error: Exception) -> bool:
    """Return whether GPU or main memory ran out; for the latter torch raises a RuntimeError with a text."""
    says = ("out of memory", "not enough memory", "allocate memory", "ALLOC_FAILED")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(text in str(error) for text in says)


def _memory_advice(batch_size: int) -> str:
    if batch_size == 1:
        return "data.batch_size is 1 already: try a smaller data.width and data.height, or a smaller network"
    return f"try data.batch_size={batch_size // 2} instead of {batch_size}"


@contextmanager
def garbage_frozen() -> Iterator[None]:
    """Exclude existing objects from garbage collection, which would take a quarter of a second."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def without_expected_warnings() -> Iterator[None]:
    """Suppress warnings of libraries about intended behaviour."""
    with warnings.catch_warnings():
        # The crops are in memory: more workers would only copy them between processes.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Short epochs have few steps, and few of them are logged.
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
        # Hydra's log file is in the run's folder before the metrics; a resumed run has metrics there.
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        # Lightning itself calls this deprecated function of torch.
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
        # With check_val_every_n_epoch, a scheduler with a validation metric waits for the next validation.
        warnings.filterwarnings(
            "ignore", message="ReduceLROnPlateau conditioned on metric .* is set to `False`.*"
        )
        # overfit_batches needs the same faces in each epoch, so it must not shuffle.
        warnings.filterwarnings("ignore", message="You requested to overfit but enabled .* shuffling.*")
        # With one channel, two different strides describe the same layout of the first layer's weights.
        warnings.filterwarnings("ignore", message=".*Grad strides do not match bucket view strides.*")
        # The report's table of layers does not show megabytes.
        warnings.filterwarnings("ignore", message="Precision .* is not supported by the model summary.*")
        yield
