"""What every task is: images in, ratio coordinates out, whatever stands between.

To add an approach:

1. subclass :class:`Task` in a file of its own here; build the network in ``__init__`` and return
   (B, K, 2) ratio coordinates from ``forward``; override :meth:`Task.compute_loss` if the loss is
   not one of coordinates;
2. name it in ``conf/model/<name>.yaml``.

Metrics, callbacks, checkpoints and reports then work as for any other.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from math import inf
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import LRSchedulerConfigType, OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from keypoints._version import __version__
from keypoints.components import (
    Component,
    build,
    configure,
    package_names,
    public_name,
    trusted_by_user,
    trusting,
)
from keypoints.data.dataset import Batch
from keypoints.data.provenance import HasProvenance, TrainedOn
from keypoints.errors import CheckpointError, ConfigError, one_line
from keypoints.geometry import Crop
from keypoints.landmarks import LandmarkScheme
from keypoints.models.budget import TooLargeError, bounded
from keypoints.models.pretrained import blank
from keypoints.tasks.checkpoint import CHECKPOINT_FORMAT, OURS, read_checkpoint
from keypoints.tasks.epoch_mean import EpochMean
from keypoints.tasks.metrics import validation_metrics
from keypoints.tasks.trusted_loss import RefusedLoss, build_loss, loss_name, losses_spared


class Located(NamedTuple):
    """Where landmarks are in B images."""

    points: Tensor
    """(B, K, 2) ratios of the input."""
    confidence: Tensor | None
    """(B, K) from 0 to 1, of tasks that give it."""


class Task(pl.LightningModule, ABC):
    """The part that all tasks share: loss, metrics, optimizer, and a checkpoint that is whole.

    Args:
        scheme: the landmarks to predict.
        crop: how a photo becomes an input; with the scheme, all that a user of the checkpoint needs.
        loss: a component called with predictions and targets, both (B, K, 2) ratios; MSE if none.
        optimizer: a component; Adam with learning rate 1e-3 if none.
        scheduler: a component, or none. Besides the class's own settings: ``interval``, ``epoch``
            (the default) or ``step``, and ``monitor``, the metric it watches. Where ``total_steps``
            is null, the length of the training is put in.
        hyperparameters: a subclass's own arguments, plain values, for the checkpoint.

    Scheme and crop may also be given as their plain values, as they stand in a checkpoint.

    Attributes:
        trained_on: of a task from a checkpoint, or with the weights of one, what that keeps of the training
            faces; ``None`` if it was trained without a datamodule of this package.
    """

    trained_on: TrainedOn | None = None
    logs_each_step: bool = False
    """Log the training loss at each step by Lightning, see :mod:`keypoints.tasks.epoch_mean`."""

    def __init__(
        self,
        scheme: LandmarkScheme | Mapping[str, Any],
        crop: Crop | Mapping[str, Any],
        loss: Component | None,
        optimizer: Component | None,
        scheduler: Component | None,
        **hyperparameters: Any,
    ) -> None:
        super().__init__()
        self.scheme = scheme if isinstance(scheme, LandmarkScheme) else LandmarkScheme.from_dict(scheme)
        self.crop = crop if isinstance(crop, Crop) else Crop.from_dict(crop)
        loss = loss or configure(nn.MSELoss)
        self._optimizer = optimizer or configure(torch.optim.Adam, lr=1e-3)
        self._scheduler = scheduler
        self.save_hyperparameters(
            {
                "scheme": self.scheme.to_dict(),
                "crop": self.crop.to_dict(),
                "loss": loss,
                "optimizer": self._optimizer,
                "scheduler": scheduler,
                **hyperparameters,
            },
            logger=False,
        )
        self.loss = build_loss(loss)
        self._trust = (
            trusted_by_user()
        )  # the optimizer is built later, perhaps where trust is not given again
        self.metrics = validation_metrics(self.scheme)
        self._validated = False
        self._flip_test = False
        self._epoch_mean = EpochMean()
        self.example_input_array = torch.zeros(1, self.crop.channels, self.crop.height, self.crop.width)

    @property
    def lr(self) -> float | None:
        """The optimizer's learning rate, under the name by which Lightning's LearningRateFinder sets it."""
        return self._optimizer.get("lr")

    @lr.setter
    def lr(self, rate: float) -> None:
        self._optimizer = {**self._optimizer, "lr": rate}
        self.hparams["optimizer"] = self._optimizer

    @property
    def logged(self) -> list[str]:
        """The names of the metrics that the task logs."""
        return ["loss/train", "loss/val", *map(str, self.metrics.keys())]

    @property
    def loss_words(self) -> tuple[str, str]:
        """What figures call the loss, and its unit."""
        name = loss_name(self.loss)
        if name == "MSELoss":
            return "MSE", "ratio² of the input"
        return {"L1Loss": "L1"}.get(name, name), "ratios of the input"

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) images in [-0.5, 0.5] to (B, K, 2) ratios of the input."""

    def locate(self, images: Tensor) -> Located:
        """Points as from ``forward``, and how sure each is where the task can say; see :meth:`flip_test`."""
        found = self._locate(images)
        if not self._flip_test:
            return found
        return _mean(found, _mirrored(self._locate(images.flip(-1)), self.scheme))

    def _locate(self, images: Tensor) -> Located:
        """What :meth:`locate` gives of these images alone; to be overridden where there is a confidence."""
        return Located(self(images), None)

    def flip_test(self) -> None:
        """From now on let :meth:`locate` look at the mirror image too, and give the mean of both.

        Raises:
            ConfigError: if the landmarks have no mirror image.
        """
        if self.scheme.flip_indices is None:
            raise ConfigError(
                f"flip_test: the landmarks of {self.scheme.name} have no mirror image of their own"
            )
        self._flip_test = True

    def start_from(self, other: "Task") -> list[str]:
        """Take the weights of a trained task that have a place here, by name and shape: fine-tuning.

        What that one was trained on, this one has met too, and its checkpoints say so.

        Args:
            other: as from :func:`load_task`.

        Returns:
            The names of this task's weights that begin anew, such as those of more landmarks or fewer.

        Raises:
            ValueError: if less than half of this task's weights are there.
        """
        own = self.state_dict()
        fitting = {
            name: value
            for name, value in other.state_dict().items()
            if name in own and own[name].shape == value.shape
        }
        found, wanted = (sum(each.numel() for each in weights.values()) for weights in (fitting, own))
        if 2 * found < wanted:
            raise ValueError(
                f"has {found:,} of this network's {wanted:,} weights; take the network that it was trained "
                "with"
            )
        self.load_state_dict({**own, **fitting})
        self.trained_on = other.trained_on
        return [name for name in own if name not in fitting]

    def compute_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss, a scalar, and the predictions, (B, K, 2) ratios."""
        predictions = self(batch.to_images())
        return self.loss(predictions, batch.targets), predictions

    def training_loss(self, batch: Batch) -> Tensor:
        """The loss alone; to be overridden where it can be had for less than with the predictions."""
        return self.compute_loss(batch)[0]

    def to_photo(self, ratios: Tensor, batch: Batch) -> Tensor:
        """(B, K, 2) ratios of the input to pixels of the photos."""
        return batch.in_photo(ratios, self.crop.size)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """The loss of a batch; its mean over the epoch is logged at the epoch's end."""
        loss = self.training_loss(batch)
        if self.logs_each_step:
            self.log(
                "loss/train",
                loss,
                on_step=False,
                on_epoch=True,
                batch_size=len(batch.targets),
                sync_dist=True,
            )
        else:
            self._epoch_mean.add(loss, len(batch.targets))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """The loss of a batch and the metrics, in pixels of the photos."""
        loss, predictions = self.compute_loss(batch)
        self.log("loss/val", loss, batch_size=len(batch.targets), sync_dist=True)
        self.metrics.update(
            self.to_photo(predictions, batch), self.to_photo(batch.targets, batch), batch.photo_sizes
        )

    def on_train_epoch_start(self) -> None:
        """Forget the losses of steps that no epoch ended, such as those of a batch size that was tried."""
        self._epoch_mean.reset()

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the epoch, which have added up over processes by themselves."""
        self.log_dict(self.metrics.compute(), sync_dist=True)
        self.metrics.reset()
        self._validated = not self.trainer.sanity_checking

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer and, if there is one, the scheduler."""
        with trusting(*self._trust):
            return self._optimizers()

    def _optimizers(self) -> OptimizerLRScheduler:
        optimizer = build(self._optimizer, Optimizer, self.parameters())
        if self._scheduler is None:
            return optimizer
        settings = dict(self._scheduler)
        schedule: LRSchedulerConfigType = {
            "interval": settings.pop("interval", "epoch"),
            "monitor": settings.pop("monitor", None),
            "strict": False,  # an epoch that is not validated has no metric, see on_train_epoch_end
            "scheduler": None,  # type: ignore[typeddict-item]
        }
        if "total_steps" in settings and settings["total_steps"] is None:
            steps = self.trainer.estimated_stepping_batches
            if steps == inf:
                raise ConfigError(
                    "scheduler.total_steps is the length of the training, which has no end here: set "
                    "trainer.max_epochs or trainer.max_steps"
                )
            settings["total_steps"] = int(steps)
        schedule["scheduler"] = build(settings, LRScheduler, optimizer)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        """One step of a scheduler, except those that watch a metric: see :meth:`on_train_epoch_end`."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's loss; step the schedulers that watch a metric, if it was measured in this epoch.

        Lightning would do it once the epoch's checkpoint is written, so that a run resumed from it
        lacked the step.
        """
        if self._epoch_mean:
            mean, faces = self._epoch_mean.compute(), self._epoch_mean.faces
            self.log("loss/train", mean, batch_size=faces, sync_dist=True)
            self._epoch_mean.reset()
        validated, self._validated = self._validated, False
        for config in self.trainer.lr_scheduler_configs:
            watches = config.monitor == "loss/train" or validated
            if isinstance(config.scheduler, ReduceLROnPlateau) and watches:
                known = self.trainer.callback_metrics
                if config.monitor not in known:
                    names = ", ".join(sorted(known))
                    raise ConfigError(f"scheduler.monitor={config.monitor} is not logged; these are: {names}")
                config.scheduler.step(float(known[config.monitor]))

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path,
        map_location: Any = None,
        *,
        trust: str | Iterable[str] | None = None,
        **changed: Any,
    ) -> Self:
        """Return the task in a checkpoint, as :func:`load_task` does: no code of the file is run.

        Args:
            checkpoint_path: the checkpoint.
            map_location: the device, as torch names it; the CPU if none.
            trust: as of :func:`load_task`.
            changed: arguments of the class to build it with instead of those of the file.

        Raises:
            CheckpointError: as :func:`load_task`, or if the file holds a task of another class.
        """
        for name in ("hparams_file", "strict", "weights_only"):  # Lightning's own
            if changed.pop(name, None) not in (None, True):
                raise ConfigError(f"load_from_checkpoint: {name} cannot be given: the checkpoint is whole")
        path = Path(checkpoint_path)
        with trusting(*package_names(trust)):
            task = _built(path, read_checkpoint(path), **changed)
        if not isinstance(task, cls):
            raise CheckpointError(f"{path}: holds a {type(task).__name__}, and no {cls.__name__}")
        return task.to(map_location or "cpu")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say what the file is and what it was trained on, so that it can be read without any other."""
        data = getattr(self._trainer, "datamodule", None)
        trained_on = (
            data.trained_on().after(self.trained_on) if isinstance(data, HasProvenance) else self.trained_on
        )
        checkpoint[OURS] = {
            "format": CHECKPOINT_FORMAT,
            "version": __version__,
            "task": public_name(type(self)),
            "trained_on": None if trained_on is None else trained_on._asdict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Of a run that goes on: remember what it had met."""
        if (trained_on := checkpoint.get(OURS, {}).get("trained_on")) is not None:
            self.trained_on = TrainedOn(**trained_on)


def _mirrored(found: Located, scheme: LandmarkScheme) -> Located:
    """What was found in mirrored images, in the images themselves."""
    order = list(scheme.flip_indices or ())
    x, y = found.points[:, order].unbind(-1)
    confidence = None if found.confidence is None else found.confidence[:, order]
    return Located(torch.stack([1 - x, y], -1), confidence)


def _mean(one: Located, other: Located) -> Located:
    confidence = None
    if one.confidence is not None and other.confidence is not None:
        confidence = (one.confidence + other.confidence) / 2
    return Located((one.points + other.points) / 2, confidence)


def load_task(path: str | Path, *, flip_test: bool = False, trust: str | Iterable[str] | None = None) -> Task:
    """Return the task in a checkpoint, on the CPU, in evaluation mode. Nothing but the file is needed.

    Only classes of trusted packages are built. A loss that is not trusted is left out: the task predicts,
    and raises a :class:`~keypoints.errors.ConfigError` where it is asked for its loss.

    Args:
        path: the checkpoint.
        flip_test: let it look at mirror images too, see :meth:`Task.flip_test`.
        trust: packages of your own whose code the checkpoint may name; see :mod:`keypoints.components`.

    Raises:
        CheckpointError: as :func:`read_checkpoint`, or if what it describes cannot be built, is not trusted,
            or is far larger than the file.
        ConfigError: if there is to be a flip test and the landmarks have no mirror image, or ``trust`` names
            no package.
    """
    checkpoint = read_checkpoint(path)
    with trusting(*package_names(trust)):
        task = _built(Path(path), checkpoint)
    if flip_test:
        task.flip_test()
    return task.eval()


def _built(path: Path, checkpoint: Mapping[str, Any], **changed: Any) -> Task:
    """Return the task of a checkpoint that was read; ``changed`` are arguments to build it with instead."""
    try:
        component = {**checkpoint["hyper_parameters"], **changed, "_target_": checkpoint[OURS]["task"]}
        weights = checkpoint["state_dict"]
        with blank(), losses_spared(), bounded(_numbers(weights), len(weights)):
            task = build(component, Task)
        refused = tuple(f"{name}." for name, part in task.named_modules() if isinstance(part, RefusedLoss))
        for name in [name for name in weights if name.startswith(refused)]:
            del weights[name]  # in place: torch keeps versions of layers beside the names
        task.load_state_dict(weights)
        if (trained_on := checkpoint[OURS].get("trained_on")) is not None:
            task.trained_on = TrainedOn(**trained_on)
            if len(task.trained_on.mean) != len(task.scheme):
                raise CheckpointError(
                    f"{path}: the mean of its training faces has other landmarks than it predicts"
                )
    except TooLargeError as error:
        raise CheckpointError(f"{path}: {error}; it is damaged, or was changed") from error
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except KeyError as error:
        raise CheckpointError(f"{path}: lacks {error}; it is damaged, or was changed") from error
    except (TypeError, ValueError, AttributeError, RuntimeError, MemoryError) as error:
        raise CheckpointError(
            f"{path}: its weights do not fit its network ({one_line(error)[:200]})"
        ) from error
    return task


def _numbers(weights: Mapping[str, Tensor]) -> int:
    """Return how many numbers the weights hold together; several may be views of the same ones."""
    storages = {each.untyped_storage().data_ptr(): each for each in weights.values()}
    return sum(each.untyped_storage().nbytes() // each.element_size() for each in storages.values())


def usable_device(name: str = "auto") -> str:
    """The device of that name, as torch calls it; for ``auto`` a GPU where there is one, else the CPU.

    Raises:
        ConfigError: if it cannot be used here.
    """
    chosen = name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ConfigError(
            f"device={name} cannot be used here ({one_line(error)[:120]}); try device=cpu"
        ) from error
    return chosen
