"""The IMM Face Database, split by person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keypoints.crop import Crop
from keypoints.data.face import Face
from keypoints.data.readers.imm import VIEWS, read_imm
from keypoints.data.splits import split_off
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import ConfigError, DataError
from keypoints.formatting import counted
from keypoints.schemes import IMM58


@dataclass(kw_only=True, eq=False, repr=False)
class IMMDataModule(FaceDataModule):
    """IMM Face Database: full photos with 58 points, or some of the points.

    A cross-validation divides the training persons by number: fold 0 of four has the persons 1, 5, 9, ….
    The other persons take no part in it: settings are chosen on the folds, so that the final result is on
    unseen persons.

    Args:
        root: folder of the ``.jpg`` and ``.asf`` files.
        train_persons: persons 1 to this number are trained on, the others validate; the course has 32.

    Further arguments are those of :class:`FaceSettings`. ``landmarks`` may also be ``"nose_tip"``.

    Raises:
        ConfigError: if a value cannot be used.
    """

    root: str | Path = field(kw_only=False)
    width: int = 80
    height: int = 60
    batch_size: int = 4
    train_persons: int = 32
    folds: int | None = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.train_persons, bool) or not isinstance(self.train_persons, int):
            raise ConfigError(f"train_persons is a whole number, not {self.train_persons!r}")
        self.set_faces(IMM58, Crop(self.width, self.height, self.channels))

    @property
    def words(self) -> Mapping[str, Mapping[str, str]]:
        """Descriptions of the six views."""
        return {"view": VIEWS}

    def read(self) -> Mapping[str, Sequence[Face]]:
        """Return the splits ``train`` and ``val``, by person; for a cross-validation only ``train``.

        Raises:
            DataError: if the faces cannot be read, or a split has no person.
        """
        splits: dict[str, list[Face]] = {"train": []} if self.fold is not None else {"train": [], "val": []}
        for face in read_imm(Path(self.root)):
            split = "train" if int(face.group) <= self.train_persons else "val"
            if split in splits:
                splits[split].append(face)
        for split, faces in splits.items():
            if not faces:
                raise DataError(
                    f"{self.root}: no person for {split}: "
                    f"1 to {self.train_persons} train, the others validate"
                )
        return splits

    def source_of(self, split: str) -> str:  # noqa: ARG002
        """Return the folder of the data set.

        Args:
            split: name of the split.

        Returns:
            Path of the file or folder.
        """
        return str(self.root)

    def split_fold(self, faces: Sequence[Face], folds: int, fold: int) -> tuple[list[Face], list[Face]]:
        """Split off the fold that validates: every person whose number minus 1 has the remainder ``fold``.

        Args:
            faces: faces of the training persons.
            folds: number of folds, the divisor.
            fold: number of the fold that validates, from 0 up.

        Returns:
            The faces to train on, and the faces to validate on.

        Raises:
            DataError: if there are fewer persons than folds, or one of the two parts has no person.
        """
        persons = {int(face.group) for face in faces}
        inside = {person for person in persons if (person - 1) % folds == fold}
        if len(persons) < folds or not inside or inside == persons:
            raise DataError(
                f"{self.root}: {counted(len(persons), 'training person')}, {len(inside)} of them in fold "
                f"{fold} of "
                f"{folds}, do not suffice; take fewer folds: data.folds"
            )
        return split_off(faces, [int(face.group) in inside for face in faces])
