"""What all datamodules share: splits, prepared when they are asked for, and loaders."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import pytorch_lightning as pl
import torch

from keypoints.data.compact_copy import Original
from keypoints.data.dataset import Batch, FaceDataset, as_it_is, pixels_of
from keypoints.data.face import Face
from keypoints.data.loader import BatchLoader
from keypoints.data.photo_facts import is_of_photo, look_at_photos
from keypoints.data.provenance import TrainedOn, TrainingFaces
from keypoints.data.readers.ibug300w import NAMING
from keypoints.data.sampler import EpochSampler, even_batch_size
from keypoints.data.statistics import measure, support_of
from keypoints.datamodules.settings import FaceSettings
from keypoints.errors import ConfigError, DataError
from keypoints.geometry import Affine, Crop, ratio_to_pixels
from keypoints.landmarks import LandmarkScheme
from keypoints.process import configure_worker

log = logging.getLogger(__name__)

_MEASURED = 500
"""So many faces tell what the training faces are like."""


class FaceDataModule(FaceSettings, pl.LightningDataModule, ABC):
    """Crops and batches the faces that a subclass reads and splits in :meth:`read`.

    A subclass is a dataclass whose fields are its own settings, beside those of :class:`FaceSettings`, and
    whose ``__post_init__`` ends with :meth:`set_faces`; :class:`IMMDataModule` is an example. One with a
    constructor of its own calls this one.

    Args:
        scheme: the landmarks of the faces as read.
        crop: how a photo becomes an input.
        settings: fields of :class:`FaceSettings`.

    Raises:
        ConfigError: if the scheme has no such landmarks, or a value cannot be used.
    """

    def __init__(self, *, scheme: LandmarkScheme, crop: Crop, **settings: Any) -> None:
        size = {"width": crop.width, "height": crop.height, "channels": crop.channels}
        FaceSettings.__init__(self, **{**size, **settings})
        self.set_faces(scheme, crop)

    def __post_init__(self) -> None:
        super().__post_init__()
        pl.LightningDataModule.__init__(self)
        self._datasets: dict[str, FaceDataset] = {}

    def set_faces(self, scheme: LandmarkScheme, crop: Crop) -> None:
        """Set the landmarks of the faces as read, and how a photo becomes an input.

        Args:
            scheme: all landmarks of the faces; those of the setting ``landmarks`` are trained on.
            crop: how a photo becomes an input.

        Raises:
            ConfigError: if the scheme has no such landmarks.
        """
        self._all = scheme
        self._select(self.landmarks)
        self.crop = crop

    @property
    def memory(self) -> int:
        """Memory for crops, in bytes."""
        return int(self.memory_mb * 1e6)

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

    def original(self, face: Face) -> Original | None:  # noqa: ARG002
        """What the face's picture was cut from, if the data are a shrunken copy: results are of originals.

        Raises:
            DataError: if the copy's map is damaged, or lacks the picture.
        """
        return None

    @property
    def words(self) -> Mapping[str, Mapping[str, str]]:
        """What the values of the faces' tags mean, by tag, where they do not say it themselves."""
        return {}

    @abstractmethod
    def read(self) -> Mapping[str, Sequence[Face]]:
        """The faces of all splits, none empty; ``train`` and ``val``, or at least one to be judged by.

        Nothing is decoded.

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
        trained = {tie for face in splits.get("train", ()) for tie in face.ties}
        for split, faces in splits.items():
            shared = {tie: face for face in faces if face.points is not None for tie in face.ties & trained}
            if split != "train" and shared:
                tie, face = min(shared.items(), key=lambda found: is_of_photo(found[0]))
                raise DataError(
                    f"{face.photo.path if is_of_photo(tie) else tie}: has faces in train and in {split}, "
                    f"as have {len(shared) - 1} more groups; results would flatter: leave one side out"
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
                augmentation=self.augmentation if split == "train" else None,
                flip=self.scheme.flip_indices,
                seed=self.seed,
                memory=self.memory - held,
                strict=self.strict or split not in ("train", "val"),
            )
        return self._datasets[split]

    def trained_on(self) -> TrainedOn:
        """What a checkpoint keeps of the training faces."""
        return self._trained_on

    @cached_property
    def _trained_on(self) -> TrainedOn:
        """The same for every checkpoint of a training: photos are read for it."""
        mean: list[list[float]] = self.dataset("train").targets.mean(dim=0).tolist()
        train, val = (self._ties(split) for split in ("train", "val"))
        return TrainedOn(train, mean, val, self._support)

    def _ties(self, split: str) -> list[str]:
        """What ties other faces to those of a split: their groups, and their photos by name and contents."""
        faces = self.splits[split]
        unknown = look_at_photos((face.photo.path for face in faces if not face.photo_id), NAMING)
        photos = {found.photo_id for found in unknown.values() if not isinstance(found, DataError)}
        return sorted(photos.union(*(face.ties for face in faces)))

    @cached_property
    def _support(self) -> dict[str, tuple[float, float]]:
        """Of what the first epoch draws of the training faces, or of some that are spread over them."""
        dataset = self.dataset("train")
        chosen = range(0, len(dataset), -(-len(dataset) // _MEASURED))
        return support_of(self._measure(dataset[0, index]) for index in chosen)

    def _measure(self, sample: Batch) -> dict[str, float]:
        (image,) = pixels_of(Batch(*(field[None] for field in sample)))
        points = ratio_to_pixels(sample.targets.numpy(), self.crop.size)
        return measure(image, points, Affine(sample.to_photo.double().numpy()), self.scheme, self.crop)

    def leaks(self, trained_on: TrainedOn | TrainingFaces, split: str) -> list[Face]:
        """The faces of ``split`` that a model has met in training, itself or another of their group.

        A result on them says nothing of new faces.

        Args:
            trained_on: what the model's file keeps of the training faces.
            split: the name of a split.
        """
        return self.of_groups(trained_on.groups, split)

    def of_groups(self, groups: Iterable[str], split: str) -> list[Face]:
        """The faces of a split that are of some groups.

        Args:
            groups: such as a model's file keeps.
            split: the name of a split.
        """
        known = set(groups)
        return [face for face in self.splits[split] if face.ties & known]

    def train_dataloader(self) -> BatchLoader:
        """Batches of the training faces, in an order drawn anew each epoch."""
        return self._loader("train", self.batch_size, shuffle=True)

    def val_dataloader(self) -> BatchLoader:
        """Batches of the validation faces, always in their own order and never augmented."""
        return self._loader("val", max(self.batch_size, 64), shuffle=False)

    def _loader(self, split: str, batch_size: int, *, shuffle: bool) -> BatchLoader:
        dataset = self.dataset(split)
        rank, ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if not shuffle:
            batch_size = even_batch_size(len(dataset), ranks, batch_size)
        sampler = EpochSampler(len(dataset), seed=self.seed, shuffle=shuffle, rank=rank, ranks=ranks)
        if self.trainer:  # of a resumed run, workers begin before Lightning has told the sampler its epoch
            sampler.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        return BatchLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            # A last batch of one face has no statistics to normalise by; each epoch leaves out another.
            drop_last=shuffle and len(sampler) > batch_size and len(sampler) % batch_size == 1,
            collate_fn=as_it_is,
            generator=torch.Generator(),  # else each iterator takes a number from those that dropout draws
            num_workers=self.num_workers,
            worker_init_fn=configure_worker,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
