"""Base class of all datamodules: splits, each prepared on first use, and loaders."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from keypoints.crop import Crop
from keypoints.data.compact_copy import Original
from keypoints.data.dataset import Batch, FaceDataset, collate, pixels_of
from keypoints.data.face import Face
from keypoints.data.loader import BatchLoader
from keypoints.data.photo_facts import is_of_photo, read_photo_facts
from keypoints.data.provenance import TrainedOn, TrainingFaces, data_name
from keypoints.data.readers.ibug300w import NAMING
from keypoints.data.sampler import EpochSampler, even_batch_size
from keypoints.data.splits import split_into_folds, split_off
from keypoints.data.statistics import measure, training_statistics
from keypoints.datamodules.settings import FaceSettings
from keypoints.errors import ConfigError, DataError, some_of
from keypoints.formatting import counted, pluralised
from keypoints.geometry import Affine, ratio_to_pixels
from keypoints.landmarks import LandmarkScheme
from keypoints.process import configure_worker

log = logging.getLogger(__name__)

_MEASURED = 500
"""Largest number of training faces from which training-data statistics are computed."""


def _differs(settings: FaceSettings, setting: "Field[Any]") -> bool:
    """Return whether a setting has another value than by default."""
    return bool(getattr(settings, setting.name) != setting.default)


class FaceDataModule(FaceSettings, pl.LightningDataModule, ABC):
    """Datamodule that crops and batches the faces that a subclass reads and splits in :meth:`read`.

    A subclass is a dataclass. Its fields are its own settings, in addition to those of :class:`FaceSettings`.
    Its ``__post_init__`` ends with a call of :meth:`set_faces`, as in :class:`IMMDataModule`. A subclass that
    defines ``__init__`` calls this constructor.

    Args:
        scheme: landmarks of the faces as read.
        crop: conversion from photo to network input.
        settings: fields of :class:`FaceSettings`.

    Raises:
        ConfigError: if the scheme does not have the landmarks of the setting ``landmarks``, or a value cannot
            be used.
    """

    def __init__(self, *, scheme: LandmarkScheme, crop: Crop, **settings: Any) -> None:
        size = {"width": crop.width, "height": crop.height, "channels": crop.channels}
        FaceSettings.__init__(self, **{**size, **settings})
        self.set_faces(scheme, crop)

    def __post_init__(self) -> None:
        super().__post_init__()
        pl.LightningDataModule.__init__(self)
        self._datasets: dict[str, FaceDataset] = {}
        self._ids: dict[str, Mapping[Path, str]] = {}

    def __repr__(self) -> str:
        """Return the settings that differ from the defaults."""
        given = [f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if _differs(self, each)]
        return f"{type(self).__name__}({', '.join(given)})"

    def set_faces(self, scheme: LandmarkScheme, crop: Crop) -> None:
        """Set the landmarks of the faces as read, and the conversion from photo to network input.

        Args:
            scheme: all landmarks of the faces; the setting ``landmarks`` selects the targets from them.
            crop: conversion from photo to network input.

        Raises:
            ConfigError: if the scheme does not have the landmarks of the setting ``landmarks``.
        """
        self._all = scheme
        self._select(self.landmarks)
        self.crop = crop

    @property
    def memory(self) -> int:
        """Largest memory for cached crops, in bytes."""
        return int(self.memory_mb * 1e6)

    def _select(self, landmarks: str | None) -> None:
        scheme = self._all
        self.indices = tuple(range(len(scheme))) if landmarks is None else scheme.indices(landmarks)
        self.scheme = scheme if landmarks is None else scheme.select(landmarks)

    @classmethod
    def settings_with(cls, split: str | None) -> Mapping[str, Any]:  # noqa: ARG003  for subclasses
        """Return the settings with which the data have a split.

        Args:
            split: name of the split.

        Returns:
            Names and values that are not the defaults; none by default.
        """
        return {}

    def adopt(self, scheme: LandmarkScheme, crop: Crop) -> None:
        """Use a checkpoint's landmarks and crop; must be called before the faces are read.

        Args:
            scheme: the checkpoint's landmarks.
            crop: the checkpoint's conversion from photo to network input.

        Raises:
            ConfigError: if the faces do not have these landmarks.
        """
        for landmarks in (None, *self._all.parts, *self._all.selections):
            self._select(landmarks)
            if self.scheme == scheme:
                self.crop = crop
                return
        raise ConfigError(
            f"the checkpoint predicts {scheme.name} ({counted(len(scheme), 'point')}), but these faces have "
            f"{self._all.name} ({counted(len(self._all), 'point')}); choose other data: data=…"
        )

    def original(self, face: Face) -> Original | None:  # noqa: ARG002
        """Return the original of the face's picture, if the data are a compact copy of a data set.

        Results are reported in pixels of the originals.

        Args:
            face: one of the faces of :attr:`splits`.

        Returns:
            The original; ``None`` if the data are no compact copy.

        Raises:
            DataError: if the copy's list of originals is damaged, or lacks the picture.
        """
        return None

    @property
    def words(self) -> Mapping[str, Mapping[str, str]]:
        """Descriptions of the values of tags, by tag and value, for values that do not explain themselves."""
        return {}

    @abstractmethod
    def read(self) -> Mapping[str, Sequence[Face]]:
        """Return the faces of all splits, without decoding a photo.

        No split is empty. There are ``train`` and ``val``, or at least one split to evaluate on. With the
        setting ``fold``, ``val`` may be missing: :meth:`split_fold` makes it from ``train``, and it replaces
        a ``val`` that is returned.

        Raises:
            DataError: if the faces cannot be read.
        """

    @cached_property
    def splits(self) -> Mapping[str, Sequence[Face]]:
        """Faces of all splits, from :meth:`read`, which is called once, and :meth:`split_fold`.

        Raises:
            DataError: if they cannot be read or divided, or a group has faces in ``train`` and in a split
                with points.
        """
        splits = self._with_fold(self.read())
        trained = {tie for face in splits.get("train", ()) for tie in face.ties}
        for split, faces in splits.items():
            shared = {tie: face for face in faces if face.points is not None for tie in face.ties & trained}
            if split != "train" and shared:
                tie, face = min(shared.items(), key=lambda found: is_of_photo(found[0]))
                raise DataError(
                    f"{face.photo.path if is_of_photo(tie) else tie}: has faces in train and in {split}, and "
                    f"so {pluralised(len(shared) - 1, 'has', 'have')} "
                    f"{counted(len(shared) - 1, 'more group')}; results would be too good: leave one side out"
                )
        return splits

    def _with_fold(self, splits: Mapping[str, Sequence[Face]]) -> Mapping[str, Sequence[Face]]:
        """Return the splits, with ``val`` from ``train`` if a fold validates."""
        if self.folds is None or self.fold is None or "train" not in splits:
            return splits
        train, val = self.split_fold(splits["train"], self.folds, self.fold)
        others = {split: faces for split, faces in splits.items() if split not in ("train", "val")}
        return {"train": train, "val": val, **others}

    def split_fold(self, faces: Sequence[Face], folds: int, fold: int) -> tuple[list[Face], list[Face]]:
        """Split off the fold that validates, by group.

        Args:
            faces: faces of the split ``train``, as :meth:`read` returns it.
            folds: number of folds.
            fold: number of the fold that validates, from 0 up.

        Returns:
            The faces to train on, and the faces to validate on. Neither is empty.

        Raises:
            DataError: if there are fewer groups than folds.
        """
        try:
            places = split_into_folds(faces, folds, self.val_seed)
        except DataError as error:
            raise DataError(f"{self.source_of('train')}: {error}") from error
        return split_off(faces, [place == fold for place in places])

    def source_of(self, split: str) -> str:
        """Return the file or folder that the faces of a split are read from, for messages.

        Args:
            split: name of the split.

        Returns:
            Path of the file or folder, or a name for the split.
        """
        return f"split {split}"

    def setup(self, stage: str | None = None) -> None:
        """Prepare the faces that a stage needs, once. Other splits are prepared on first use.

        Args:
            stage: ``"fit"`` or ``None`` for ``train`` and ``val``, ``"validate"`` for ``val``; other stages
                prepare nothing.

        Raises:
            DataError: if faces cannot be read, or those to train with lack the labels of a point or a part.
        """
        needed = {"fit": ("train", "val"), None: ("train", "val"), "validate": ("val",)}.get(stage, ())
        if all(split in self._datasets for split in needed):
            return
        if {"train", "val"} <= {*needed} & {*self.splits}:
            self._check_labels()
        datasets = {split: self.dataset(split) for split in needed}
        again = sum(dataset.read_again for dataset in datasets.values())
        reread = f"{counted(again, 'face')} {pluralised(again, 'is', 'are')}"
        log.info(
            "%s; %.1f MB of crops held in memory%s",
            ", ".join(self._count(split, dataset) for split, dataset in datasets.items()),
            sum(dataset.nbytes for dataset in datasets.values()) / 1e6,
            f"; {reread} read from disk at each use (memory_mb)" if again else "",
        )

    def _count(self, split: str, dataset: FaceDataset) -> str:
        """Return the number of faces in words; that they are not augmented may be a surprise."""
        plain = split == "train" and self.augmentation is None
        faces = counted(len(dataset), f"{split} face")
        return f"{faces}{' without augmentation' if plain else ''}"

    def _check_labels(self) -> None:
        """Check that each point has a label in a training face, and each part in a validation face."""
        for split in ("train", "val"):
            faces = self.splits[split]
            labelled = np.any([face.labelled()[list(self.indices)] for face in faces], axis=0)
            missing = {place for place, known in enumerate(labelled) if not known}
            parts = [name for name, part in self.scheme.parts.items() if {*part} <= missing]
            if not parts and (split == "val" or not missing):
                continue
            names = [
                self.scheme.names[place] if self.scheme.names else str(place) for place in sorted(missing)
            ]
            if len(missing) == len(self.scheme):
                what = "no point has a label"
            elif parts:
                what = f"the part {some_of(parts, 3)} has no label"
            else:
                what = f"the point {some_of(names, 3)} has no label"
            raise DataError(
                f"{self.source_of(split)}: {what} in any of the {len(faces)} {split} faces; label it, or "
                "train on a part that has labels: data.landmarks=<part>"
            )

    def dataset(self, split: str) -> FaceDataset:
        """Return the faces of a split, prepared on first use.

        Args:
            split: name of the split.

        Returns:
            The dataset; the same object at each call.

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
        """Return the provenance of the training faces, for checkpoints."""
        return self._trained_on

    @cached_property
    def _trained_on(self) -> TrainedOn:
        """Provenance of the training faces, computed once for all checkpoints: it reads the photos."""
        mean: list[list[float]] = self.dataset("train").mean_target().tolist()
        train, val = (self._ties(split) for split in ("train", "val"))
        # A datamodule of the user may have neither a list nor a folder.
        name = data_name(getattr(self, "train", None), getattr(self, "root", None))
        return TrainedOn(train, mean, val, self._support, name)

    def _ties(self, split: str) -> list[str]:
        """Return the groups and photos of a split, the photos by name and contents."""
        faces = self.splits[split]
        return sorted({*self._photo_ids(split).values()}.union(*(face.ties for face in faces)))

    @cached_property
    def _support(self) -> dict[str, tuple[float, float]]:
        """Training-data statistics of the faces as augmented in the first epoch, or of an even selection."""
        dataset = self.dataset("train")
        chosen = range(0, len(dataset), -(-len(dataset) // _MEASURED))
        return training_statistics(self._measure(dataset[0, index]) for index in chosen)

    def _measure(self, sample: Batch) -> dict[str, float]:
        (image,) = pixels_of(Batch(*(field[None] for field in sample)))
        points = ratio_to_pixels(sample.targets.numpy(), self.crop.size)
        return measure(
            image, points, Affine(sample.to_photo.numpy().astype(np.float64)), self.scheme, self.crop
        )

    def leaks(self, trained_on: TrainedOn | TrainingFaces, split: str) -> list[Face]:
        """Return the faces of a split that share a group or a photo with a model's training data.

        Results on these faces say nothing about new faces.

        Args:
            trained_on: provenance of the training faces, from the model's file.
            split: name of the split.

        Returns:
            The faces, in the order of the split.
        """
        return self.of_groups(trained_on.groups, split)

    def of_groups(self, groups: Iterable[str], split: str) -> list[Face]:
        """Return the faces of a split that belong to certain groups.

        Args:
            groups: names of groups and ids of photos, as stored in a model's file.
            split: name of the split.

        Returns:
            The faces, in the order of the split.
        """
        known = set(groups)
        if not any(map(is_of_photo, known)):
            return [face for face in self.splits[split] if face.ties & known]
        ids = self._photo_ids(split)  # a list of the user's own knows its faces by their photos
        return [face for face in self.splits[split] if {*face.ties, ids.get(face.photo.path, "")} & known]

    def _photo_ids(self, split: str) -> Mapping[Path, str]:
        """Return the ids of a split's photos, by name and contents, for the faces that state none."""
        if split not in self._ids:
            facts = read_photo_facts((f.photo.path for f in self.splits[split] if not f.photo_id), NAMING)
            self._ids[split] = {
                path: found.photo_id for path, found in facts.items() if not isinstance(found, DataError)
            }
        return self._ids[split]

    def train_dataloader(self) -> BatchLoader:
        """Return the loader of the training faces, which are shuffled again in each epoch."""
        return self._loader("train", self.batch_size, shuffle=True)

    def val_dataloader(self) -> BatchLoader:
        """Return the loader of the validation faces, always in the same order and without augmentation."""
        return self.loader("val")

    def test_dataloader(self) -> BatchLoader:
        """Return the loader of the split ``test``, for ``Trainer.test``; see :meth:`loader`.

        Raises:
            ConfigError: if the data have no such split, its faces have no points, or the model was trained on
                them.
        """
        if "test" not in self.splits:
            raise ConfigError(
                f"these data have no split test, only {', '.join(self.splits)}; name one: "
                f"trainer.test(task, data.loader({[*self.splits][-1]!r}))"
            )
        if any(face.points is None for face in self.splits["test"]):
            raise ConfigError(
                f"{self.source_of('test')}: its faces have no points; trainer.predict predicts them"
            )
        trained_on = getattr(self.trainer and self.trainer.lightning_module, "trained_on", None)
        if trained_on is not None and (seen := self.leaks(trained_on, "test")):
            raise ConfigError(
                f"{self.source_of('test')}: the model was trained on {len(seen)} of the "
                f"{counted(len(self.splits['test']), 'face')}, or on others of their groups, so the result "
                "would say nothing about new faces"
            )
        return self.loader("test")

    def predict_dataloader(self) -> BatchLoader:
        """Return the loader of the split ``test``, or ``val`` without it, for ``Trainer.predict``."""
        return self.loader("test" if "test" in self.splits else "val")

    def loader(self, split: str) -> BatchLoader:
        """Return the loader of a split.

        Args:
            split: name of the split.

        Returns:
            The loader, always in the same order; only the faces of ``train`` are augmented.

        Raises:
            DataError: if there is no such split, or its faces cannot be read.
        """
        return self._loader(split, max(self.batch_size, 64), shuffle=False)

    def _loader(self, split: str, batch_size: int, *, shuffle: bool) -> BatchLoader:
        dataset = self.dataset(split)
        rank, ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if not shuffle:
            batch_size = even_batch_size(len(dataset), ranks, batch_size)
        sampler = EpochSampler(len(dataset), seed=self.seed, shuffle=shuffle, rank=rank, ranks=ranks)
        if self.trainer:  # in a resumed run, workers start before Lightning sets the sampler's epoch
            sampler.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        return BatchLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            # Batch normalisation fails on a last batch of one face. Each epoch leaves out another face.
            drop_last=shuffle and len(sampler) > batch_size and len(sampler) % batch_size == 1,
            collate_fn=collate,
            generator=torch.Generator(),  # else each iterator advances the generator of dropout
            num_workers=self.num_workers,
            worker_init_fn=configure_worker,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
