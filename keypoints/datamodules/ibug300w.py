"""300-W, split by the course's lists or by the official protocol."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from keypoints.crop import Crop
from keypoints.data.checks import shared_groups
from keypoints.data.compact_copy import Original, original_of, read_map
from keypoints.data.dataset_folders import find_root
from keypoints.data.face import Face, Reading
from keypoints.data.readers.ibug300w import (
    PARSED_LIST,
    PROTOCOL,
    TEST_LIST,
    TRAIN_LIST,
    read_annotated,
    read_dlib_xml,
    read_test_list,
    split_official,
)
from keypoints.data.splits import split_by_group
from keypoints.datamodules.base import FaceDataModule
from keypoints.datamodules.settings import BoxSettings
from keypoints.errors import ConfigError, DataError
from keypoints.formatting import counted, pluralised
from keypoints.schemes import IBUG68

log = logging.getLogger(__name__)

Split = Literal["course", "official"]


@dataclass(kw_only=True, eq=False, repr=False)
class IBUG300WDataModule(BoxSettings, FaceDataModule):
    """300-W: faces in the wild with boxes and 68 points, or some of the points.

    For both kinds of split, ``val``, which selects the best epoch, is split off the training faces by photo.
    The faces that results are reported on are in neither ``train`` nor ``val``.

    - ``course``: ``train`` and ``val`` are from the course's training list; ``test`` is its test list, which
      has no points, for the submission.
    - ``official``: ``train`` and ``val`` are AFW and the training sets of Helen and LFPW. Results are on
      ``common``, the test sets of Helen and LFPW; ``challenge``, iBUG; and ``full``, both. The course's
      training list includes the common faces, so its models must not be evaluated on them.

    Points have the decimals of the ``.pts`` file next to a picture, if the list has the same points rounded.

    Args:
        root: folder of the lists.
        split: kind of split, ``"course"`` or ``"official"``.

    Further arguments are those of :class:`BoxSettings` and :class:`FaceSettings`.

    Raises:
        ConfigError: if a value cannot be used.
    """

    root: str | Path = field(kw_only=False)
    split: Split = "course"
    width: int = 224
    height: int = 224
    batch_size: int = 64
    val_fraction: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split not in get_args(Split):
            raise ConfigError(f"data.split is {' or '.join(get_args(Split))}, not {self.split!r}")
        self._root = Path(self.root)
        crop = Crop(self.width, self.height, self.channels, source="box", margin=self.margin)
        self.set_faces(IBUG68, crop)

    @classmethod
    def settings_with(cls, split: str | None) -> Mapping[str, Any]:
        """Return the settings with which the data have a split.

        Args:
            split: name of the split.

        Returns:
            Names and values that are not the defaults.
        """
        return {"split": "official"} if split in ("common", "challenge", "full") else {}

    def read(self) -> Mapping[str, Sequence[Face]]:
        """Return the splits of the chosen kind; splits without a face are left out, and named in the log.

        For a cross-validation, ``val`` is left out too.
        """
        find_root("ibug300w", "", self._root)
        splits = self._course() if self.split == "course" else self._official()
        train = splits.pop("train")
        trained = {"train": train} if self.fold is not None else self._split_off_val(train)
        return {**trained, **{name: own for name, own in splits.items() if own}}

    def _split_off_val(self, faces: Sequence[Face]) -> dict[str, list[Face]]:
        train, val = split_by_group(faces, self.val_fraction, self.val_seed)
        return {"train": train, "val": _unmirrored(val)}

    def split_fold(self, faces: Sequence[Face], folds: int, fold: int) -> tuple[list[Face], list[Face]]:
        """Split off the fold that validates, by photo; mirrored copies in it are left out.

        Args:
            faces: training faces.
            folds: number of folds.
            fold: number of the fold that validates, from 0 up.

        Returns:
            The faces to train on, and the faces to validate on.

        Raises:
            DataError: if there are fewer photos than folds.
        """
        train, val = super().split_fold(faces, folds, fold)
        return train, _unmirrored(val)

    def source_of(self, split: str) -> str:  # noqa: ARG002
        """Return the folder of the data set.

        Args:
            split: name of the split.

        Returns:
            Path of the file or folder.
        """
        return str(self._root)

    @cached_property
    def _originals(self) -> Mapping[str, Original]:
        return read_map(self._root)

    def original(self, face: Face) -> Original | None:
        """Return the original of the face's picture, if the lists belong to a compact copy.

        Args:
            face: one of the faces of :attr:`splits`.

        Returns:
            The original; ``None`` if the data are no compact copy.

        Raises:
            DataError: if the copy's list of originals is damaged, or lacks the picture.
        """
        return original_of(face, self._root, self._originals) if self._originals else None

    def _course(self) -> dict[str, list[Face]]:
        train = self._logged(read_dlib_xml(self._root / TRAIN_LIST, strict=self.strict, exactly=True))
        if bare := [face for face in train if face.points is None]:
            raise DataError(f"{self._root / TRAIN_LIST}: {bare[0].photo.path.name} has no points")
        names = [name for name in (PARSED_LIST, TEST_LIST) if (self._root / name).is_file()]
        test = read_test_list(self._root / names[0], self._root) if names else []
        if not test:
            log.info("%s: no %s, so there is nothing to submit", self._root, PARSED_LIST)
        if shared := shared_groups(train, test):
            photos = f"{counted(len(shared), 'photo')} {pluralised(len(shared), 'has', 'have')}"
            log.info("%s faces in the training list and in the test list", photos)
        return {"train": train, "test": [_without_points(face) for face in test]}

    def _official(self) -> dict[str, list[Face]]:
        reading = read_annotated(self._root, strict=self.strict)
        for problem in reading.skipped:
            if any(f"{folder}/" in problem for name in ("common", "challenge") for folder in PROTOCOL[name]):
                raise DataError(f"{problem}; faces that results are reported on are never left out")
        splits = split_official(self._logged(reading))
        for name, folders in PROTOCOL.items():
            if absent := [folder for folder in folders if folder in splits.absent]:
                log.warning(
                    "%s: %s is missing; the split %s is incomplete", self._root, ", ".join(absent), name
                )
        if not splits.train:
            raise DataError(f"{self._root}: holds no training face (of {', '.join(PROTOCOL['train'])})")
        full = splits.full if splits.common and splits.challenge else []
        return {"train": splits.train, "common": splits.common, "challenge": splits.challenge, "full": full}

    def _logged(self, reading: Reading) -> list[Face]:
        """Return the faces, after logging the reason for each skipped entry."""
        for problem in reading.skipped:
            log.warning("left out: %s", problem)
        return reading.faces


def _unmirrored(faces: Sequence[Face]) -> list[Face]:
    """Return the faces that are no mirrored copies, so that each counts once."""
    return [face for face in faces if face.tags["mirror"] == "no"]


def _without_points(face: Face) -> Face:
    """Return a test face without points, as in the course's list, even if dlib's list has them."""
    return replace(face, points=None)
