"""Lengthening of a finished run: more epochs from its last checkpoint, with a schedule of the new length."""

import logging
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from keypoints.callbacks.checkpoint_io import AtomicCheckpointIO
from keypoints.components import build
from keypoints.errors import ConfigError
from keypoints.files import write_atomically
from keypoints.formatting import counted, pluralised
from keypoints.runs.run_folder import RunFolder
from keypoints.tasks.checkpoint import read_checkpoint
from keypoints.tasks.encoder_rate import ENCODER_RATE

log = logging.getLogger(__name__)

_LENGTHS = ("T_max", "total_iters")
"""Settings of torch's schedulers that are the number of epochs, if the schedule ends with the training."""

_OF_LIGHTNING = ("interval", "monitor")
"""Settings of a scheduler that belong to Lightning, see :class:`keypoints.tasks.base.Task`."""


def lengthen(run: RunFolder, cfg: DictConfig, epochs: int) -> DictConfig:
    """Change a finished run so that it can be resumed and trains until ``epochs``.

    A schedule that ended with the training becomes the schedule of the new length: the next epoch has the
    learning rate that a run of this length would have there. Other schedules and a constant learning rate
    continue. Early stopping and a time limit, which may have ended the run, count from the beginning again.
    The changes can be repeated if the process ends before the run is resumed.

    Args:
        run: folder of the run.
        cfg: its configuration.
        epochs: new number of epochs.

    Returns:
        The new configuration, which is also written.

    Raises:
        ConfigError: if the run has as many epochs already, its length is not given in epochs, or its schedule
            has a fixed length.
        CheckpointError: if its last checkpoint cannot be used.
    """
    checkpoint = read_checkpoint(run.last_checkpoint)
    done = int(checkpoint["epoch"]) + 1
    if epochs <= done:
        raise ConfigError(
            f"{run.path}: has {counted(done, 'epoch')} already; give more: trainer.max_epochs={2 * done}"
        )
    if (steps := cfg.trainer.get("max_steps")) is not None and steps > 0:
        raise ConfigError(
            f"{run.path}: its length is trainer.max_steps={steps}, so more epochs do not lengthen it"
        )
    targets = [str(each.get("_target_")) for each in (cfg.get("callbacks") or {}).values() if each]
    if any(target.endswith(".BatchSizeFinder") for target in targets):
        raise ConfigError(
            f"{run.path}: a run with BatchSizeFinder cannot be resumed, because it does not keep the size "
            f"that was found; start a new run from its weights: start_from={run.path} data.batch_size=<size>"
        )
    longer = _longer(cfg, epochs)
    length = int(checkpoint["global_step"]) // done * epochs
    said = _reschedule(longer, checkpoint, length, run) + _count_again(checkpoint)
    AtomicCheckpointIO().save_checkpoint(checkpoint, run.last_checkpoint)
    write_atomically(run.config, OmegaConf.to_yaml(longer))
    become = f"{counted(done, 'epoch')} {pluralised(done, 'becomes', 'become')} {epochs}"
    log.info("%s: %s; %s", run.path, become, said)
    return longer


def _longer(cfg: DictConfig, epochs: int) -> DictConfig:
    """Return the configuration with the new length, also of a schedule that ended with the training."""
    longer = cfg.copy()
    before, longer.trainer.max_epochs = cfg.trainer.get("max_epochs"), epochs
    for name in _LENGTHS:
        if longer.get("scheduler") and before is not None and longer.scheduler.get(name) == before:
            longer.scheduler[name] = epochs
    return longer


def _count_again(checkpoint: dict[str, Any]) -> str:
    """Reset the states of callbacks that end a training; return which count from the beginning again.

    With their states the lengthened run would end at once, if one of them ended the run before.

    Args:
        checkpoint: contents of the last checkpoint, which are changed.
    """
    counting = []
    for name, state in checkpoint.get("callbacks", {}).items():
        if name.startswith("EarlyStopping{"):
            state.update(wait_count=0, stopped_epoch=0)
            for each in ("stopping_reason", "stopping_reason_message"):
                state.pop(each, None)
            counting.append("early stopping")
        elif name == "Timer":
            state["time_elapsed"] = {}
            counting.append("the limit trainer.max_time")
    return "".join(f"; {each} counts from the beginning again" for each in counting)


def _reschedule(cfg: DictConfig, checkpoint: dict[str, Any], length: int, run: RunFolder) -> str:
    """Set the states of the scheduler and the optimizer in a checkpoint; return what the schedule does.

    Args:
        cfg: configuration with the new length.
        checkpoint: contents of the last checkpoint, which are changed.
        length: number of steps of the lengthened training.
        run: folder of the run, for messages.

    Raises:
        ConfigError: if the schedule has a fixed length.
    """
    groups = checkpoint["optimizer_states"][0]["param_groups"]
    rate = float(groups[0]["lr"])
    settings: Any = OmegaConf.to_container(cfg.scheduler) if cfg.get("scheduler") else None
    if not settings or not checkpoint["lr_schedulers"]:
        return f"the learning rate stays {rate:.3g}"
    name = str(settings["_target_"]).rpartition(".")[2]
    if settings.get("total_steps") is not None:
        raise ConfigError(
            f"{run.path}: its schedule {name} ends after scheduler.total_steps={settings['total_steps']}; "
            "only a run with scheduler.total_steps=null can be lengthened"
        )
    epochs = cfg.trainer.max_epochs
    if "total_steps" in settings:
        settings["total_steps"] = length
    elif all(settings.get(each) != epochs for each in _LENGTHS):
        return f"the schedule {name} continues, from the learning rate {rate:.3g}"
    fresh, state = _stepped(cfg, settings, groups, int(checkpoint["lr_schedulers"][0]["last_epoch"]))
    for group, new in zip(groups, fresh, strict=True):
        group.update({key: value for key, value in new.items() if key != "params"})
    checkpoint["lr_schedulers"][0] = state
    now = float(groups[0]["lr"])
    return (
        f"the schedule {name} becomes that of {counted(epochs, 'epoch')}: the learning rate changes from "
        f"{rate:.3g} to "
        f"{now:.3g} and continues from there; a single training of this length gives another result"
    )


def _stepped(
    cfg: DictConfig, settings: Mapping[str, Any], groups: list[dict[str, Any]], steps: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the optimizer's groups and the scheduler's state after some steps of the schedule."""
    given: Any = OmegaConf.to_container(cfg.optimizer) if cfg.get("optimizer") else None
    given = given or {"_target_": "torch.optim.Adam", "lr": 1e-3}
    rates = [
        {"params": [torch.zeros(1, requires_grad=True)], "lr": group.get("initial_lr", group["lr"])}
        for group in groups
    ]
    given = {key: value for key, value in given.items() if key != ENCODER_RATE}
    optimizer = build(given, Optimizer, rates)
    own = {key: value for key, value in settings.items() if key not in _OF_LIGHTNING}
    if all("max_lr" in group for group in groups):
        own["max_lr"] = [group["max_lr"] for group in groups]
    scheduler = build(own, LRScheduler, optimizer)
    assert not isinstance(scheduler, ReduceLROnPlateau)  # it has no length
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns if a scheduler steps before the optimizer
        for _ in range(steps):
            optimizer.step()
            scheduler.step()
    return optimizer.param_groups, scheduler.state_dict()
