"""What every reader returns and everything else accepts.

To add a dataset:

1. write a reader here, in a file of its own, that returns a list of :class:`Face`;
2. write a datamodule in ``keypoints/datamodules/`` that says how they are split;
3. add ``conf/data/<name>.yaml``, which names that datamodule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from keypoints.data.photos import Photo
from keypoints.geometry import Box, FloatArray


@dataclass(frozen=True, eq=False)
class Face:
    """One face of one photo.

    Args:
        photo: the picture it is in.
        box: where, in the photo's pixels, or ``None`` where the whole photo is the face.
        points: (N, 2) landmarks in the photo's pixels, or ``None`` where there are none.
        group: what must not stand on both sides of a split: a person, a photo and its mirror image.
        photo_id: the photo, by :func:`keypoints.data.photo_facts.look_at_photos`, whatever the group;
            empty where a reader has not looked at it.
        tags: what results are told apart by, such as ``{"view": "1"}``.
        source: the list and the row that it was read from, for messages; empty where there is no list.
    """

    photo: Photo
    box: Box | None
    points: FloatArray | None
    group: str
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    photo_id: str = ""

    @property
    def name(self) -> str:
        """The photo's file name without its suffix."""
        return self.photo.path.stem

    @property
    def ties(self) -> frozenset[str]:
        """What ties it to other faces: none of them may have one of these on the other side of a split."""
        return frozenset({self.group, self.photo_id or self.group})

    def landmarks(self) -> FloatArray:
        """The points, for uses that need them.

        Raises:
            ValueError: if there are none.
        """
        if self.points is None:
            raise ValueError(f"{self.photo.path}: this face has no points")
        return np.asarray(self.points, np.float64)


class Reading(NamedTuple):
    """What a reader found where bad entries may be passed over."""

    faces: list[Face]
    skipped: list[str]
    """Why each of the others was passed over: a line that names the file and the entry."""
