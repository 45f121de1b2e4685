"""Face: one annotated face of a photo, as all readers return it.

To add a data set:

1. write a reader in ``keypoints/data/readers/``, in its own file, that returns a list of :class:`Face`;
2. write a datamodule in ``keypoints/datamodules/`` that defines the splits;
3. add ``conf/data/<name>.yaml``, which names that datamodule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from keypoints.data.photos import Photo
from keypoints.geometry import Box, FloatArray

StateArray = npt.NDArray[np.uint8]

UNLABELLED, HIDDEN, VISIBLE = 0, 1, 2
"""States of a point, as in COCO's keypoints."""


@dataclass(frozen=True, eq=False)
class Face:
    """One face of one photo.

    Args:
        photo: the photo that shows the face.
        box: the face's box in the photo's pixels; ``None`` if the full photo is the face.
        points: (N, 2) landmarks in the photo's pixels, NaN for a point that is not labelled; ``None`` if the
            face has no annotation.
        group: name of a set of faces that must be in the same split, such as a person, or a photo with its
            mirrored copy.
        photo_id: identity of the photo, independent of the group, from
            :func:`keypoints.data.photo_facts.read_photo_facts`; empty if the reader does not set it.
        tags: attributes by which results are grouped, such as ``{"view": "1"}``.
        source: the list and row that the face was read from, for messages; empty without a list.
        states: (N,) state of each point, as in COCO: 0 not labelled, 1 labelled and hidden, 2 labelled and
            visible; ``None`` if all labelled points are visible.
    """

    photo: Photo
    box: Box | None
    points: FloatArray | None
    group: str
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    photo_id: str = ""
    states: StateArray | None = None

    @property
    def name(self) -> str:
        """Name of the photo's file, without its suffix."""
        return self.photo.path.stem

    @property
    def ties(self) -> frozenset[str]:
        """Group and photo of the face; all faces with one of these must be in the same split."""
        return frozenset({self.group, self.photo_id or self.group})

    def landmarks(self) -> FloatArray:
        """Return the face's points, (N, 2) pixels of the photo; NaN for points that are not labelled.

        Raises:
            ValueError: if the face has no points.
        """
        if self.points is None:
            raise ValueError(f"{self.photo.path}: this face has no points")
        return np.asarray(self.points, np.float64)

    def labelled(self) -> npt.NDArray[np.bool_]:
        """Return which points are labelled, (N,).

        Raises:
            ValueError: if the face has no points.
        """
        return np.asarray(np.isfinite(self.landmarks()).all(axis=1))

    def labelled_points(self) -> FloatArray:
        """Return the labelled points, (M, 2) pixels of the photo.

        Raises:
            ValueError: if the face has no points.
        """
        return self.landmarks()[self.labelled()]

    def visibility(self) -> StateArray:
        """Return the state of each point, (N,), also where all labelled points are visible.

        Raises:
            ValueError: if the face has no points.
        """
        if self.states is not None:
            return self.states
        return np.where(self.labelled(), VISIBLE, UNLABELLED).astype(np.uint8)

    def hidden(self) -> npt.NDArray[np.bool_]:
        """Return which points are labelled and hidden, (N,).

        Raises:
            ValueError: if the face has no points.
        """
        return np.asarray(self.visibility() == HIDDEN)


class Reading(NamedTuple):
    """Result of a reader that may skip bad entries."""

    faces: list[Face]
    skipped: list[str]
    """Reason for each skipped entry: a line that names the file and the entry."""
