"""Base class of the tasks: a task maps images to ratio coordinates, by any kind of network.

To add an approach:

1. Subclass :class:`Task` in a new file of this package. Build the network in ``__init__`` and return
   (B, K, 2) ratio coordinates from ``forward``. Override :meth:`Task.compute_loss` if the loss does not
   compare coordinates.
2. Reference it in ``conf/model/<name>.yaml``.

Metrics, callbacks, checkpoints and reports then work as for every task.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import LRSchedulerConfigType, OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import MetricCollection

from keypoints._version import __version__
from keypoints.components import (
    Component,
    build,
    configure,
    package_names,
    public_name,
    recorded,
    target_of,
    trusted_by_user,
    trusting,
)
from keypoints.confidence import ConfidenceCalibration
from keypoints.crop import Crop
from keypoints.data.dataset import Batch, check_batch
from keypoints.data.provenance import HasProvenance, TrainedOn
from keypoints.errors import CheckpointError, ConfigError, one_line
from keypoints.formatting import counted
from keypoints.landmarks import LandmarkScheme
from keypoints.library_versions import library_versions
from keypoints.models.budget import TooLargeError, bounded
from keypoints.models.pretrained import blank
from keypoints.tasks.checkpoint import CHECKPOINT_FORMAT, OURS, read_checkpoint
from keypoints.tasks.confidence_errors import ConfidenceErrors
from keypoints.tasks.encoder_rate import ENCODER_RATE, checked_rate, encoder_layers, parameters_of
from keypoints.tasks.epoch_mean import EpochMean
from keypoints.tasks.labelled_mean import coordinate_loss
from keypoints.tasks.metrics import validation_metrics
from keypoints.tasks.step_loss import StepLoss
from keypoints.tasks.trusted_loss import RefusedLoss, build_loss, loss_name, untrusted_losses_left_out

log = logging.getLogger(__name__)


class Located(NamedTuple):
    """Predicted landmarks of B images."""

    points: Tensor
    """(B, K, 2) ratios of the input."""
    confidence: Tensor | None
    """(B, K) from 0 to 1; ``None`` for a task without confidences."""


class Predicted(NamedTuple):
    """Predicted landmarks of B faces, as ``Trainer.predict`` returns them for each batch."""

    points: Tensor
    """(B, K, 2) pixels of the photos."""
    confidence: Tensor | None
    """(B, K) from 0 to 1; ``None`` for a task without confidences."""
    indices: Tensor
    """(B,) int64: indices of the faces in the dataset."""


class Task(pl.LightningModule, ABC):
    """Base class of the tasks: loss, metrics, optimizer, and checkpoints that need no other file.

    Args:
        scheme: landmarks to predict; a :class:`LandmarkScheme`, or its plain values as in a checkpoint.
        crop: crop that makes the input from a photo; a :class:`Crop`, or its plain values.
        loss: component called with predictions and targets, both (B, K, 2) ratios; MSE if ``None``. Like
            the network, it may be an object; a checkpoint then holds its weights and the name of its class.
        optimizer: component; Adam with learning rate 1e-3 if ``None``. Besides the settings of its class it
            may have ``encoder_lr``, the learning rate of the encoder; 0 freezes it and its batch statistics.
        scheduler: component, or ``None``. Besides the settings of its class it may have ``interval``,
            ``epoch`` (the default) or ``step``, and ``monitor``, the metric that it watches. If
            ``total_steps`` is null, it is set to the number of steps of the training.
        hyperparameters: further arguments of a subclass, as plain values, for the checkpoint.

    Attributes:
        trained_on: provenance of the training faces, for a task that is loaded or initialised from a
            checkpoint; ``None`` if it was trained without a datamodule of this package.
        versions: versions of the libraries that wrote the checkpoint from which the task was loaded, see
            :mod:`keypoints.library_versions`; empty for an older one.
        confidence_calibration: errors of the validation faces by their confidence; ``None`` without
            confidences, before the first validation, and from an older checkpoint.
    """

    trained_on: TrainedOn | None = None
    versions: Mapping[str, str] = MappingProxyType({})
    confidence_calibration: ConfidenceCalibration | None = None
    logs_each_step: bool = False
    """True to log the training loss through Lightning at each step, see :mod:`keypoints.tasks.epoch_mean`."""

    def __init__(
        self,
        scheme: LandmarkScheme | Mapping[str, Any],
        crop: Crop | Mapping[str, Any],
        loss: Component | nn.Module | None,
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
        for name, component in (("optimizer", self._optimizer), ("scheduler", scheduler)):
            _check_component(name, component)
        self.save_hyperparameters(
            {
                "scheme": self.scheme.to_dict(),
                "crop": self.crop.to_dict(),
                "loss": recorded(loss),
                "optimizer": self._optimizer,
                "scheduler": scheduler,
                **hyperparameters,
            },
            logger=False,
        )
        self.loss = build_loss(loss)
        self._trust = trusted_by_user()  # the optimizer is built later, possibly outside a trusting block
        self.metrics = validation_metrics(self.scheme)
        self._confidence_errors = ConfidenceErrors(self.scheme)
        self._further_metrics: list[MetricCollection] = []  # of the second loader, the third, …
        self._validated = False
        self._flip_test = False
        self._epoch_mean = EpochMean()
        self._step_loss = StepLoss()
        self.example_input_array = torch.zeros(1, self.crop.channels, self.crop.height, self.crop.width)

    def extra_repr(self) -> str:
        """Return landmarks, input, loss, optimizer and the number of weights, for ``repr``."""
        crop, weights = self.crop, sum(each.numel() for each in self.parameters())
        return (
            f"{counted(len(self.scheme), 'point')} of {self.scheme.name}; "
            f"input {crop.channels} × {crop.height} × {crop.width}; "
            f"loss {self.loss_words[0]}; {_class_of(self._optimizer)}, "
            f"lr {self._optimizer.get('lr', 'of its class')}; {counted(f'{weights:,}', 'weight')}"
        )

    @property
    def lr(self) -> float | None:
        """Learning rate of the optimizer; Lightning's LearningRateFinder sets it by this name."""
        return self._optimizer.get("lr")

    @lr.setter
    def lr(self, rate: float) -> None:
        self._optimizer = {**self._optimizer, "lr": rate}
        self.hparams["optimizer"] = self._optimizer

    @property
    def logged(self) -> list[str]:
        """Names of the metrics that the task logs."""
        return ["loss/train", "loss/val", *map(str, self.metrics.keys())]

    @property
    def running_loss(self) -> float | None:
        """Mean training loss of this process's steps of the epoch so far; ``None`` before its first step."""
        return float(self._epoch_mean.compute()) if self._epoch_mean else None

    @property
    def loss_words(self) -> tuple[str, str]:
        """Name of the loss in figures, and its unit."""
        name = loss_name(self.loss)
        if name == "MSELoss":
            return "MSE", "ratio² of the input"
        return {"L1Loss": "L1"}.get(name, name), "ratios of the input"

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) images in [-0.5, 0.5] to (B, K, 2) ratios of the input."""

    def locate(self, images: Tensor) -> Located:
        """Predict points and, if the task has them, confidences; see also :meth:`flip_test`.

        Args:
            images: (B, C, H, W) in [-0.5, 0.5].

        Returns:
            The points, as from ``forward``, and their confidences.
        """
        located = self._locate(images)
        if not self._flip_test:
            return located
        return _mean(located, _mirror_back(self._locate(images.flip(-1)), self.scheme))

    def _locate(self, images: Tensor) -> Located:
        """Predict without the flip test. A task with confidences overrides this method."""
        return Located(self(images), None)

    def flip_test(self) -> None:
        """Let :meth:`locate` return the mean over an image and its mirrored copy from now on.

        Raises:
            ConfigError: if the landmarks have no mirror permutation.
        """
        if self.scheme.flip_indices is None:
            raise ConfigError(
                f"flip_test: the landmarks of {self.scheme.name} cannot be mirrored; set flip_test=false"
            )
        self._flip_test = True

    def start_from(self, other: "Task") -> list[str]:
        """Initialise this task from a trained task, for fine-tuning.

        Copies the weights that have the same name and shape in both tasks. The training data of the other
        task count as training data of this one too, and its checkpoints record them.

        Args:
            other: trained task, as from :func:`load_task`.

        Returns:
            The names of the weights that are initialised from scratch, for example because the number of
            landmarks differs.

        Raises:
            ValueError: if fewer than half of this task's weights can be copied.
        """
        own = self.state_dict()
        fitting = {
            name: value
            for name, value in other.state_dict().items()
            if name in own and own[name].shape == value.shape
        }
        copied, wanted = (sum(each.numel() for each in weights.values()) for weights in (fitting, own))
        if 2 * copied < wanted:
            raise ValueError(
                f"has {copied:,} of this network's {counted(f'{wanted:,}', 'weight')}; take the network "
                "that it was trained with"
            )
        self.load_state_dict({**own, **fitting})
        self.trained_on = other.trained_on
        return [name for name in own if name not in fitting]

    def compute_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Compute the loss and the predictions of a batch.

        Args:
            batch: the faces, B.

        Returns:
            The loss, a scalar, and the predictions, (B, K, 2) ratios of the input.
        """
        predictions = self(batch.to_images())
        return self.coordinate_loss(predictions, batch), predictions

    def located_loss(self, batch: Batch) -> tuple[Tensor, Located]:
        """Compute the loss and the predictions of a batch, with confidences if the task has them.

        A task with confidences overrides this method, to calibrate them in each validation.

        Args:
            batch: the faces, B.

        Returns:
            The loss, a scalar, and the predictions.
        """
        loss, points = self.compute_loss(batch)
        return loss, Located(points, None)

    def coordinate_loss(self, predictions: Tensor, batch: Batch) -> Tensor:
        """Compute the loss over the labelled points; a point without a label has no gradient.

        Args:
            predictions: (B, K, 2) ratios of the input.
            batch: the faces, B.

        Returns:
            The loss, a scalar: the mean over the labelled points of all processes' batches.
        """
        count = self.labelled_points(batch)
        return coordinate_loss(self.loss, predictions, batch.targets, batch.labelled, count)

    def labelled_points(self, batch: Batch) -> Tensor | None:
        """Count the labelled points of a batch, in training on average over the processes.

        Args:
            batch: the faces, B.

        Returns:
            The number, a scalar; ``None`` if all points of the dataset are labelled.
        """
        if not batch.lacks_labels:
            return None
        count = batch.labelled.sum().float()
        trainer = self._trainer
        if self.training and trainer is not None and trainer.world_size > 1:
            count = trainer.strategy.reduce(count, reduce_op="mean")
        return count

    def training_loss(self, batch: Batch) -> Tensor:
        """Compute the loss alone. A subclass overrides this method if that is cheaper without predictions.

        Args:
            batch: the faces, B.

        Returns:
            The loss, a scalar.
        """
        return self.compute_loss(batch)[0]

    def to_photo(self, ratios: Tensor, batch: Batch) -> Tensor:
        """Map points from ratios of the input to pixels of the photos.

        Args:
            ratios: (B, K, 2) ratios of the input.
            batch: the faces, B.

        Returns:
            (B, K, 2) pixels of the photos.
        """
        return batch.in_photo(ratios, self.crop.size)

    def on_fit_start(self) -> None:
        """Log loss, optimizer and schedule: a task that was made without them has the default ones."""
        schedule = "none" if self._scheduler is None else _class_of(self._scheduler)
        log.info(
            "loss: %s; optimizer: %s, lr %s; schedule: %s",
            self.loss_words[0],
            _class_of(self._optimizer),
            self._optimizer.get("lr", "of its class"),
            schedule,
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the loss of a batch; its mean over the epoch is logged at the epoch's end."""
        check_batch(batch, self.crop, len(self.scheme))
        loss, labelled = self.training_loss(batch), self.labelled_points(batch)
        if self.logs_each_step:
            self.log(
                "loss/train",
                loss,
                on_step=False,
                on_epoch=True,
                batch_size=self._weight(batch, labelled),
                sync_dist=True,
            )
        else:
            self._epoch_mean.add(loss, len(batch.targets), labelled)
        return loss

    def _weight(self, batch: Batch, labelled: Tensor | None) -> int:
        """Return the weight of a batch's loss in an epoch's mean: its faces, or its labelled points.

        Args:
            batch: the faces.
            labelled: result of :meth:`labelled_points`; it is multiplied by the processes to be an integer.
        """
        if labelled is None:
            return len(batch.targets)
        return round(float(labelled) * (self.trainer.world_size if self.training else 1))

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:  # noqa: ARG002
        """Log the loss of a batch and update the metrics of its loader, in pixels of the photos."""
        (points, confidence), truth = self._measure(batch, "loss/val", dataloader_idx)
        if confidence is not None and dataloader_idx == 0:
            self._confidence_errors.update(confidence, points, truth, batch.photo_sizes)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:  # noqa: ARG002
        """Log the loss of a batch and update the metrics, as in a validation; the names begin with test."""
        self._measure(batch, "loss/test", dataloader_idx)

    def predict_step(
        self,
        batch: Batch | Tensor,
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,  # noqa: ARG002
    ) -> Predicted | Tensor:
        """Predict the landmarks of a batch.

        Args:
            batch: the faces, B; or only inputs, (B, C, H, W) in [-0.5, 0.5].
            batch_idx: number of the batch.
            dataloader_idx: number of its loader, if there are several.

        Returns:
            Points in pixels of the photos, and confidences; for inputs alone, (B, K, 2) ratios of the input.
        """
        if isinstance(batch, Tensor):
            self._check_inputs(batch)
            return self.locate(batch).points
        check_batch(batch, self.crop, len(self.scheme))
        points, confidence = self.locate(batch.to_images())
        return Predicted(self.to_photo(points, batch), confidence, batch.indices)

    def _check_inputs(self, images: Tensor) -> None:
        """Check the type and the shape of inputs that were given without their faces."""
        needed = self.crop.channels, self.crop.height, self.crop.width
        if not images.is_floating_point() or images.ndim != 4 or images.shape[1:] != needed:
            kind, shape = str(images.dtype).removeprefix("torch."), tuple(images.shape)
            raise ConfigError(
                f"the loader gave inputs of type {kind} and shape {shape}, not of type float32, -0.5 to 0.5, "
                f"and shape (B, {', '.join(map(str, needed))}): channels, height and width of the task's crop"
            )

    def _measure(self, batch: Batch, name: str, loader: int) -> tuple[Located, Tensor]:
        """Log the loss of a batch, update the metrics of its loader, and return what was compared.

        Returns:
            The predicted and the true points, both in pixels of the photos.
        """
        check_batch(batch, self.crop, len(self.scheme))
        loss, located = self.located_loss(batch)
        weight = self._weight(batch, self.labelled_points(batch))
        self.log(name, loss, batch_size=weight, sync_dist=True)
        while loader > len(self._further_metrics):
            self._further_metrics.append(validation_metrics(self.scheme).to(self.device))
        metrics = self._further_metrics[loader - 1] if loader else self.metrics
        points, truth = self.to_photo(located.points, batch), self.to_photo(batch.targets, batch)
        metrics.update(points, truth, batch.photo_sizes)
        return Located(points, located.confidence), truth

    def on_train_epoch_start(self) -> None:
        """Discard losses of steps outside an epoch, such as steps of Lightning's batch size finder."""
        self._epoch_mean.reset()
        self._step_loss.begin(self.trainer.global_step)
        if self._optimizer.get(ENCODER_RATE) == 0:
            for layer in encoder_layers(self._network()):
                layer.training = False  # keeps the statistics of batch normalisation

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Log the loss of the step, every ``log_every_n_steps`` steps."""
        if outputs:  # None if training_step skipped the batch
            self._step_loss.add(outputs["loss"], self.trainer)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the epoch; they are reduced over processes by torchmetrics."""
        self.log_dict(self._measured(), sync_dist=True)
        self._validated = not self.trainer.sanity_checking
        if self._validated:
            self.confidence_calibration = self._confidence_errors.calibration()
        self._confidence_errors.reset()

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test faces."""
        measured = self._measured()
        self.log_dict(
            {f"test/{name.removeprefix('val/')}": value for name, value in measured.items()}, sync_dist=True
        )

    def _measured(self) -> dict[str, Any]:
        """Return the metrics, and reset them; of several loaders as ``val/mse/loader_0`` and so on.

        Lightning would print ``dataloader_idx_0`` with the last loader's value in the columns of all loaders.
        """
        collections = [self.metrics, *self._further_metrics]
        measured = {}
        for loader, metrics in enumerate(collections):
            suffix = f"/loader_{loader}" if len(collections) > 1 else ""
            measured.update({f"{name}{suffix}": value for name, value in metrics.compute().items()})
            metrics.reset()
        self._further_metrics.clear()
        return measured

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and, if there is one, the scheduler."""
        with trusting(*self._trust):
            return self._optimizers()

    def _optimizers(self) -> OptimizerLRScheduler:
        optimizer = self._built_optimizer()
        if self._scheduler is None:
            return optimizer
        settings = dict(self._scheduler)
        if len(optimizer.param_groups) > 1 and isinstance(highest := settings.get("max_lr"), int | float):
            first = optimizer.param_groups[0]["lr"]
            settings["max_lr"] = [highest * group["lr"] / first for group in optimizer.param_groups]
        schedule: LRSchedulerConfigType = {
            "interval": settings.pop("interval", "epoch"),
            "monitor": settings.pop("monitor", None),
            "strict": False,  # an epoch without validation has no metric, see on_train_epoch_end
            "scheduler": None,  # type: ignore[typeddict-item]
        }
        if "total_steps" in settings and settings["total_steps"] is None:
            steps = self.trainer.estimated_stepping_batches
            if steps == inf:
                raise ConfigError(
                    "scheduler.total_steps is the length of the training, which has no end here; set "
                    "trainer.max_epochs or trainer.max_steps"
                )
            settings["total_steps"] = int(steps)
        schedule["scheduler"] = build(settings, LRScheduler, optimizer)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _built_optimizer(self) -> Optimizer:
        """Build the optimizer; the encoder has a group of its own if it has its own learning rate."""
        component = {name: value for name, value in self._optimizer.items() if name != ENCODER_RATE}
        rate = checked_rate(self._optimizer.get(ENCODER_RATE))
        if rate is None:
            return build(component, Optimizer, self.parameters())
        encoder = parameters_of(encoder_layers(self._network()))
        known = set(encoder)
        groups: list[dict[str, Any]] = [{"params": [each for each in self.parameters() if each not in known]}]
        if rate > 0:
            groups.append({"params": encoder, "lr": rate})
        for each in encoder:
            each.requires_grad_(rate > 0)
        return build(component, Optimizer, groups)

    def _network(self) -> nn.Module:
        net = getattr(self, "net", self)
        return net if isinstance(net, nn.Module) else self

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        """Step a scheduler, unless it watches a metric: see :meth:`on_train_epoch_end`."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's loss; step the schedulers that watch a metric, if it was measured in this epoch.

        Lightning would step them only after it has written the epoch's checkpoint, so a run that resumes
        from that checkpoint would miss the step.
        """
        self._step_loss.log(self.trainer)
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
                    raise ConfigError(
                        f"scheduler.monitor={config.monitor} is not logged; the logged metrics are: {names}"
                    )
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
        """Return the task of a checkpoint, as :func:`load_task` does, without running code from the file.

        Args:
            checkpoint_path: checkpoint file.
            map_location: device, as torch names it; the CPU if ``None``.
            trust: see :func:`load_task`.
            changed: arguments of the class that replace those in the file.

        Returns:
            The task, in training mode.

        Raises:
            CheckpointError: as for :func:`load_task`, or if the file holds a task of another class.
            ConfigError: if an argument of Lightning's method is given that does not apply here, or ``trust``
                names no package.
        """
        for name in ("hparams_file", "strict", "weights_only"):  # arguments of Lightning's method
            if changed.pop(name, None) not in (None, True):
                raise ConfigError(
                    f"load_from_checkpoint: {name} does not apply, as checkpoints are complete; leave it out"
                )
        path = Path(checkpoint_path)
        with trusting(*package_names(trust)):
            task = _build_task(path, read_checkpoint(path), **changed)
        if not isinstance(task, cls):
            raise CheckpointError(f"{path}: holds a {type(task).__name__}, not a {cls.__name__}")
        return task.to(map_location or "cpu")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the format, the versions, the task's class and the provenance of the training data."""
        data = getattr(self._trainer, "datamodule", None)
        trained_on = (
            data.trained_on().after(self.trained_on) if isinstance(data, HasProvenance) else self.trained_on
        )
        calibration = self.confidence_calibration
        checkpoint[OURS] = {
            "format": CHECKPOINT_FORMAT,
            "version": __version__,
            "versions": library_versions(),
            "task": public_name(type(self)),
            "trained_on": None if trained_on is None else trained_on._asdict(),
            "confidence_calibration": None if calibration is None else calibration.to_dict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore provenance and calibration when a run resumes."""
        self.confidence_calibration = _calibration(checkpoint.get(OURS, {}))
        if (trained_on := checkpoint.get(OURS, {}).get("trained_on")) is not None:
            self.trained_on = TrainedOn(**trained_on)


def _mirror_back(mirrored: Located, scheme: LandmarkScheme) -> Located:
    """Convert predictions in mirrored copies to predictions in the images themselves."""
    order = list(scheme.flip_indices or ())
    x, y = mirrored.points[:, order].unbind(-1)
    confidence = None if mirrored.confidence is None else mirrored.confidence[:, order]
    return Located(torch.stack([1 - x, y], -1), confidence)


def _calibration(own: Mapping[str, Any]) -> ConfidenceCalibration | None:
    kept = own.get("confidence_calibration")
    return None if kept is None else ConfidenceCalibration.from_dict(kept)


def _check_component(name: str, component: object) -> None:
    """Check that an argument of a task is a component or ``None``.

    Raises:
        ConfigError: if it is, for example, a class or a function.
    """
    try:
        if component is not None:
            target_of(component)
    except ConfigError as error:
        raise type(error)(f"{name}: {error}") from error


def _class_of(component: Component) -> str:
    return str(component.get("_target_")).rpartition(".")[2]


def _mean(one: Located, other: Located) -> Located:
    confidence = None
    if one.confidence is not None and other.confidence is not None:
        confidence = (one.confidence + other.confidence) / 2
    return Located((one.points + other.points) / 2, confidence)


def load_task(
    path: str | Path,
    *,
    flip_test: bool = False,
    trust: str | Iterable[str] | None = None,
    **parts: nn.Module,
) -> Task:
    """Return the task of a checkpoint, on the CPU, in evaluation mode. No other file is needed.

    Only classes of trusted packages are built. A loss that is not trusted is left out: the task can predict,
    but raises a :class:`~keypoints.errors.ConfigError` when its loss is computed.

    Args:
        path: checkpoint file.
        flip_test: predict the mean over an image and its mirrored copy, see :meth:`Task.flip_test`.
        trust: packages of the user whose classes the checkpoint may name; see :mod:`keypoints.components`.
        parts: network or loss, by the argument's name, of a task that was made with such objects.

    Returns:
        The task.

    Raises:
        CheckpointError: as for :func:`read_checkpoint`, or if the task cannot be built, is not trusted, or is
            far larger than the file.
        ConfigError: if ``flip_test`` is true but the landmarks have no mirror permutation, or ``trust`` names
            no package.
    """
    checkpoint = read_checkpoint(path)
    with trusting(*package_names(trust)):
        task = _build_task(Path(path), checkpoint, **parts)
    if flip_test:
        task.flip_test()
    return task.eval()


def _build_task(path: Path, checkpoint: Mapping[str, Any], **changed: Any) -> Task:
    """Build the task of a checkpoint's contents; ``changed`` are arguments that replace those in the file."""
    try:
        component = {**checkpoint["hyper_parameters"], **changed, "_target_": checkpoint[OURS]["task"]}
        weights = checkpoint["state_dict"]
        with blank(), untrusted_losses_left_out(), bounded(_count_numbers(weights), len(weights)):
            task = build(component, Task)
        refused = tuple(f"{name}." for name, part in task.named_modules() if isinstance(part, RefusedLoss))
        for name in [name for name in weights if name.startswith(refused)]:
            del weights[name]  # in place, to keep the versions of layers that torch attaches to the dict
        task.load_state_dict(weights)
        task.versions = checkpoint[OURS].get("versions", {})
        task.confidence_calibration = _calibration(checkpoint[OURS])
        if (trained_on := checkpoint[OURS].get("trained_on")) is not None:
            task.trained_on = TrainedOn(**trained_on)
            if len(task.trained_on.mean) != len(task.scheme):
                raise CheckpointError(f"{path}: its mean training face has other landmarks than it predicts")
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


def _count_numbers(weights: Mapping[str, Tensor]) -> int:
    """Count the numbers of all weights together; shared storage counts once."""
    storages = {each.untyped_storage().data_ptr(): each for each in weights.values()}
    return sum(each.untyped_storage().nbytes() // each.element_size() for each in storages.values())


def usable_device(name: str = "auto") -> str:
    """Return torch's name of a device; for ``auto`` a GPU if there is one, else the CPU.

    Raises:
        ConfigError: if the device cannot be used here.
    """
    chosen = name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ConfigError(
            f"device={name} cannot be used here ({one_line(error)[:120]}); try device=cpu"
        ) from error
    return chosen
