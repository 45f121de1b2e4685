"""Construction of the datamodule, the task and the trainer from the configuration.

The packages that the user's configuration names are trusted. A *recorded* configuration, read from the
folder of a run or a sweep, may come from anybody: it makes no package trusted, see
:mod:`keypoints.components`, may name only classes of the kinds that a training needs, and may write only in
its own folder.
"""

import multiprocessing
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from lightning_fabric.plugins import ClusterEnvironment
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.accelerators import Accelerator, CPUAccelerator
from pytorch_lightning.callbacks import Checkpoint, ProgressBar
from pytorch_lightning.loggers import CSVLogger, Logger
from pytorch_lightning.plugins import CheckpointIO, Precision
from pytorch_lightning.profilers import Profiler
from pytorch_lightning.strategies import Strategy
from torch import nn

from keypoints.callbacks.checkpoint_io import AtomicCheckpointIO
from keypoints.callbacks.metrics_history import History
from keypoints.callbacks.run_description import HyperParameters
from keypoints.callbacks.seed_each_epoch import SeedEachEpoch
from keypoints.callbacks.settings_check import SettingsCheck, check_length
from keypoints.callbacks.terminate_on_nan import FiniteLoss
from keypoints.components import build, package_names, trusting, walk
from keypoints.data.augmentation import Augmentation, check_targets
from keypoints.datamodules.base import FaceDataModule
from keypoints.distributed import is_first
from keypoints.errors import ConfigError, one_line
from keypoints.loggers.failures import guard
from keypoints.loggers.settings import check_package, check_recorded, of_run
from keypoints.older_names import current_class
from keypoints.runs.metrics_table import MetricsTable
from keypoints.runs.run_folder import RunFolder
from keypoints.tasks.base import Task

T = TypeVar("T")

_TASK_GROUPS = ("model", "loss", "optimizer", "scheduler")
"""Configuration groups of the parts of a task."""

_PRECISIONS = frozenset({"32-true", "16-mixed", "bf16-mixed", "32", "16", "bf16"})
"""Lightning's precisions that keep the weights in 32 bits; the last three are older names."""


def make_data(cfg: DictConfig, *, recorded: bool = False) -> FaceDataModule:
    """Make the datamodule of ``cfg``, with its augmentation.

    Args:
        cfg: the configuration of ``keypoints train``.
        recorded: whether ``cfg`` was read from a folder instead of given by the user.

    Returns:
        The datamodule, without its faces read.

    Raises:
        ConfigError: if a part of it cannot be built, or is not trusted.
    """
    return _make(cfg, "data", FaceDataModule, recorded, augmentation=_augmentation(cfg, recorded))


def _augmentation(cfg: DictConfig, recorded: bool) -> Augmentation | None:
    if not cfg.get("augmentation"):
        return None
    chosen = HydraConfig.get().runtime.choices.get("augmentation") if HydraConfig.initialized() else None
    named = f"augmentation/{chosen}.yaml" if chosen and not recorded else "its file"
    node = cfg.augmentation
    check_targets(OmegaConf.to_container(node) if isinstance(node, DictConfig) else node, named)
    with warnings.catch_warnings():
        # No warning is needed: invalid arguments are refused when the transforms are composed.
        warnings.filterwarnings("ignore", message="Argument.* not valid")
        names = node.get("transforms") or {}
        transforms = {name: _make(cfg, f"augmentation.transforms.{name}", object, recorded) for name in names}
    return _make(cfg, "augmentation", Augmentation, recorded, transforms=transforms)


def make_task(cfg: DictConfig, data: FaceDataModule, *, recorded: bool = False) -> Task:
    """Make the task of ``cfg`` for the landmarks and the crop of ``data``.

    Args:
        cfg: the configuration of ``keypoints train``.
        data: the datamodule that provides its training data.
        recorded: whether ``cfg`` was read from a folder instead of given by the user.

    Returns:
        The task, with its network, loss, optimizer and scheduler.

    Raises:
        ConfigError: if a part of it cannot be built, or is not trusted.
    """
    parts: dict[str, Any] = {name: _plain(cfg, name) for name in _TASK_GROUPS}
    model = parts.pop("model")
    if model is None:
        raise ConfigError("there is no model; choose one: model=convnet")
    optimizer = parts["optimizer"]
    if optimizer and "fused" in optimizer and optimizer["fused"] is None:
        parts["optimizer"] = {**optimizer, "fused": not _clips_in_mixed_precision(cfg)}
    with trusting(*trust_of(cfg, recorded=recorded)):
        return build(model, Task, scheme=data.scheme, crop=data.crop, **parts)


def _clips_in_mixed_precision(cfg: DictConfig) -> bool:
    """Return whether gradients are clipped in mixed precision, where Lightning refuses fused optimizers."""
    trainer = cfg.get("trainer") or {}
    return bool(trainer.get("gradient_clip_val")) and str(trainer.get("precision")) not in ("32-true", "32")


def trust_of(cfg: DictConfig, *, recorded: bool = False) -> tuple[str, ...]:
    """Return the packages that the user trusts through ``cfg``: in ``trust=``, and by naming their classes.

    Args:
        cfg: the configuration of ``keypoints train``.
        recorded: whether ``cfg`` was read from a folder instead of given by the user; then the result is
            empty.

    Raises:
        ConfigError: if ``trust`` is not a list of packages.
    """
    if recorded:
        return ()
    return (*package_names(cfg.get("trust")), *_packages({name: _plain(cfg, name) for name in _TASK_GROUPS}))


def make_trainer(
    cfg: DictConfig,
    purge_step: int | None = None,
    *,
    identifiers: Mapping[str, str] = MappingProxyType({}),
    recorded: bool = False,
) -> pl.Trainer:
    """Make the trainer of ``cfg``, with its callbacks and loggers.

    Only the first of several processes has the loggers; the table of metrics is written even if the
    configuration names only other loggers.

    Args:
        cfg: the configuration of ``keypoints train``.
        purge_step: for a resumed run, the step from which TensorBoard hides the entries of the older process.
        identifiers: for a resumed run, the identifiers under which its loggers continue, by their names.
        recorded: whether ``cfg`` was read from a folder instead of given by the user.

    Returns:
        The trainer.

    Raises:
        ConfigError: if a part of it cannot be built, or is not trusted.
    """
    if not cfg.get("trainer"):
        raise ConfigError("there is no trainer; choose one: trainer=default")
    epochs = cfg.trainer.get("max_epochs")
    if epochs is not None and not isinstance(epochs, int):
        raise ConfigError(f"trainer.max_epochs is a whole number, not {epochs!r}")
    _check_trainer(cfg)
    by_key = {
        key: callback
        for name in cfg.get("callbacks") or {}
        if _is_wanted(callback := _make(cfg, key := f"callbacks.{name}", pl.Callback, recorded), cfg)
    }
    callbacks = list(by_key.values())
    named = logger_names(cfg)
    loggers = [_logger(cfg, name, purge_step, identifiers.get(name), recorded) for name in named]
    if not any(isinstance(each, MetricsTable) for each in loggers):
        # Older configurations have Lightning's own table, in the same file.
        has_file = named and not any(isinstance(each, CSVLogger) for each in loggers)
        loggers.append(MetricsTable(str(cfg.output) if has_file else None))
    # Lightning would add its own checkpoint and progress bar if there are none.
    extra: dict[str, Any] = {
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
        "plugins": [AtomicCheckpointIO()],
    }
    extra = {name: value for name, value in extra.items() if cfg.trainer.get(name) is None}
    callbacks = _with_needed(callbacks, cfg)
    for each in callbacks:
        if isinstance(each, SettingsCheck):
            each.watch(by_key)
    trainer = _make(cfg, "trainer", pl.Trainer, recorded, callbacks=callbacks, logger=loggers, **extra)
    guard(trainer)
    check_length(trainer)
    cores = os.cpu_count() or 1
    if isinstance(trainer.accelerator, CPUAccelerator) and trainer.num_devices > cores:
        raise ConfigError(f"trainer.devices={trainer.num_devices} is more than this CPU's {cores} cores")
    if trainer.world_size > 1 and multiprocessing.parent_process() is not None:
        raise ConfigError(
            f"trainer.devices={trainer.num_devices}: a run of several processes cannot be one of the "
            "parallel runs of launch=cores; leave launch=cores out, or take trainer.devices=1"
        )
    if trainer.num_nodes > 1 and "MASTER_ADDR" not in os.environ and not _is_launched(trainer):
        raise ConfigError(
            f"trainer.num_nodes={trainer.num_nodes} waits for processes on other machines, which nothing "
            "starts here; start the training on each by torchrun or SLURM, or take trainer.num_nodes=1"
        )
    if trainer.world_size > 1 and cfg.trainer.get("use_distributed_sampler"):
        raise ConfigError(
            "trainer.use_distributed_sampler=true would divide the faces among the processes twice, as the "
            "datamodule's own sampler does so already; leave it false"
        )
    return trainer


def _with_needed(callbacks: Sequence[pl.Callback], cfg: DictConfig) -> list[pl.Callback]:
    """Return the callbacks, ending with the callbacks of ``conf/callbacks/shared/needed.yaml``.

    Older configurations and the user's own files may lack these.
    """
    needed: dict[type[pl.Callback], Callable[[], pl.Callback]] = {
        SeedEachEpoch: lambda: SeedEachEpoch(cfg.seed),
        FiniteLoss: FiniteLoss,
        History: History,
        HyperParameters: lambda: HyperParameters(str(cfg.output)),
        SettingsCheck: SettingsCheck,
    }
    others = [each for each in callbacks if not isinstance(each, tuple(needed))]
    given = {kind: [each for each in callbacks if isinstance(each, kind)] for kind in needed}
    return [*others, *(given[kind][-1] if given[kind] else make() for kind, make in needed.items())]


def _is_launched(trainer: pl.Trainer) -> bool:
    """Return whether a cluster starts the processes of a training."""
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return environment is not None and bool(environment.creates_processes_externally)


def _check_trainer(cfg: DictConfig) -> None:
    """Check the trainer's settings that a run restricts.

    Raises:
        ConfigError: if a setting is not allowed; the message says what to set instead.
    """
    given = cfg.trainer
    if given.get("barebones"):
        raise ConfigError(
            "trainer.barebones=true leaves out metrics and checkpoints, which every run needs; to measure "
            "the speed of a training, use keypoints bench"
        )
    if not isinstance(given.get("fast_dev_run") or False, int):
        raise ConfigError(f"trainer.fast_dev_run is true, or a number of batches, not {given.fast_dev_run!r}")
    if given.get("callbacks"):
        raise ConfigError(
            "trainer.callbacks cannot be set; add each callback by +callbacks.<name>._target_=<class>"
        )
    if given.get("logger") not in (None, True, False):
        raise ConfigError(
            "trainer.logger is true or false; add each logger by +logger.<name>._target_=<class>"
        )
    if (precision := given.get("precision")) is not None and str(precision) not in _PRECISIONS:
        raise ConfigError(
            f"trainer.precision={precision}: the weights must stay in 32 bits, for exact coordinates and "
            "checkpoints; take 32-true, or bf16-mixed or 16-mixed to compute in 16 bits"
        )


def _is_wanted(callback: pl.Callback, cfg: DictConfig) -> bool:
    """Return whether the trainer's switches for checkpoints and progress bars allow a callback."""
    without = {"enable_checkpointing": Checkpoint, "enable_progress_bar": ProgressBar}
    kinds = tuple(kind for name, kind in without.items() if cfg.trainer.get(name) is False)
    return not isinstance(callback, kinds)


def logger_names(cfg: DictConfig) -> list[str]:
    """Return the names of the loggers that this process has, in the order of the trainer's loggers.

    Args:
        cfg: the configuration of ``keypoints train``.
    """
    if cfg.trainer.get("logger") is False or not is_first():
        return []
    return [str(name) for name in cfg.get("logger") or {}]


def _logger(
    cfg: DictConfig, name: str, purge_step: int | None, identifier: str | None, recorded: bool
) -> Logger:
    key = f"logger.{name}"
    settings = _plain(cfg.logger, name) or {}
    check_package(settings, key)
    if recorded:
        check_recorded(settings, key)
    extra = of_run(settings, RunFolder(Path(str(cfg.output))), identifier)
    target = current_class(str(settings.get("_target_")))
    if target in ("keypoints.TensorBoard", "pytorch_lightning.loggers.TensorBoardLogger") and purge_step:
        extra["purge_step"] = purge_step
    return _make(cfg, key, Logger, recorded, **extra)


def _make(cfg: DictConfig, key: str, kind: type[T], recorded: bool, **extra: Any) -> T:
    """Make the object of type ``kind`` that ``cfg`` describes under ``key``, and its parts."""
    node = OmegaConf.select(cfg, key)
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise ConfigError(f"{key} names no class (_target_); choose an option of its group: {key}=…")
    plain: Any = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    if recorded and key != "data":  # paths of data are only read
        for where, value in walk(plain, key):
            if isinstance(value, str):
                _check_place(value, where, Path(str(cfg.get("output") or ".")))
    with trusting(*(() if recorded else _packages(plain))):
        return build(plain, kind, _key=key, _nested=_kinds() if recorded else (object,), **extra)


def _check_place(text: str, key: str, folder: Path) -> None:
    """Check that a text which is a path, judged by its form or its key, stays inside ``folder``.

    Raises:
        ConfigError: if it leads outside of the folder.
    """
    path, last = Path(text), key.rpartition(".")[2]
    is_folder = any(word in last for word in ("dir", "path", "root"))
    outside = (path.is_absolute() or is_folder) and not path.resolve().is_relative_to(folder.resolve())
    if ".." in path.parts or outside:
        raise ConfigError(f"{key}={one_line(text)[:80]}: lies outside of the run's folder, {folder}")


@cache
def _kinds() -> tuple[type, ...]:
    """Return the base classes of the objects that a training needs."""
    import albumentations

    return (
        *(FaceDataModule, Augmentation, albumentations.BasicTransform, albumentations.BaseCompose),
        *(Task, nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler),
        *(pl.Trainer, pl.Callback, Logger, Profiler, Strategy, Accelerator),
        *(Precision, CheckpointIO, ClusterEnvironment),
    )


def _plain(cfg: DictConfig, key: str) -> dict[str, Any] | None:
    """Return a part of the configuration as plain values, or ``None`` if it is missing or empty."""
    node = cfg.get(key)
    plain: Any = OmegaConf.to_container(node, resolve=True) if node is not None else None
    return plain or None


def _packages(config: Any) -> set[str]:
    """Return the top-level packages of all targets in ``config``."""
    targets = (
        each["_target_"] for _, each in walk(config) if isinstance(each, Mapping) and "_target_" in each
    )
    return {name for target in targets if (name := str(target).partition(".")[0]).isidentifier()}
