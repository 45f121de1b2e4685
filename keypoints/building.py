"""Objects from the configuration: the datamodule, the task, the trainer.

A configuration that the user gives may name any code. One that is *recorded*, read from the folder of a run
or a sweep, may be anybody's: of it only trusted classes are built, see :mod:`keypoints.components`.
"""

import multiprocessing
import os
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.plugins import ClusterEnvironment
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.accelerators import Accelerator, CPUAccelerator
from pytorch_lightning.callbacks import Checkpoint, LearningRateMonitor, ModelCheckpoint, ProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins import CheckpointIO, Precision
from pytorch_lightning.profilers import PassThroughProfiler, Profiler
from pytorch_lightning.strategies import Strategy
from torch import nn

from keypoints.augmentation import Augmentation, check_targets
from keypoints.callbacks.checkpoint_io import AtomicCheckpointIO
from keypoints.callbacks.description import HyperParameters, hyper_parameters
from keypoints.callbacks.finite import FiniteLoss
from keypoints.callbacks.history import History
from keypoints.callbacks.reproducible import SeedEachEpoch
from keypoints.callbacks.settings_check import SettingsCheck, check_length
from keypoints.components import build, find_trusted, package_names, target_of, trusting
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import ConfigError, KeypointsError, one_line
from keypoints.loggers import MetricsTable
from keypoints.older_names import current
from keypoints.runs import describe
from keypoints.tasks.base import Task

T = TypeVar("T")

_OF_TASK = ("model", "loss", "optimizer", "scheduler")
"""The groups that a task is made of."""

_EACH_STEP = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
"""Lightning's hooks of a training step."""


_PRECISIONS = frozenset({"32-true", "16-mixed", "bf16-mixed", "32", "16", "bf16"})
"""Lightning's precisions that keep the weights in 32 bits; the last three are its older names."""

_TRAINING = frozenset({"albumentations", "lightning_fabric", "pytorch_lightning", "torchvision.ops"})
"""Packages that a training needs besides those that a checkpoint does."""


def make_data(cfg: DictConfig, *, recorded: bool = False) -> FaceDataModule:
    """Make the datamodule of ``cfg``, with its augmentation.

    Args:
        cfg: the configuration of ``conf/train.yaml``.
        recorded: whether ``cfg`` was read from a folder, and not given by the user.

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
        # Refused, and not only warned of, as soon as they are composed.
        warnings.filterwarnings("ignore", message="Argument.* not valid")
        names = node.get("transforms") or {}
        transforms = {name: _make(cfg, f"augmentation.transforms.{name}", object, recorded) for name in names}
    return _make(cfg, "augmentation", Augmentation, recorded, transforms=transforms)


def make_task(cfg: DictConfig, data: FaceDataModule, *, recorded: bool = False) -> Task:
    """Make the task of ``cfg`` for the landmarks and the crop of ``data``.

    Args:
        cfg: the configuration of ``conf/train.yaml``.
        data: the datamodule that it is trained with.
        recorded: whether ``cfg`` was read from a folder, and not given by the user.

    Raises:
        ConfigError: if a part of it cannot be built, or is not trusted.
    """
    parts = {name: _plain(cfg, name) for name in _OF_TASK}
    model = parts.pop("model")
    if model is None:
        raise ConfigError("there is no model; choose one: model=convnet")
    with trusting(*trust_of(cfg, recorded=recorded)):
        task = build(model, Task, scheme=data.scheme, crop=data.crop, **parts)
    _pass_over_idle_hooks(task, pl.LightningModule)
    return task


def trust_of(cfg: DictConfig, *, recorded: bool = False) -> tuple[str, ...]:
    """Return the packages whose code the user trusts with ``cfg``: those of ``trust=``, and those it names.

    Args:
        cfg: the configuration of ``conf/train.yaml``.
        recorded: whether ``cfg`` was read from a folder, and not given by the user; then it grants nothing.

    Raises:
        ConfigError: if ``trust`` is not a list of packages.
    """
    if recorded:
        return ()
    return (*package_names(cfg.get("trust")), *_packages({name: _plain(cfg, name) for name in _OF_TASK}))


def make_trainer(cfg: DictConfig, purge_step: int | None = None, *, recorded: bool = False) -> pl.Trainer:
    """Make the trainer of ``cfg``, with its callbacks and loggers.

    Args:
        cfg: the configuration of ``conf/train.yaml``.
        purge_step: of a resumed run: TensorBoard hides what was logged from this step on.
        recorded: whether ``cfg`` was read from a folder, and not given by the user.

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
    named = () if cfg.trainer.get("logger") is False else cfg.get("logger") or {}
    loggers = [_logger(cfg, f"logger.{name}", purge_step, recorded) for name in named]
    table = next((each for each in loggers if isinstance(each, MetricsTable)), None)
    if table is None:
        table = MetricsTable()
        loggers.append(table)
    # Lightning brings a checkpoint and a bar of its own where there is none; here none means none.
    extra: dict[str, Any] = {
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
        "profiler": _NoProfiler(),
        "plugins": [AtomicCheckpointIO()],
    }
    extra = {name: value for name, value in extra.items() if cfg.trainer.get(name) is None}
    callbacks += [
        SeedEachEpoch(cfg.seed),
        FiniteLoss(),
        History(table),
        HyperParameters(hyper_parameters(cfg)),
        SettingsCheck(by_key),
    ]
    trainer = _make(cfg, "trainer", pl.Trainer, recorded, callbacks=callbacks, logger=loggers, **extra)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        _pass_over_idle_hooks(callback, pl.Callback)
    if not torch.cuda.is_available():
        # Lightning sets it. Without a GPU torch's optimizers then look for NVIDIA's library at each step.
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    check_length(trainer)
    cores = os.cpu_count() or 1
    if isinstance(trainer.accelerator, CPUAccelerator) and trainer.num_devices > cores:
        raise ConfigError(f"trainer.devices={trainer.num_devices} is more than this CPU's {cores} cores")
    if trainer.world_size > 1 and multiprocessing.parent_process() is not None:
        raise ConfigError(
            f"trainer.devices={trainer.num_devices}: a run of several processes cannot be one of those that "
            "launch=cores runs beside each other; leave launch=cores out, or take trainer.devices=1"
        )
    if trainer.num_nodes > 1 and "MASTER_ADDR" not in os.environ and not _is_launched(trainer):
        raise ConfigError(
            f"trainer.num_nodes={trainer.num_nodes} waits for processes on other machines, which nothing "
            "starts here: start it on each by torchrun or SLURM, or leave it 1"
        )
    if trainer.world_size > 1 and cfg.trainer.get("use_distributed_sampler"):
        raise ConfigError(
            "trainer.use_distributed_sampler=true would share the faces out twice: the datamodule's own "
            "sampler does it; leave it false"
        )
    return trainer


def _is_launched(trainer: pl.Trainer) -> bool:
    """Return whether a cluster starts the processes of a training."""
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return environment is not None and bool(environment.creates_processes_externally)


def _check_trainer(cfg: DictConfig) -> None:
    """See that a trainer's settings name what a run can keep.

    Raises:
        ConfigError: if one does not; the message says what to set instead.
    """
    given = cfg.trainer
    if given.get("barebones"):
        raise ConfigError(
            "trainer.barebones=true leaves out metrics and checkpoints, which a run is made of; to measure "
            "the speed of a training: keypoints bench"
        )
    if not isinstance(given.get("fast_dev_run") or False, int):
        raise ConfigError(f"trainer.fast_dev_run is true, or a number of batches, not {given.fast_dev_run!r}")
    if given.get("callbacks"):
        raise ConfigError("trainer.callbacks: name each in its own group: +callbacks.<name>._target_=<class>")
    if given.get("logger") not in (None, True, False):
        raise ConfigError("trainer.logger: name each in its own group: +logger.<name>._target_=<class>")
    if (precision := given.get("precision")) is not None and str(precision) not in _PRECISIONS:
        raise ConfigError(
            f"trainer.precision={precision}: a network's weights are kept in 32 bits, as coordinates and "
            "checkpoints need it; take 32-true, or to compute in 16 bits bf16-mixed or 16-mixed"
        )


def _is_wanted(callback: pl.Callback, cfg: DictConfig) -> bool:
    """Return whether the trainer's switches of checkpoints and bars let a callback be."""
    without = {"enable_checkpointing": Checkpoint, "enable_progress_bar": ProgressBar}
    kinds = tuple(kind for name, kind in without.items() if cfg.trainer.get(name) is False)
    return not isinstance(callback, kinds)


def _pass_over_idle_hooks(owner: pl.Callback | Task, base: type) -> None:
    """Let Lightning call of ``owner``'s hooks at each step only those that do something.

    It calls all of them, and passes over a hook that is not callable. With a small network the calls that
    do nothing are a twentieth of a training's time.

    Args:
        base: the class whose hooks do nothing.
    """
    for hook in _EACH_STEP:
        its = getattr(type(owner), hook)
        idle = its is getattr(base, hook) or its is _idle_by_its_settings(owner)
        if idle and hook not in vars(owner):
            setattr(owner, hook, None)


def _idle_by_its_settings(owner: pl.Callback | Task) -> Any:
    """Lightning's own hook of a step in which ``owner`` would only find that there is nothing to do."""
    if isinstance(owner, ModelCheckpoint) and not owner._every_n_train_steps:
        return ModelCheckpoint.on_train_batch_end if owner._train_time_interval is None else None
    if isinstance(owner, LearningRateMonitor) and owner.logging_interval == "epoch":
        return LearningRateMonitor.on_train_batch_start
    return None


class _NoProfiler(PassThroughProfiler):
    """Measures nothing, as Lightning's own, which makes a context for that at some 200 places of a step."""

    _nothing = nullcontext()

    def profile(self, action_name: str) -> nullcontext[None]:  # type: ignore[override]  # noqa: ARG002
        """The same empty context for all actions."""
        return self._nothing


def _logger(cfg: DictConfig, key: str, purge_step: int | None, recorded: bool) -> Logger:
    is_tensorboard = OmegaConf.select(cfg, f"{key}._target_") == "pytorch_lightning.loggers.TensorBoardLogger"
    extra = {"purge_step": purge_step} if is_tensorboard and purge_step else {}
    return _make(cfg, key, Logger, recorded, **extra)


def _make(cfg: DictConfig, key: str, kind: type[T], recorded: bool, **extra: Any) -> T:
    """Make the object of kind ``kind`` that ``cfg`` describes under ``key``."""
    node = OmegaConf.select(cfg, key)
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise ConfigError(f"{key} names no class (_target_); choose an option of its group: {key}=…")
    plain: Any = current(OmegaConf.to_container(node, resolve=True))  # what is checked is what is made
    if recorded:
        _check_recorded(plain, key, Path(str(cfg.get("output") or ".")))
    try:
        made = instantiate(plain, _convert_="all", **extra)
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, KeypointsError):
            raise cause from error
        raise ConfigError(f"{key}: {describe(cause)}{_other_name(plain)}") from error
    if not isinstance(made, kind):
        raise ConfigError(f"{key}: {node._target_} is no {kind.__name__}")
    return made


def _other_name(plain: Any) -> str:
    """Return a hint where a class of Lightning is named as Lightning's other package calls it."""
    target = str(plain.get("_target_"))
    if not target.startswith("lightning.pytorch."):
        return ""
    return f"; here it is called pytorch_lightning.{target.removeprefix('lightning.pytorch.')}"


def _check_recorded(plain: Any, key: str, folder: Path) -> None:
    """See that a recorded configuration names trusted classes alone, and writes in its own folder alone.

    Args:
        plain: the part under ``key``, resolved. Text that could be resolved once more is refused.
        key: where it stands.
        folder: the run's.

    Raises:
        ConfigError: if a part is not so.
    """
    if isinstance(plain, str):
        if "${" in plain:
            raise ConfigError(f"{key}: {one_line(plain)[:80]!r} refers to other values")
        if key.partition(".")[0] != "data":  # which is read and never written
            _check_place(plain, key, folder)
    elif isinstance(plain, list):
        for number, each in enumerate(plain):
            _check_recorded(each, f"{key}.{number}", folder)
    elif isinstance(plain, Mapping):
        if "_target_" in plain:
            try:
                find_trusted(target_of(plain), _kinds(), _TRAINING)
            except ConfigError as error:
                raise type(error)(f"{key}: {error}") from error
        for name, each in plain.items():
            _check_recorded(str(name), key, folder)
            _check_recorded(each, f"{key}.{name}", folder)


def _check_place(text: str, key: str, folder: Path) -> None:
    """See that a text that is a path, by its form or its key, leads to nothing outside of ``folder``.

    Raises:
        ConfigError: if it does.
    """
    path, last = Path(text), key.rpartition(".")[2]
    is_folder = any(word in last for word in ("dir", "path", "root"))
    outside = (path.is_absolute() or is_folder) and not path.resolve().is_relative_to(folder.resolve())
    if ".." in path.parts or outside:
        raise ConfigError(f"{key}={one_line(text)[:80]}: lies outside of the run's folder, {folder}")


@cache
def _kinds() -> tuple[type, ...]:
    """Return the kinds of objects that a training is made of: classes, whose names say what they do."""
    import albumentations

    return (
        *(FaceDataModule, Augmentation, albumentations.BasicTransform, albumentations.BaseCompose),
        *(Task, nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler),
        *(pl.Trainer, pl.Callback, Logger, Profiler, Strategy, Accelerator),
        *(Precision, CheckpointIO, ClusterEnvironment),
    )


def _plain(cfg: DictConfig, key: str) -> dict[str, Any] | None:
    """A part of the configuration as plain values, or ``None`` where there is nothing."""
    node = cfg.get(key)
    plain: Any = OmegaConf.to_container(node, resolve=True) if node is not None else None
    return plain or None


def _packages(config: Any) -> set[str]:
    """The top-level packages of all targets in ``config``."""
    if isinstance(config, Mapping):
        own = {str(config["_target_"]).split(".")[0]} if "_target_" in config else set()
        return own.union(*map(_packages, config.values()))
    return set().union(*map(_packages, config)) if isinstance(config, list | tuple) else set()
