"""Faces in folders of persons: ``<root>/<person>/<photo>.jpg``, and ``<photo>.txt`` with five points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keypoints import Crop, Face, FaceDataModule, LandmarkScheme
from keypoints.data.photos import Photo
from keypoints.data.splits import split_by_group
from keypoints.errors import DataError

FIVE = LandmarkScheme(
    name="five",
    parts={"eyes": (0, 1), "nose": (2,), "mouth": (3, 4)},
    flip_indices=(1, 0, 2, 4, 3),
    normalizing_points=(0, 1),
    skeleton=((0, 2), (1, 2), (3, 4)),
    names=("left_eye", "right_eye", "nose_tip", "left_mouth_corner", "right_mouth_corner"),
)
"""Landmarks of the data set. Left and right refer to the picture."""


def read_folders(root: str | Path) -> list[Face]:
    """Return the faces below a folder, sorted by person and photo.

    Args:
        root: folder with a folder for each person.

    Returns:
        A face for each ``.txt`` file, whose group is the person.

    Raises:
        DataError: if there is no face, or a file is damaged.
    """
    files = sorted(Path(root).glob("*/*.txt"))
    if not files:
        raise DataError(f"{root}: holds no <person>/<photo>.txt")
    return [read_face(path) for path in files]


def read_face(path: Path) -> Face:
    """Return the face of a file with five lines ``x y``, in pixels of the photo beside it.

    Args:
        path: the ``.txt`` file.

    Returns:
        The face. The full photo shows it, so it has no box.

    Raises:
        DataError: if the file is damaged, or its photo is missing.
    """
    try:
        points = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not lines of two numbers ({error})") from error
    if points.shape != (len(FIVE), 2):
        raise DataError(f"{path}: has numbers of shape {points.shape}, not ({len(FIVE)}, 2)")
    image = path.with_suffix(".jpg")
    if not image.is_file():
        raise DataError(f"{path}: its photo {image.name} is missing")
    return Face(Photo(image), box=None, points=points, group=path.parent.name)


@dataclass(kw_only=True, eq=False, repr=False)
class FolderDataModule(FaceDataModule):
    """Faces in folders of persons, split by person.

    Args:
        root: folder with a folder for each person.
        val_fraction: approximate fraction of the faces that validate.

    Further arguments are those of every datamodule.
    """

    root: str | Path = field(kw_only=False)
    width: int = 96
    height: int = 96
    batch_size: int = 8
    val_fraction: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.set_faces(FIVE, Crop(self.width, self.height, self.channels, source="image"))

    def read(self) -> Mapping[str, Sequence[Face]]:
        """Return the splits ``train`` and ``val``; no person is in both."""
        train, val = split_by_group(read_folders(self.root), self.val_fraction, self.val_seed)
        return {"train": train, "val": val}

    def source_of(self, split: str) -> str:
        """Return the folder of the faces, for messages."""
        return str(self.root)
