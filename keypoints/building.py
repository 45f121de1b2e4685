"""Objects from the configuration: the datamodule, the task, the trainer."""

import multiprocessing
import os
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import PassThroughProfiler

from keypoints.augmentation import Augmentation
from keypoints.callbacks.description import HyperParameters
from keypoints.callbacks.finite import FiniteLoss
from keypoints.callbacks.reproducible import SeedEachEpoch
from keypoints.components import build, trusting
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import ConfigError, KeypointsError
from keypoints.runs import describe
from keypoints.tasks.base import Task

T = TypeVar("T")

_EACH_STEP = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
"""Lightning's hooks of a training step."""


def make_data(cfg: DictConfig) -> FaceDataModule:
    """The datamodule of ``cfg``, with its augmentation.

    Raises:
        ConfigError: if a part of it cannot be built.
    """
    return _make(cfg, "data", FaceDataModule, augmentation=_augmentation(cfg))


def _augmentation(cfg: DictConfig) -> Augmentation | None:
    if not cfg.get("augmentation"):
        return None
    with warnings.catch_warnings():
        # Refused, and not only warned of, as soon as they are composed.
        warnings.filterwarnings("ignore", message="Argument.* not valid")
        names = cfg.augmentation.get("transforms") or {}
        if not isinstance(names, Mapping | DictConfig):
            raise ConfigError(
                "augmentation.transforms are transforms by name, not a list: name: {_target_: …}"
            )
        transforms = {name: _make(cfg, f"augmentation.transforms.{name}", object) for name in names}
    return _make(cfg, "augmentation", Augmentation, transforms=transforms)


def make_task(cfg: DictConfig, data: FaceDataModule) -> Task:
    """The task of ``cfg`` for the landmarks and the crop of ``data``.

    Raises:
        ConfigError: if a part of it cannot be built.
    """
    parts = {name: _plain(cfg, name) for name in ("model", "loss", "optimizer", "scheduler")}
    model = parts.pop("model")
    if model is None:
        raise ConfigError("there is no model; choose one: model=convnet")
    with trusting(*_packages(model), *_packages(parts)):  # it is the user's own configuration
        task = build(model, Task, scheme=data.scheme, crop=data.crop, **parts)
    _pass_over_idle_hooks(task, pl.LightningModule)
    return task


def make_trainer(cfg: DictConfig, purge_step: int | None = None) -> pl.Trainer:
    """The trainer of ``cfg``, with its callbacks and loggers.

    Args:
        purge_step: of a resumed run: TensorBoard hides what was logged from this step on.

    Raises:
        ConfigError: if a part of it cannot be built.
    """
    epochs = cfg.trainer.get("max_epochs")
    if epochs is not None and not isinstance(epochs, int):
        raise ConfigError(f"trainer.max_epochs is a whole number, not {epochs!r}")
    callbacks = [_make(cfg, f"callbacks.{name}", pl.Callback) for name in cfg.get("callbacks") or {}]
    loggers = [_logger(cfg, f"logger.{name}", purge_step) for name in cfg.get("logger") or {}]
    callbacks += [SeedEachEpoch(cfg.seed), FiniteLoss(), HyperParameters(_flat(cfg))]
    extra = {} if cfg.trainer.get("profiler") else {"profiler": _NoProfiler()}
    trainer = _make(cfg, "trainer", pl.Trainer, callbacks=callbacks, logger=loggers, **extra)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        _pass_over_idle_hooks(callback, pl.Callback)
    if not torch.cuda.is_available():
        # Lightning sets it. Without a GPU torch's optimizers then look for NVIDIA's library at each step.
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    cores = os.cpu_count() or 1
    if isinstance(trainer.accelerator, CPUAccelerator) and trainer.num_devices > cores:
        raise ConfigError(f"trainer.devices={trainer.num_devices} is more than this CPU's {cores} cores")
    if trainer.world_size > 1 and multiprocessing.parent_process() is not None:
        raise ConfigError(
            f"trainer.devices={trainer.num_devices}: a run of several processes cannot be one of those that "
            "launch=cores runs beside each other; leave launch=cores out, or take trainer.devices=1"
        )
    return trainer


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


def _logger(cfg: DictConfig, key: str, purge_step: int | None) -> Logger:
    is_tensorboard = OmegaConf.select(cfg, f"{key}._target_") == "pytorch_lightning.loggers.TensorBoardLogger"
    return _make(cfg, key, Logger, **({"purge_step": purge_step} if is_tensorboard and purge_step else {}))


def _make(cfg: DictConfig, key: str, kind: type[T], **extra: Any) -> T:
    """The object of kind ``kind`` that ``cfg`` describes under ``key``."""
    node = OmegaConf.select(cfg, key)
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise ConfigError(f"{key} names no class (_target_); choose an option of its group: {key}=…")
    try:
        made = instantiate(node, _convert_="all", **extra)
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, KeypointsError):
            raise cause from error
        raise ConfigError(f"{key}: {describe(cause)}") from error
    if not isinstance(made, kind):
        raise ConfigError(f"{key}: {node._target_} is no {kind.__name__}")
    return made


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


def _flat(cfg: DictConfig) -> dict[str, bool | int | float | str]:
    """What HPARAMS compares: the run's values under dotted names."""
    parts = {name: _plain(cfg, name) for name in ("model", "loss", "optimizer", "scheduler", "data")}
    parts["trainer"] = {"max_epochs": cfg.trainer.max_epochs}
    flat: dict[str, bool | int | float | str] = {"name": cfg.name, "seed": cfg.seed}

    def visit(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                visit(f"{prefix}.{name}", inner)
        elif value is not None and prefix != "data.root":
            flat[prefix] = value if isinstance(value, bool | int | float | str) else str(value)

    for name, part in parts.items():
        visit(name, part)
    return flat
