"""The IMM Face Database, split by person."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from keypoints.data.augmentation import Augmentation
from keypoints.data.face import Face
from keypoints.data.readers.imm import VIEWS, read_imm
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import ConfigError, DataError
from keypoints.geometry import Crop
from keypoints.landmarks import IMM58

FOLDS = 4


class IMMDataModule(FaceDataModule):
    """IMM's 58 points, or some of them, on the whole picture.

    Args:
        root: the folder of the ``.jpg`` and ``.asf`` files.
        landmarks: ``"nose_tip"``, or a part of the scheme; ``None`` for all 58.
        width, height: of the network's input.
        channels: 1 for grey, 3 for RGB.
        batch_size, num_workers, seed, augmentation, memory_mb: as :class:`FaceDataModule`.
        train_persons: the persons 1 to this number train, the others validate. The course: 32.
        fold: 0 to 3 validates on a quarter of the training persons instead, and leaves the others
            out: recipes are chosen on these folds, so that the final figure is of unseen persons.

    Raises:
        ConfigError: if a value cannot be used.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        landmarks: str | None = None,
        width: int = 80,
        height: int = 60,
        channels: int = 1,
        batch_size: int = 4,
        num_workers: int = 0,
        seed: int = 0,
        train_persons: int = 32,
        fold: int | None = None,
        augmentation: Augmentation | None = None,
        memory_mb: float = 2000,
    ) -> None:
        super().__init__(
            scheme=IMM58,
            landmarks=landmarks,
            crop=Crop(width, height, channels),
            batch_size=batch_size,
            num_workers=num_workers,
            seed=seed,
            augmentation=augmentation,
            memory_mb=memory_mb,
        )
        if fold is not None and fold not in range(FOLDS):
            raise ConfigError(
                f"fold is a number from 0 to {FOLDS - 1}, or null for the course's split, not {fold!r}"
            )
        if isinstance(train_persons, bool) or not isinstance(train_persons, int):
            raise ConfigError(f"train_persons is a whole number, not {train_persons!r}")
        self._root = Path(root)
        self._train_persons = train_persons
        self._fold = fold

    @property
    def words(self) -> Mapping[str, Mapping[str, str]]:
        """What a view shows."""
        return {"view": VIEWS}

    def read(self) -> Mapping[str, Sequence[Face]]:
        """The two splits, by person."""
        splits: dict[str, list[Face]] = {"train": [], "val": []}
        for face in read_imm(self._root):
            person = int(face.group)
            if self._fold is None:
                splits["train" if person <= self._train_persons else "val"].append(face)
            elif person <= self._train_persons:
                splits["val" if (person - 1) % FOLDS == self._fold else "train"].append(face)
        for split, faces in splits.items():
            if not faces:
                raise DataError(
                    f"{self._root}: no person for {split}: "
                    f"1 to {self._train_persons} train, the others validate"
                )
        return splits
