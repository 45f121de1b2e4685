"""Training speed: the loader alone, the training step alone, the complete Trainer, and the course's code.

After a warm-up, each round measures all parts; results are medians over the rounds, with the lowest and the
highest value. The Trainer is the real one, with its callbacks and loggers. In a long epoch only some steps
are timed: the epoch's time is then its number of steps times the time of a step, plus the work done once per
epoch. The forward passes of the validation are left out.
"""

import logging
import math
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, open_dict
from torch.utils.data import DataLoader

from keypoints.benchmark.course_dataset import CourseDataset
from keypoints.benchmark.spread import Spread
from keypoints.callbacks.stopwatch import Shares, Stopwatch, now
from keypoints.data.dataset import Batch
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import ConfigError
from keypoints.instantiate import make_task, make_trainer
from keypoints.tasks.base import Task
from keypoints.training.fit import garbage_frozen, without_expected_warnings
from keypoints.training.prepare import network_cost
from keypoints.training.torch_threads import choose_threads, torch_threads

log = logging.getLogger(__name__)

T = TypeVar("T")

_EPOCHS = 5
"""Epochs to time in each round, between the first and the last: some callbacks run every fifth epoch."""
_FEWEST = 4
"""Smallest number of steps to time in an epoch, unless the epoch is shorter."""


@dataclass(frozen=True)
class TrainingSpeed:
    """Training speed: contents of ``bench.json``.

    Args:
        name: name of the configuration.
        input: channels, height and width of the network's input.
        batch_size: training faces in a batch.
        num_workers: processes that prepare batches.
        precision: precision of the Trainer.
        steps_an_epoch: number of training steps in an epoch.
        gpu: name of the GPU; ``None`` without one.
        processor: name of the processor.
        cores: number of cores of the machine.
        threads: number of threads of torch.
        torch: version of torch.
        images_per_second: images per second of each part: loader, step, Trainer, course's loader and loop.
        ratio: speed of the Trainer divided by the speed of the slower of loader and step; speed of the loader
            divided by the speed of the course's loader.
        one_core: faces that are prepared per second of processor time, with and without augmentation.
        step_ms: milliseconds per step, by activity.
        epoch_ms: milliseconds per epoch outside the steps, by activity.
        memory_mb: peak memory of the training, in megabytes.
    """

    name: str
    input: Sequence[int]
    batch_size: int
    num_workers: int
    precision: str
    steps_an_epoch: int
    gpu: str | None
    processor: str
    cores: int | None
    threads: int
    torch: str
    images_per_second: Mapping[str, Spread]
    ratio: Mapping[str, Spread]
    one_core: Mapping[str, float]
    step_ms: Mapping[str, float]
    epoch_ms: Mapping[str, float]
    memory_mb: Mapping[str, float]


def measure_training(cfg: DictConfig, data: FaceDataModule, scratch: Path) -> TrainingSpeed:
    """Return the training speed of a configuration.

    Args:
        cfg: configuration of ``keypoints bench``.
        data: datamodule of the configuration, set up for a fit.
        scratch: temporary folder for the checkpoints and logs of the timed trainings.

    Raises:
        KeypointsError: see :func:`keypoints.training.prepare.prepare`.
    """
    cost = network_cost(make_task(cfg, data))
    threads = choose_threads(cfg, cost, data.batch_size)
    with without_expected_warnings(), garbage_frozen(), torch_threads(threads):
        measured = _Measurement(cfg, data, scratch)
        rounds = [measured.round() for _ in measured.numbered(int(cfg.rounds))]
        step_ms, epoch_ms = measured.shares()
        return TrainingSpeed(
            name=cfg.name,
            input=[data.crop.channels, data.crop.height, data.crop.width],
            batch_size=data.batch_size,
            num_workers=data.num_workers,
            precision=str(cfg.trainer.precision),
            steps_an_epoch=len(data.train_dataloader()),
            gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            processor=platform.processor() or platform.machine(),
            cores=os.cpu_count(),
            threads=threads,
            torch=torch.__version__,
            images_per_second={part: Spread.of([each[part] for each in rounds]) for part in rounds[0]},
            ratio={
                "trainer_to_slower_part": Spread.of(
                    [each["trainer"] / min(each["loader"], each["step"]) for each in rounds]
                ),
                "loader_to_course_loader": Spread.of(
                    [each["loader"] / each["course_loader"] for each in rounds]
                ),
            },
            one_core=measured.one_core(),
            step_ms=step_ms,
            epoch_ms=epoch_ms,
            memory_mb=measured.memory(),
        )


class _Measurement:
    """Measurement of one configuration in several rounds."""

    def __init__(self, cfg: DictConfig, data: FaceDataModule, scratch: Path) -> None:
        self._cfg = cfg
        self._data = data
        self._scratch = scratch
        self._made = 0
        self._resident = 0
        loader = data.train_dataloader()
        self._batch: Batch = next(iter(loader))
        self._epoch_steps = len(loader)
        stopwatch = Stopwatch()
        warm = _ResidentStep(self._batch, cfg.seconds, stopwatch)
        self._device = self._trainer(2).strategy.root_device
        self._fit(2, stopwatch, warm)  # warm-up, which also determines the number of steps to time
        unit = max(loader.at_once, _FEWEST)
        wanted = math.ceil(cfg.seconds * warm.rate / data.batch_size / unit) * unit
        self._steps = min(self._epoch_steps, wanted)

    def numbered(self, rounds: int) -> Iterator[int]:
        """Yield the number of each round, after logging its start."""
        for number in range(rounds):
            log.info("round %d of %d", number + 1, rounds)
            yield number

    def round(self) -> dict[str, float]:
        """Return the images per second of each part, measured once."""
        stopwatch = Stopwatch()
        step = _ResidentStep(self._batch, self._cfg.seconds, stopwatch)
        loader = self._loader(self._data.train_dataloader())
        self._fit(self._steps, stopwatch, step)
        seconds = statistics.mean(epoch.seconds(self._epoch_steps) for epoch in stopwatch.epochs)
        self._resident = max(self._resident, stopwatch.memory)
        faces = self._epoch_steps * self._data.batch_size
        return {
            "loader": loader,
            "step": step.rate,
            "trainer": min(faces, len(self._data.dataset("train"))) / seconds,
            "course_loader": self._loader(self._course_loader()),
            "course_loop": self._course_loop(),
        }

    def one_core(self) -> dict[str, float]:
        """Return the faces prepared per second of processor time, without and with augmentation."""
        dataset, indices = self._data.dataset("train"), self._batch.indices.tolist()
        ways: dict[str, Callable[[], Batch]] = {"plain": lambda: dataset.batch(indices)}
        if self._cfg.get("augmentation"):
            ways["augmented"] = lambda: dataset.samples([(0, index) for index in indices])
        return {name: _rate_of_a_core(make, self._cfg.seconds) for name, make in ways.items()}

    def shares(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return milliseconds per step, and per epoch outside the steps, by activity."""
        trainer = self._trainer(self._steps)
        shares = Shares(trainer)
        trainer.profiler = shares  # type: ignore[attr-defined]
        trainer.callbacks.insert(0, Stopwatch(shares))  # type: ignore[attr-defined]
        trainer.fit(make_task(self._cfg, self._data), datamodule=self._data)
        return _in_ms(shares.of_steps, _EPOCHS * self._steps), _in_ms(shares.of_epochs, _EPOCHS)

    def memory(self) -> dict[str, float]:
        """Return the peak memory of the Trainer, and of the GPU if there is one, in megabytes."""
        memory = {"resident": self._resident / 1e6}
        if torch.cuda.is_available():
            memory["gpu"] = torch.cuda.max_memory_allocated() / 1e6
        return memory

    def _fit(self, steps: int, *first: pl.Callback) -> None:
        trainer = self._trainer(steps)
        trainer.callbacks[:0] = first  # type: ignore[attr-defined]
        trainer.fit(make_task(self._cfg, self._data), datamodule=self._data)

    def _trainer(self, steps: int) -> pl.Trainer:
        """Return the Trainer of the configuration, with few and short epochs."""
        self._made += 1
        short = deepcopy(self._cfg)
        with open_dict(short):
            short.output = str(self._scratch / str(self._made))
            short.trainer.max_epochs = 2 + _EPOCHS
            short.trainer.limit_train_batches = min(steps, self._epoch_steps)
            short.trainer.limit_val_batches = 1
        trainer = make_trainer(short)
        if trainer.world_size > 1:
            raise ConfigError("bench measures one process: trainer.devices=1")
        return trainer

    def _loader(self, loader: Iterable[Any]) -> float:
        batches = _endless(loader)
        return _rate(lambda: len(next(batches)[0]), self._cfg.seconds)

    def _course_loader(self) -> DataLoader[Any]:
        """Return the course's loader, with as many processes as ours."""
        ours, augmented = self._data.train_dataloader(), bool(self._cfg.get("augmentation"))
        faces = self._data.dataset("train").faces
        return DataLoader(
            CourseDataset(faces, self._data.indices, self._data.crop, augmented=augmented),
            batch_size=self._data.batch_size,
            shuffle=True,
            num_workers=ours.num_workers,
            persistent_workers=ours.persistent_workers,
        )

    def _course_loop(self) -> float:
        task = make_task(self._cfg, self._data).to(self._device)
        optimizer = torch.optim.Adam(task.parameters())
        batches = _endless(self._course_loader())

        def step() -> int:
            images, targets = (tensor.to(task.device) for tensor in next(batches))
            optimizer.zero_grad()
            torch.autograd.backward(task.loss(task(images), targets))
            optimizer.step()
            return len(images)

        return _rate(step, self._cfg.seconds)


class _ResidentStep(pl.Callback):
    """Measurement of the training step alone, on one batch that is already on the device.

    It runs at the start of each epoch, so that the step and the training are measured within the same second:
    the speed of a machine changes within seconds.

    Args:
        batch: batch to train on.
        seconds: time to measure, over all epochs.
        stopwatch: stopwatch of the same training, which is stopped meanwhile.
    """

    def __init__(self, batch: Batch, seconds: float, stopwatch: Stopwatch) -> None:
        self._batch = batch
        self._seconds = seconds
        self._stopwatch = stopwatch
        self._rates: list[float] = []

    @property
    def rate(self) -> float:
        """Images per second."""
        return statistics.harmonic_mean(self._rates)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the step, with the Trainer's optimizer and precision, in the timed epochs."""
        if 0 < trainer.current_epoch <= _EPOCHS:
            with self._stopwatch.stopped():
                self._measure(trainer, pl_module)

    def _measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Task)
        task, batch, optimizer = pl_module.train(), self._batch.to(pl_module.device), trainer.optimizers[0]

        def step() -> int:
            optimizer.zero_grad()
            with trainer.precision_plugin.train_step_context():
                loss = task.training_loss(batch)
            torch.autograd.backward(loss)
            optimizer.step()
            return len(batch.targets)

        self._rates.append(_rate(step, self._seconds / _EPOCHS))


def _rate(work: Callable[[], int], seconds: float) -> float:
    """Return the images per second of ``work``, which returns its number of images, after a warm-up."""
    for _ in range(3):
        work()
    images, began = 0, now()
    while not images or perf_counter() - began < seconds:  # waits for the GPU only at both ends
        images += work()
    return images / (now() - began)


def _rate_of_a_core(make: Callable[[], Batch], seconds: float) -> float:
    images, began = 0, process_time()
    while (passed := process_time() - began) < seconds:
        images += len(make().targets)
    return images / passed


def _endless(batches: Iterable[T]) -> Iterator[T]:
    """Yield the batches of an endless sequence of epochs."""
    while True:
        yield from batches


def _in_ms(seconds: Mapping[str, float], count: int) -> dict[str, float]:
    """Return the mean milliseconds of ``count`` repetitions, the longest first."""
    longest_first = sorted(seconds.items(), key=lambda item: -item[1])
    return {kind: 1000 * total / count for kind, total in longest_first}
