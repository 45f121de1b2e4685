"""Stop of a training whose loss becomes NaN or infinite."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from keypoints.data.dataset import Batch
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import TrainingError, some_of

_EVERY = 50
"""Steps between two checks where a check costs time."""
_NAMED = 8
"""Largest number of faces that the message names."""


class _Step(NamedTuple):
    number: int
    loss: float
    indices: list[int]


class FiniteLoss(pl.Callback):
    """Check that stops a training at the first NaN or infinite loss, before a checkpoint saves its weights.

    A single process on a CPU checks every step. A check on a GPU has to wait for the GPU, and each of several
    processes has to wait for the others: there the losses are collected and checked every 50 steps, and
    before each validation and checkpoint. In both cases, the message names the first bad step.

    Raises:
        TrainingError: names the step, the faces of its batch, the checkpoints that are left, and what to try.
    """

    def __init__(self) -> None:
        self._unread: list[tuple[int, Tensor, Tensor]] = []

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Collect the step's loss, and check the losses if that is cheap or due."""
        if not outputs:  # the task skipped the batch: its training_step returned None
            return
        self._unread.append((trainer.global_step - 1, outputs["loss"], batch.indices))
        if _checks_each_step(trainer, pl_module) or len(self._unread) >= _EVERY:
            self._check_losses(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Check the losses not checked yet."""
        self._check_losses(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Check the validation loss: the epoch's last step may have made the weights NaN."""
        loss = float(trainer.callback_metrics.get("loss/val", 0.0))
        if not math.isfinite(loss):
            step = max(0, trainer.global_step - 1)
            raise TrainingError(_message(trainer, step, "validation loss", loss))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Check the losses not checked yet, if the epoch was not validated."""
        self._check_losses(trainer)

    def _check_losses(self, trainer: pl.Trainer) -> None:
        unread, self._unread = self._unread, []
        losses = ((step, loss.item(), indices) for step, loss, indices in unread)
        bad = next(
            (
                _Step(step, loss, indices.tolist())
                for step, loss, indices in losses
                if not math.isfinite(loss)
            ),
            None,
        )
        if (first := _first_of_all(bad, trainer.world_size)) is not None:
            raise TrainingError(_message(trainer, first.number, "loss", first.loss, first.indices))


def _checks_each_step(trainer: pl.Trainer, pl_module: pl.LightningModule) -> bool:
    return trainer.world_size == 1 and pl_module.device.type == "cpu"


def _first_of_all(bad: _Step | None, processes: int) -> _Step | None:
    """Return the earliest bad step of all processes, to each of them, so that they stop together."""
    if processes == 1:
        return bad
    found: list[_Step | None] = [None] * processes
    torch.distributed.all_gather_object(found, bad)
    return min((step for step in found if step is not None), key=lambda step: step.number, default=None)


def _message(trainer: pl.Trainer, step: int, what: str, loss: float, indices: Sequence[int] = ()) -> str:
    checkpoints = [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
    good = ", ".join(each.best_model_path for each in checkpoints if each.best_model_path)
    rate = trainer.optimizers[0].param_groups[0]["lr"]
    return (
        f"step {step} of epoch {trainer.current_epoch}: the {what} is {loss}{_faces(trainer, indices)}; "
        f"train again with a smaller optimizer.lr (here it was {rate:.3g}) or trainer.gradient_clip_val=1; "
        + (f"good checkpoints are kept: {good}" if good else "no epoch had ended, so no checkpoint is kept")
    )


def _faces(trainer: pl.Trainer, indices: Sequence[int]) -> str:
    data = trainer.datamodule  # type: ignore[attr-defined]
    if not indices or not isinstance(data, FaceDataModule):
        return ""
    faces = data.dataset("train").faces
    names = [faces[index].photo.path.name for index in indices]
    return f" with {some_of(names, _NAMED)}"
