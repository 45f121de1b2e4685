"""Training in three ways, whose epochs are timed: by ``keypoints train``, a bare loop, a Lightning template.

Each way trains the same network on the same batches with the same optimizer and schedule, validates after
each epoch, and runs in a process of its own: ``python -m keypoints.benchmark.peer_training <way> <run>
<epochs> <threads> <file>`` for the peers, and the command line with :class:`EpochClock` for ours.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from keypoints.data.dataset import Batch, FaceDataset, full_batch
from keypoints.datamodules.base import FaceDataModule
from keypoints.files import write_atomically
from keypoints.instantiate import make_data, make_task
from keypoints.runs.run_folder import RunFolder
from keypoints.tasks.regression import RegressionTask

_VALIDATED = 64
"""Validation faces in a batch, as in ours."""


class Seconds(NamedTuple):
    """Seconds since the start of a process, or between two moments of it."""

    wall: float
    """Elapsed time."""
    processor: float
    """Processor time of all threads of the process."""


class Clock:
    """Times of a training's epochs, in a file that is written at its end.

    Args:
        file: the file, ``.json``.

    Attributes:
        file: the file.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)
        self._created = psutil.Process().create_time()
        self._epochs: list[Seconds] = []
        self._steps: list[Seconds] = []

    def begin_epoch(self) -> None:
        """Record the start of an epoch."""
        self._epochs.append(self._now())

    def end_steps(self) -> None:
        """Record the end of an epoch's steps."""
        self._steps.append(self._now())

    def end(self) -> None:
        """Record the end of the last epoch and write the file."""
        moments = [*self._epochs, self._now()]
        times = {"start_up": moments[0], "epochs": _between(moments[:-1], moments[1:])}
        if self._steps:
            times["steps"] = _between(self._epochs, self._steps)
        write_atomically(self.file, json.dumps(times) + "\n")

    def _now(self) -> Seconds:
        return Seconds(time.time() - self._created, time.process_time())


def _between(starts: Sequence[Seconds], ends: Sequence[Seconds]) -> Any:
    return [
        Seconds(end.wall - start.wall, end.processor - start.processor)
        for start, end in zip(starts, ends, strict=True)
    ]


class EpochClock(pl.Callback):
    """Callback that times the epochs of a training from start to start, with all that is done once an epoch.

    Args:
        file: file for the times, see :class:`Clock`.
        clock: clock of the training; ``None`` for a new one.
    """

    def __init__(self, file: str | Path, clock: Clock | None = None) -> None:
        self._clock = clock or Clock(file)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Record the start of the epoch."""
        self._clock.begin_epoch()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Record the end of the last epoch."""
        self._clock.end()


class Parts(NamedTuple):
    """Network, optimizer and batches of a training; the batches are pairs of images and targets."""

    network: nn.Module
    """Network from (B, C, H, W) images in [-0.5, 0.5] to (B, 2K) ratios of the input."""
    optimizer: torch.optim.Optimizer
    scheduler: Any | None
    """Schedule of the learning rate, with a step after each epoch."""
    train: DataLoader[Any]
    val: DataLoader[Any]


def parts_of(cfg: DictConfig) -> Parts:
    """Return the parts of a training of coordinates, for a loop that knows nothing of our tasks.

    Args:
        cfg: configuration of ``keypoints train``, whose loss is the MSE.

    Raises:
        KeypointsError: if they cannot be made.
    """
    torch.manual_seed(cfg.seed)
    data = make_data(cfg)
    data.setup("fit")
    task = make_task(cfg, data)
    assert isinstance(task, RegressionTask)
    made: Any = task.configure_optimizers()
    optimizer, scheduler = (
        (made["optimizer"], made["lr_scheduler"]["scheduler"]) if isinstance(made, dict) else (made, None)
    )
    val = DataLoader(_in_memory(data.dataset("val")), batch_size=_VALIDATED)
    return Parts(task.net, optimizer, scheduler, _train_loader(data), val)


def _train_loader(data: FaceDataModule) -> DataLoader[Any]:
    faces = data.dataset("train")
    if data.augmentation is None:
        return DataLoader(_in_memory(faces), batch_size=data.batch_size, shuffle=True)
    pair: Callable[[Any], Any] = _pair  # the dataset returns batches
    return DataLoader(_Augmented(faces), batch_size=data.batch_size, shuffle=True, collate_fn=pair)


def _in_memory(faces: FaceDataset) -> TensorDataset:
    return TensorDataset(*_pair(full_batch(faces)))


def _pair(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the images and the targets, (B, 2K), of a batch."""
    return batch.to_images(), batch.targets.flatten(1)


class _Augmented(Dataset[Batch]):
    """Faces with our augmentation, which differs each time that a face is taken."""

    def __init__(self, faces: FaceDataset) -> None:
        self._faces = faces
        self._taken = 0

    def __len__(self) -> int:
        return len(self._faces)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        epoch = self._taken // len(self)
        self._taken += len(indices)
        return self._faces.samples([(epoch, index) for index in indices])


def train_bare(parts: Parts, epochs: int, clock: Clock, folder: Path) -> list[float]:  # noqa: ARG001
    """Train by a bare loop of torch; return the validation loss of each epoch.

    Args:
        parts: parts of the training.
        epochs: number of epochs.
        clock: clock of the training.
        folder: folder for files; this way writes none.
    """
    network, optimizer, scheduler, train, val = parts
    losses = []
    for _ in range(epochs):
        clock.begin_epoch()
        network.train()
        for images, targets in train:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(network(images), targets)
            torch.autograd.backward(loss)
            optimizer.step()
        if scheduler is not None:
            scheduler.step()
        clock.end_steps()
        losses.append(_validated(network, val))
    clock.end()
    return losses


def _validated(network: nn.Module, val: DataLoader[Any]) -> float:
    network.eval()
    total = count = 0.0
    with torch.no_grad():
        for images, targets in val:
            total += len(images) * float(nn.functional.mse_loss(network(images), targets))
            count += len(images)
    return total / count


class Template(pl.LightningModule):
    """Module as in Lightning's introduction.

    Args:
        parts: parts of the training.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.network = parts.network
        self._parts = parts

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return and log the loss of a batch."""
        loss = nn.functional.mse_loss(self.network(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:  # noqa: ARG002
        """Log the loss of a batch."""
        self.log("val_loss", nn.functional.mse_loss(self.network(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        """Return the optimizer and the schedule."""
        optimizer, scheduler = self._parts.optimizer, self._parts.scheduler
        return optimizer if scheduler is None else ([optimizer], [scheduler])


def train_template(parts: Parts, epochs: int, clock: Clock, folder: Path) -> list[float]:
    """Train by a plain template of Lightning; return the last validation loss.

    Args:
        parts: parts of the training.
        epochs: number of epochs.
        clock: clock of the training.
        folder: folder for its log and its checkpoints.
    """
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=CSVLogger(folder),
        callbacks=[EpochClock(clock.file, clock), ModelCheckpoint(monitor="val_loss")],
    )
    trainer.fit(Template(parts), parts.train, parts.val)
    return [float(trainer.callback_metrics["val_loss"])]


WAYS: Mapping[str, Callable[[Parts, int, Clock, Path], list[float]]] = {
    "bare loop": train_bare,
    "Lightning template": train_template,
}
"""Functions of the peers' ways, by name."""


def main(words: Sequence[str] | None = None) -> int:
    """Train in the way of a peer and write its times; return the exit status.

    Args:
        words: words of the command line; ``None`` for those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m keypoints.benchmark.peer_training", description=__doc__)
    parser.add_argument("way", choices=tuple(WAYS))
    parser.add_argument(
        "run", type=Path, help="folder of a run of keypoints train with the same configuration"
    )
    parser.add_argument("epochs", type=int)
    parser.add_argument("threads", type=int)
    parser.add_argument("file", type=Path, help="file for the times; logs lie beside it")
    given = parser.parse_args(words)
    clock = Clock(given.file)
    torch.set_num_threads(given.threads)
    cfg = OmegaConf.load(RunFolder(given.run).config)
    assert isinstance(cfg, DictConfig)
    WAYS[given.way](parts_of(cfg), given.epochs, clock, given.file.parent)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
