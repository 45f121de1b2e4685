"""What all datamodules share: the batch, the crops in memory, and the order in which they come."""

import logging
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import pytorch_lightning as pl
import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from keypoints.augmentation import Augmentation
from keypoints.datasets.face import Face
from keypoints.errors import ConfigError, DataError
from keypoints.geometry import Affine, Box, ByteArray, Crop, FloatArray, pixels_to_ratio
from keypoints.landmarks import LandmarkScheme
from keypoints.ranks import is_first

log = logging.getLogger(__name__)

Key = tuple[int, int]
"""Epoch and index: with the seed, all that decides what is drawn."""


class Batch(NamedTuple):
    """What a task is given; B faces of K landmarks.

    A single sample, before it is collated, has the same fields without the first dimension.
    """

    images: Tensor
    """(B, C, H, W) float32 in [-0.5, 0.5]."""
    targets: Tensor
    """(B, K, 2) float32: x and y as ratios of the input; outside 0…1 where the crop cuts points off."""
    to_photo: Tensor
    """(B, 2, 3) float32: the affine from pixels of the input to pixels of the photo; NaN where an
    augmentation bent the picture."""
    photo_sizes: Tensor
    """(B, 2) float32: the photos' width and height in pixels."""
    indices: Tensor
    """(B,) int64: which faces of the dataset these are."""


def pixels_of(batch: Batch, most: int | None = None) -> list[ByteArray]:
    """The batch's first images, no longer normalised: (H, W) grey or (H, W, 3) RGB each."""
    planes = ((batch.images[:most] + 0.5) * 255).round().clamp(0, 255).byte().cpu().numpy()
    return [image[0] if len(image) == 1 else image.transpose(1, 2, 0) for image in planes]


class FaceDataset(Dataset[Batch]):
    """Faces, decoded once and held in memory as crops, with context round them if they are augmented.

    Every photo is decoded as the dataset is made, so that a damaged one is named before any training.
    Of as many faces as the memory allows, the crops are held; those of the others are cut from their
    photos again at each use, which gives the same samples, only later.

    Args:
        faces: all with points, or all without: then targets are NaN, and there is nothing to measure.
        landmarks: which of a face's points are the targets.
        crop: how a photo becomes an input.
        augmentation: what is drawn anew for each face and epoch, or nothing.
        flip: the landmarks' mirror permutation, for an augmentation that mirrors.
        seed: decides, with epoch and index, what is drawn.
        memory: bytes that the crops may take, or ``None`` to hold them all.

    Raises:
        DataError: if a photo cannot be decoded, a face's box misses it, or some faces have points and
            others have none.
        ConfigError: if the augmentation cannot be used on these faces.
    """

    def __init__(
        self,
        faces: Sequence[Face],
        landmarks: Sequence[int],
        crop: Crop,
        *,
        augmentation: Augmentation | None = None,
        flip: Sequence[int] | None = None,
        seed: int = 0,
        memory: int | None = None,
    ) -> None:
        self.faces = tuple(faces)
        self._landmarks = list(landmarks)
        self._crop = crop
        self._augmentation = augmentation
        self._flip = None if flip is None else list(flip)
        self._seed = seed
        self._border = (0, 0) if augmentation is None else augmentation.border(crop.size)
        if augmentation is not None:
            self._check(augmentation)
        bare = [face for face in self.faces if face.points is None]
        if bare and len(bare) < len(self.faces):
            raise DataError(
                f"{bare[0].photo.path}: this face has no points, and others of its split have some"
            )
        self.has_points = not bare
        across, down = self._border
        shape = (crop.height + 2 * down, crop.width + 2 * across, crop.channels)
        size = int(np.prod(shape))
        held = len(self.faces) if memory is None else min(len(self.faces), max(memory, 0) // size)
        self._canvases = np.empty((held, *shape), np.uint8)
        with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow decodes outside the interpreter's lock
            prepared = threads.map(self._prepare, range(len(self.faces)))
            silent = len(self.faces) < _MANY or not is_first() or not sys.stdout.isatty()
            self._affines = list(track(prepared, "decoding", len(self.faces), transient=True, disable=silent))
        inputs = [self._points(index) - self._border for index in range(len(self.faces))]
        self.targets = torch.from_numpy(pixels_to_ratio(inputs, crop.size)).float()

    def _check(self, augmentation: Augmentation) -> None:
        across, down = self._border
        shape = (self._crop.height + 2 * down, self._crop.width + 2 * across, self._crop.channels)
        if bending := augmentation.check(shape, may_mirror=self._flip is not None):
            log.info("%s: no affine leads back to the photo, so it serves training only", ", ".join(bending))

    def _prepare(self, index: int) -> Affine:
        """The affine from a photo to its canvas, which is held if there is room for it."""
        canvas, affine = self._cut(index)
        if index < len(self._canvases):
            self._canvases[index] = canvas
        return affine

    def _cut(self, index: int) -> tuple[ByteArray, Affine]:
        """The canvas of a face, from its photo, and the affine to it."""
        face = self.faces[index]
        try:
            return self._crop.canvas(face.photo.decode(self._crop.channels), face.box, self._border)
        except ValueError as error:
            raise DataError(f"{face.photo.path}: {error}") from error

    def _canvas(self, index: int) -> ByteArray:
        return self._canvases[index] if index < len(self._canvases) else self._cut(index)[0]

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, key: Key) -> Batch:
        """The sample that ``key`` stands for, augmented if the dataset is."""
        epoch, index = key
        if self._augmentation is None:
            return self.plain(index)
        drawn = self._augmentation(self._canvas(index), self._points(index), (self._seed, epoch, index))
        points = drawn.points[self._flip] if drawn.mirrored else drawn.points
        to_canvas = None if drawn.affine is None else self._affines[index].then(drawn.affine)
        return self._sample(index, drawn.pixels, points, to_canvas)

    def augmented_by(self, augmentation: Augmentation) -> Self:
        """The same faces, not read again, under another augmentation of the same context."""
        other = copy(self)
        other._augmentation = augmentation
        return other

    def plain(self, index: int) -> Batch:
        """The sample of the face ``index``, not augmented."""
        return self._sample(index, self._canvas(index), self._points(index), self._affines[index])

    def _points(self, index: int) -> FloatArray:
        """The targets of a face, (K, 2) pixels of its canvas."""
        if not self.has_points:
            return np.full((len(self._landmarks), 2), np.nan)
        return self._affines[index](self.faces[index].landmarks()[self._landmarks])

    def _sample(self, index: int, canvas: ByteArray, points: FloatArray, affine: Affine | None) -> Batch:
        """The middle of ``canvas``; ``points`` are pixels of it, ``affine`` leads to it from the photo."""
        across, down = self._border
        width, height = self._crop.size
        pixels = canvas[down : down + height, across : across + width].transpose(2, 0, 1)
        to_photo = _UNKNOWN if affine is None else affine.then(_shift(-across, -down)).inverse().matrix
        ratios = pixels_to_ratio(points - (across, down), self._crop.size)
        return Batch(
            images=torch.from_numpy(np.ascontiguousarray(pixels, np.float32)) / 255 - 0.5,
            targets=torch.from_numpy(ratios).float(),
            to_photo=torch.from_numpy(to_photo).float(),
            photo_sizes=torch.tensor(self.faces[index].photo.size, dtype=torch.float32),
            indices=torch.tensor(index),
        )

    @property
    def nbytes(self) -> int:
        """The memory that the crops take."""
        return self._canvases.nbytes

    @property
    def read_again(self) -> int:
        """How many faces are not held: their photos are read at each use."""
        return len(self.faces) - len(self._canvases)


_MANY = 500
"""Faces that take long enough to decode for a progress bar."""

_UNKNOWN = np.full((2, 3), np.nan)
"""Of a face that was bent: no affine leads back."""


def _shift(across: float, down: float) -> Affine:
    return Affine(np.array([[1.0, 0.0, across], [0.0, 1.0, down]]))


def mean_targets(faces: Sequence[Face], landmarks: Sequence[int], crop: Crop) -> Tensor:
    """The mean of the faces' targets, (K, 2) ratios of the input: the constant predictor. Decodes nothing.

    Raises:
        DataError: if a face has no box and the crop needs one.
    """
    ratios = []
    for face in faces:
        try:
            region = crop.region(face.photo.size, face.box)
        except ValueError as error:
            raise DataError(f"{face.photo.path}: {error}") from error
        points = Affine.between(region, Box.whole(crop.size))(face.landmarks()[list(landmarks)])
        ratios.append(pixels_to_ratio(points, crop.size))
    return torch.from_numpy(np.mean(ratios, axis=0)).float()


def whole(dataset: FaceDataset, indices: Iterable[int] | None = None) -> Batch:
    """Faces of ``dataset`` as one batch, not augmented; all of them if none are named."""
    chosen = range(len(dataset)) if indices is None else indices
    batch: Batch = default_collate([dataset.plain(index) for index in chosen])
    return batch


class EpochSampler(Sampler[Key]):
    """Yields (epoch, index): the order is a function of the seed and the epoch alone.

    So neither resuming nor the number of workers can change it. Lightning calls :meth:`set_epoch`.

    Args:
        length: of the dataset.
        seed: of the order.
        shuffle: whether the order is drawn anew each epoch.
        rank, ranks: which of how many processes this is. Together they take what one process
            would, batch by batch; the last few faces of a shuffled epoch come again from its
            beginning where the ranks do not divide them, since each has to take as many steps.
    """

    def __init__(self, length: int, *, seed: int, shuffle: bool, rank: int = 0, ranks: int = 1) -> None:
        self._length = length
        self._seed = seed
        self._shuffle = shuffle
        self._rank = rank
        self._ranks = ranks
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Begin ``epoch``."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(range(self._rank, self._padded, self._ranks))

    @property
    def _padded(self) -> int:
        """The length that all ranks together go through."""
        return -(-self._length // self._ranks) * self._ranks if self._shuffle else self._length

    def __iter__(self) -> Iterator[Key]:
        order = np.arange(self._length)
        if self._shuffle:
            np.random.default_rng([self._seed, self._epoch]).shuffle(order)
        own = np.resize(order, self._padded)[self._rank :: self._ranks]
        return ((self._epoch, int(index)) for index in own)


def even_batch_size(length: int, ranks: int, batch_size: int) -> int:
    """The batch size from ``batch_size`` up with which all ranks take as many steps.

    The ranks may have a face more or less, and a step more or less: then they would wait for each
    other for ever.

    Raises:
        ConfigError: if there are fewer faces than ranks.

    >>> even_batch_size(129, ranks=2, batch_size=64)  # 65 and 64 faces
    65
    """
    least, rest = divmod(length, ranks)
    if least == 0:
        raise ConfigError(f"{length} faces are too few for {ranks} processes; take fewer: trainer.devices=…")
    while rest and least % batch_size == 0:
        batch_size += 1
    return batch_size


class TrainedOn(NamedTuple):
    """What a checkpoint keeps of the faces that it was trained on, as plain values."""

    groups: list[str]
    """Their groups: persons, photos. None of them may be among the faces that the model is judged by."""
    mean: list[list[float]]
    """The mean of their targets, (K, 2) ratios of the input: what to say of a face that cannot be seen."""


class FaceDataModule(pl.LightningDataModule, ABC):
    """Crops and batches the faces that a subclass reads and splits in :meth:`read`.

    Args:
        scheme: the landmarks of the faces as read.
        landmarks: the part or selection of them to train on; ``None`` for all.
        crop: how a photo becomes an input.
        batch_size: of training; validation needs no gradients and takes larger batches.
        num_workers: processes that prepare batches; 0 is fastest for small crops held in memory.
        seed: decides, with the epoch, the order of the training faces and what is drawn of them.
        augmentation: of the training faces alone; none if it is not given.
        memory_mb: megabytes that crops may take. Those of further faces are read at each use.

    Raises:
        ConfigError: if the scheme has no such landmarks, or a number cannot be used.
    """

    def __init__(
        self,
        *,
        scheme: LandmarkScheme,
        landmarks: str | None,
        crop: Crop,
        batch_size: int,
        num_workers: int,
        seed: int,
        augmentation: Augmentation | None = None,
        memory_mb: float = 2000,
    ) -> None:
        super().__init__()
        if isinstance(memory_mb, bool) or not isinstance(memory_mb, int | float) or not memory_mb >= 0:
            raise ConfigError(f"memory_mb is a number of megabytes from 0 up, not {memory_mb!r}")
        whole_numbers = all(isinstance(value, int) for value in (batch_size, num_workers, seed))
        if not whole_numbers or batch_size < 1 or num_workers < 0 or seed < 0:
            raise ConfigError(
                "batch_size has to be 1 or more, num_workers and seed 0 or more; "
                f"they are {batch_size}, {num_workers} and {seed}"
            )
        self._all = scheme
        self._select(landmarks)
        self.crop = crop
        self._batch_size = batch_size
        self._num_workers = num_workers
        self._seed = seed
        self._augmentation = augmentation
        self._memory = int(memory_mb * 1e6)
        self._datasets: dict[str, FaceDataset] = {}

    def _select(self, landmarks: str | None) -> None:
        scheme = self._all
        self.indices = tuple(range(len(scheme))) if landmarks is None else scheme.indices(landmarks)
        self.scheme = scheme if landmarks is None else scheme.select(landmarks)

    def adopt(self, scheme: LandmarkScheme, crop: Crop) -> None:
        """Take over a checkpoint's landmarks and crop, before the faces are read.

        Raises:
            ConfigError: if the faces do not have these landmarks.
        """
        for landmarks in (None, *self._all.parts, *self._all.selections):
            self._select(landmarks)
            if self.scheme == scheme:
                self.crop = crop
                return
        raise ConfigError(
            f"the checkpoint predicts {scheme.name} ({len(scheme)} points), but these faces have "
            f"{self._all.name} ({len(self._all)} points); choose other data: data=…"
        )

    @property
    def words(self) -> Mapping[str, Mapping[str, str]]:
        """What the values of the faces' tags mean, by tag, where they do not say it themselves."""
        return {}

    @abstractmethod
    def read(self) -> Mapping[str, Sequence[Face]]:
        """The faces of all splits, none empty; at least ``train`` and ``val``. Nothing is decoded.

        Raises:
            DataError: if they cannot be read.
        """

    @cached_property
    def splits(self) -> Mapping[str, Sequence[Face]]:
        """The faces of all splits, as :meth:`read` gives them, read once.

        Raises:
            DataError: if they cannot be read, or a group has faces in ``train`` and in a split that
                results are measured on.
        """
        splits = self.read()
        trained = {face.group for face in splits["train"]}
        for split, faces in splits.items():
            shared = sorted(trained & {face.group for face in faces if face.points is not None})
            if split != "train" and shared:
                raise DataError(
                    f"{shared[0]}: has faces in train and in {split}, as have {len(shared) - 1} more "
                    "groups; results would flatter: leave one side out"
                )
        return splits

    def setup(self, stage: str | None = None) -> None:
        """Prepare the faces that are needed, once: for a fit, those of ``train`` and ``val``.

        Other splits are prepared as they are asked for.
        """
        needed = {"fit": ("train", "val"), None: ("train", "val"), "validate": ("val",)}.get(stage, ())
        if all(split in self._datasets for split in needed):
            return
        datasets = {split: self.dataset(split) for split in needed}
        again = sum(dataset.read_again for dataset in datasets.values())
        log.info(
            "%s; %.1f MB of crops held in memory%s",
            ", ".join(f"{len(dataset)} {split} faces" for split, dataset in datasets.items()),
            sum(dataset.nbytes for dataset in datasets.values()) / 1e6,
            f"; {again} faces are read from disk at each use (memory_mb)" if again else "",
        )

    def dataset(self, split: str) -> FaceDataset:
        """The faces of ``split``, prepared at first use.

        Raises:
            DataError: if there is no such split, or its faces cannot be read.
        """
        if split not in self._datasets:
            if split not in self.splits:
                raise DataError(f"there is no split {split!r}; there is {', '.join(self.splits)}")
            held = sum(dataset.nbytes for dataset in self._datasets.values())
            self._datasets[split] = FaceDataset(
                self.splits[split],
                self.indices,
                self.crop,
                augmentation=self._augmentation if split == "train" else None,
                flip=self.scheme.flip,
                seed=self._seed,
                memory=self._memory - held,
            )
        return self._datasets[split]

    def trained_on(self) -> TrainedOn:
        """What a checkpoint keeps of the training faces."""
        mean: list[list[float]] = self.dataset("train").targets.mean(dim=0).tolist()
        return TrainedOn(sorted({face.group for face in self.splits["train"]}), mean)

    def leaks(self, trained_on: TrainedOn, split: str) -> list[Face]:
        """The faces of ``split`` that a model has met in training, itself or another of their group.

        A result on them says nothing of new faces.
        """
        groups = set(trained_on.groups)
        return [face for face in self.splits[split] if face.group in groups]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the training faces, in an order drawn anew each epoch."""
        return self._loader("train", self._batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation faces, always in their own order and never augmented."""
        return self._loader("val", max(self._batch_size, 64), shuffle=False)

    def _loader(self, split: str, batch_size: int, *, shuffle: bool) -> DataLoader[Batch]:
        dataset = self.dataset(split)
        rank, ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if not shuffle:
            batch_size = even_batch_size(len(dataset), ranks, batch_size)
        sampler = EpochSampler(len(dataset), seed=self._seed, shuffle=shuffle, rank=rank, ranks=ranks)
        if self.trainer:  # of a resumed run, workers begin before Lightning has told the sampler its epoch
            sampler.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            # A last batch of one face has no statistics to normalise by; each epoch leaves out another.
            drop_last=shuffle and len(sampler) > batch_size and len(sampler) % batch_size == 1,
            generator=torch.Generator(),  # else each iterator takes a number from those that dropout draws
            num_workers=self._num_workers,
            persistent_workers=self._num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
