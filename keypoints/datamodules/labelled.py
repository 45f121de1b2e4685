"""Your own labelled photos, in any of the formats of ``datasets/labelled.py``."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from keypoints.augmentation import Augmentation
from keypoints.datamodules.base import FaceDataModule
from keypoints.datasets.face import Face
from keypoints.datasets.labelled import read_labelled
from keypoints.datasets.splits import split_by_group
from keypoints.errors import DataError
from keypoints.geometry import Crop
from keypoints.landmarks import LandmarkScheme, scheme_named

log = logging.getLogger(__name__)


class LabelledDataModule(FaceDataModule):
    """Faces of a list of labelled photos, and those of another to validate on.

    Args:
        train: the list of the training faces.
        val: the list of the validation faces; ``None`` carves them off the training faces by whole
            groups: by photo, where the list names no others.
        root: the folder that the lists' names of photos start from; ``None``: each list's own.
        scheme: ``"imm58"`` or ``"ibug68"``, if the points are those; ``None`` takes them as they are,
            without names, mirror image and distance to normalise by.
        landmarks: a part of the scheme; ``None`` for all points.
        width, height: of the network's input.
        channels: 1 for grey, 3 for RGB.
        source: what is cut out: each face's ``"box"``, or the whole ``"image"``.
        margin: the factor by which it is enlarged.
        batch_size, num_workers, seed, augmentation, memory_mb: as :class:`FaceDataModule`.
        val_fraction: of the faces, about, where they are carved off.
        val_seed: decides which they are. Not ``seed``: runs that differ by it are compared.
        strict: ``False`` leaves out rows that cannot be used, and says which.

    Raises:
        ConfigError: if a value cannot be used.
        DataError: if the training list cannot be read.
    """

    def __init__(
        self,
        train: str | Path,
        *,
        val: str | Path | None = None,
        root: str | Path | None = None,
        scheme: str | None = None,
        landmarks: str | None = None,
        width: int = 128,
        height: int = 128,
        channels: int = 1,
        source: Literal["image", "box"] = "box",
        margin: float = 1.3,
        batch_size: int = 16,
        num_workers: int = 0,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        val_fraction: float = 0.2,
        val_seed: int = 0,
        strict: bool = True,
        memory_mb: float = 2000,
    ) -> None:
        self._root = None if root is None else Path(root)
        self._strict = strict
        self._source = source
        self._known = None if scheme is None else scheme_named(scheme)
        self._train = self._list(Path(train))
        super().__init__(
            scheme=self._known or _nameless(len(self._train[0].landmarks())),
            landmarks=landmarks,
            crop=Crop(width, height, channels, source=source, margin=margin),
            batch_size=batch_size,
            num_workers=num_workers,
            seed=seed,
            augmentation=augmentation,
            memory_mb=memory_mb,
            strict=strict,
        )
        self._val = None if val is None else Path(val)
        self._val_fraction = val_fraction
        self._val_seed = val_seed

    def read(self) -> Mapping[str, Sequence[Face]]:
        """The two splits."""
        if self._val is None:
            train, val = split_by_group(self._train, self._val_fraction, self._val_seed)
            return {"train": train, "val": val}
        validation = self._list(self._val)
        points, expected = (len(faces[0].landmarks()) for faces in (validation, self._train))
        if points != expected:
            raise DataError(f"{self._val}: has {points} points a face, but the training list has {expected}")
        return {"train": self._train, "val": validation}

    def _list(self, path: Path) -> list[Face]:
        faces, skipped = read_labelled(path, root=self._root, scheme=self._known, strict=self._strict)
        for problem in skipped:
            log.warning("left out: %s", problem)
        # Photos of lists in different folders are different, though their names be the same.
        root = path.parent if self._root is None else self._root
        faces = [
            replace(face, group=f"{root.resolve().name}/{face.group}")
            if face.group == face.photo.path.relative_to(root).as_posix()
            else face
            for face in faces
        ]
        boxless = sum(face.box is None for face in faces)
        if self._source == "box" and boxless:
            raise DataError(
                f"{path}: {boxless} of {len(faces)} faces have no box; give them one, or take whole photos: "
                "data.source=image"
            )
        return faces


def _nameless(count: int) -> LandmarkScheme:
    """``count`` points of which nothing is known."""
    return LandmarkScheme(
        f"{count} points", {"points": tuple(range(count))}, flip=None, pair=None, skeleton=()
    )
