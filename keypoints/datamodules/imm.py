"""The IMM Face Database, split by person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keypoints.crop import Crop
from keypoints.data.face import Face
from keypoints.data.readers.imm import VIEWS, read_imm
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import ConfigError, DataError
from keypoints.schemes import IMM58

FOLDS = 4


@dataclass(kw_only=True, eq=False, repr=False)
class IMMDataModule(FaceDataModule):
    """IMM Face Database: full photos with 58 points, or some of the points.

    Args:
        root: folder of the ``.jpg`` and ``.asf`` files.
        train_persons: persons 1 to this number are trained on, the others validate; the course has 32.
        fold: 0 to 3 validates on a quarter of the training persons instead, and leaves out the other persons:
            settings are chosen by cross-validation, so that the final result is on unseen persons.

    Further arguments are those of :class:`FaceSettings`. ``landmarks`` may also be ``"nose_tip"``.

    Raises:
        ConfigError: if a value cannot be used.
    """

    root: str | Path = field(kw_only=False)
    width: int = 80
    height: int = 60
    batch_size: int = 4
    train_persons: int = 32
    fold: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fold is not None and self.fold not in range(FOLDS):
            raise ConfigError(
                f"fold is a number from 0 to {FOLDS - 1}, or null for the course's split, not {self.fold!r}"
            )
        if isinstance(self.train_persons, bool) or not isinstance(self.train_persons, int):
            raise ConfigError(f"train_persons is a whole number, not {self.train_persons!r}")
        self.set_faces(IMM58, Crop(self.width, self.height, self.channels))

    @property
    def words(self) -> Mapping[str, Mapping[str, str]]:
        """Descriptions of the six views."""
        return {"view": VIEWS}

    def read(self) -> Mapping[str, Sequence[Face]]:
        """Return the splits ``train`` and ``val``, by person.

        Raises:
            DataError: if the faces cannot be read, or a split has no person.
        """
        splits: dict[str, list[Face]] = {"train": [], "val": []}
        for face in read_imm(Path(self.root)):
            person = int(face.group)
            if self.fold is None:
                splits["train" if person <= self.train_persons else "val"].append(face)
            elif person <= self.train_persons:
                splits["val" if (person - 1) % FOLDS == self.fold else "train"].append(face)
        for split, faces in splits.items():
            if not faces:
                raise DataError(
                    f"{self.root}: no person for {split}: "
                    f"1 to {self.train_persons} train, the others validate"
                )
        return splits
