"""What all datamodules share: the batch, the crops in memory, and the order in which they come."""

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from keypoints.datasets.face import Face
from keypoints.errors import ConfigError, DataError
from keypoints.geometry import Crop, pixels_to_ratio
from keypoints.landmarks import LandmarkScheme

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
    """(B, 2, 3) float32: the affine from pixels of the input to pixels of the photo."""
    photo_sizes: Tensor
    """(B, 2) float32: the photos' width and height in pixels."""
    indices: Tensor
    """(B,) int64: which faces of the dataset these are."""


class FaceDataset(Dataset[Batch]):
    """Faces, decoded once and held in memory as crops of the network's input size.

    Args:
        faces: all with points.
        landmarks: which of a face's points are the targets.
        crop: how a photo becomes an input.

    Raises:
        DataError: if a photo cannot be decoded or a face's box misses it.
    """

    def __init__(self, faces: Sequence[Face], landmarks: Sequence[int], crop: Crop) -> None:
        self.faces = tuple(faces)
        self._crop = crop
        with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow decodes outside the interpreter's lock
            prepared = list(threads.map(self._prepare, self.faces))
        self._pixels = torch.from_numpy(np.stack([pixels for pixels, _, _ in prepared]))
        self._to_photo = torch.from_numpy(np.stack([inverse for _, inverse, _ in prepared])).float()
        self._photo_sizes = torch.tensor([face.photo.size for face in self.faces], dtype=torch.float32)
        targets = np.stack([ratios[list(landmarks)] for _, _, ratios in prepared])
        self.targets = torch.from_numpy(targets).float()

    def _prepare(self, face: Face) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels of the crop, the matrix back to the photo, and all points as ratios of the crop."""
        try:
            pixels, affine = self._crop(face.photo.decode(self._crop.channels), face.box)
        except ValueError as error:
            raise DataError(f"{face.photo.path}: {error}") from error
        return pixels, affine.inverse().matrix, pixels_to_ratio(affine(face.landmarks()), self._crop.size)

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, key: Key) -> Batch:
        """The sample that ``key`` stands for."""
        _, index = key
        return Batch(
            images=self._pixels[index].float() / 255 - 0.5,
            targets=self.targets[index],
            to_photo=self._to_photo[index],
            photo_sizes=self._photo_sizes[index],
            indices=torch.tensor(index),
        )

    @property
    def nbytes(self) -> int:
        """The memory that the crops take."""
        return self._pixels.nbytes


def whole(dataset: FaceDataset, indices: Iterable[int] | None = None) -> Batch:
    """Faces of ``dataset`` as one batch, not augmented; all of them if none are named."""
    chosen = range(len(dataset)) if indices is None else indices
    batch: Batch = default_collate([dataset[0, index] for index in chosen])
    return batch


class EpochSampler(Sampler[Key]):
    """Yields (epoch, index): the order is a function of the seed and the epoch alone.

    So neither resuming nor the number of workers can change it. Lightning calls :meth:`set_epoch`.
    """

    def __init__(self, length: int, *, seed: int, shuffle: bool) -> None:
        self._length = length
        self._seed = seed
        self._shuffle = shuffle
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Begin ``epoch``."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Key]:
        order = np.arange(self._length)
        if self._shuffle:
            np.random.default_rng([self._seed, self._epoch]).shuffle(order)
        return ((self._epoch, int(index)) for index in order)


class FaceDataModule(pl.LightningDataModule, ABC):
    """Crops and batches the faces that a subclass reads and splits in :meth:`read`.

    Args:
        scheme: the landmarks of the faces as read.
        landmarks: the part or selection of them to train on; ``None`` for all.
        crop: how a photo becomes an input.
        batch_size: of training; validation needs no gradients and takes larger batches.
        num_workers: processes that prepare batches; 0 is fastest for small crops held in memory.
        seed: decides, with the epoch, the order of the training faces.

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
    ) -> None:
        super().__init__()
        whole_numbers = all(isinstance(value, int) for value in (batch_size, num_workers, seed))
        if not whole_numbers or batch_size < 1 or num_workers < 0 or seed < 0:
            raise ConfigError(
                "batch_size has to be 1 or more, num_workers and seed 0 or more; "
                f"they are {batch_size}, {num_workers} and {seed}"
            )
        self.indices = tuple(range(len(scheme))) if landmarks is None else scheme.indices(landmarks)
        self.scheme = scheme if landmarks is None else scheme.select(landmarks)
        self.crop = crop
        self._batch_size = batch_size
        self._num_workers = num_workers
        self._seed = seed
        self._datasets: dict[str, FaceDataset] = {}

    @abstractmethod
    def read(self) -> Mapping[str, Sequence[Face]]:
        """The faces of the splits ``train`` and ``val``, none empty, no group in both.

        Raises:
            DataError: if they cannot be read.
        """

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002
        """Read, decode and crop all faces, once."""
        if self._datasets:
            return
        for split, faces in self.read().items():
            self._datasets[split] = FaceDataset(faces, self.indices, self.crop)
        log.info(
            "%s; %.1f MB of crops held in memory",
            ", ".join(f"{len(dataset)} {split} faces" for split, dataset in self._datasets.items()),
            sum(dataset.nbytes for dataset in self._datasets.values()) / 1e6,
        )

    def dataset(self, split: str) -> FaceDataset:
        """The faces of ``split``.

        Raises:
            DataError: if there is no such split, or :meth:`setup` was not called.
        """
        if split not in self._datasets:
            raise DataError(
                f"there is no split {split!r}; there is {', '.join(self._datasets) or 'none yet'}"
            )
        return self._datasets[split]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the training faces, in an order drawn anew each epoch."""
        return self._loader("train", self._batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation faces, always in their own order and never augmented."""
        return self._loader("val", max(self._batch_size, 64), shuffle=False)

    def _loader(self, split: str, batch_size: int, *, shuffle: bool) -> DataLoader[Batch]:
        dataset = self.dataset(split)
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=EpochSampler(len(dataset), seed=self._seed, shuffle=shuffle),
            num_workers=self._num_workers,
            persistent_workers=self._num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
