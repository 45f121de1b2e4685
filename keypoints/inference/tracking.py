"""Tracks: one number for a face in all frames of a clip. Imports no torch.

A face in a new frame belongs to the track whose expected place is nearest, in sides of the face's box, over
all faces together (H. W. Kuhn, The Hungarian method for the assignment problem, 1955). A track is expected
where its speed takes it, so two faces that cross keep their tracks, also if one hides the other meanwhile.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from keypoints.geometry import Box, FloatArray

REMEMBERED = 2.0
"""Seconds for which a face may be away and still get its track back."""
_REACH = 1.0
"""Largest cost of an assignment: distance in sides of the box, plus the logarithm of the sizes' ratio."""
_PATIENT = 1.25
"""Factor of the distance from the last place, so that the expected place counts where both are as near."""
_SPEED_TIME = 0.2
"""Time constant of the mean of a track's speed, in seconds."""
_SAME_FACE = 0.3
"""Distance of two faces' middles, in sides of the box, below which they are one face found twice."""


@dataclass
class Track:
    """Face followed through a clip.

    Args:
        number: number of the track, from 0.
        time: time in seconds at which the face was last seen.
        box: its box then, in pixels.
        velocity: pixels per second, (2,).
    """

    number: int
    time: float
    box: Box
    velocity: FloatArray = field(default_factory=lambda: np.zeros(2))

    @property
    def side(self) -> float:
        """Side of the box, in pixels; of a box that is no square, the root of its area."""
        return _side(self.box)

    def cost(self, box: Box, time: float) -> float:
        """Return how badly a box fits: distance in sides of the box, plus the logarithm of the sizes' ratio.

        The place where the face was last seen counts as well as the place where its speed would take it: a
        face may pass behind another one, or return where it left.

        Args:
            box: box of a face, in pixels.
            time: time in seconds.
        """
        size, before = _side(box), _side(self.box)
        gone = _middle(box) - _middle(self.box)
        ahead = gone - self.velocity * (time - self.time)
        distance = min(np.linalg.norm(ahead), _PATIENT * np.linalg.norm(gone))
        return float(distance / math.sqrt(size * before) + abs(math.log(size / before)))

    def move(self, box: Box, time: float) -> None:
        """Move the track to a box.

        Args:
            box: box of the face, in pixels.
            time: time in seconds, later than before.
        """
        elapsed = time - self.time
        weight = 1 - math.exp(-elapsed / _SPEED_TIME)
        self.velocity = self.velocity + weight * (
            (_middle(box) - _middle(self.box)) / elapsed - self.velocity
        )
        self.box, self.time = box, time


class Tracker:
    """Tracks of the faces of a clip.

    Attributes:
        count: number of tracks so far.
        visible: tracks of the last frame's faces.
    """

    def __init__(self) -> None:
        self.count = 0
        self.visible: list[Track] = []
        self._hidden: list[Track] = []

    @property
    def remembered(self) -> set[int]:
        """Numbers of the tracks that a face may still belong to."""
        return {track.number for track in (*self.visible, *self._hidden)}

    def owners(self, boxes: Sequence[Box], time: float) -> list[Track | None]:
        """Return the track of each box; ``None`` for a new face.

        Args:
            boxes: boxes of different faces, in pixels.
            time: time of the frame in seconds, later than the last.
        """
        from scipy.optimize import linear_sum_assignment

        tracks = [*self.visible, *self._hidden]
        found: list[Track | None] = [None] * len(boxes)
        if tracks and boxes:
            costs = np.array([[track.cost(box, time) for track in tracks] for box in boxes])
            for row, column in zip(*linear_sum_assignment(np.minimum(costs, _REACH)), strict=True):
                if costs[row, column] < _REACH:
                    found[row] = tracks[column]
        return found

    def distinct(self, owners: Sequence[Track | None], boxes: Sequence[Box], time: float) -> list[int]:
        """Return the indices of the faces without those that were found twice.

        When a face hides another one, both tracks may find it. It is kept for the track that expected it.

        Args:
            owners: track of each face; ``None`` for a new one.
            boxes: box of each face, in pixels.
            time: time of the frame in seconds.
        """
        costs = [
            math.inf if owner is None else owner.cost(box, time)
            for owner, box in zip(owners, boxes, strict=True)
        ]
        kept: list[int] = []
        for place in sorted(range(len(boxes)), key=costs.__getitem__):
            if not any(_is_same(boxes[place], boxes[other]) for other in kept):
                kept.append(place)
        return sorted(kept)

    def update(self, owners: Sequence[Track | None], boxes: Sequence[Box], time: float) -> list[Track]:
        """Move the tracks to a frame's faces, and return the track of each.

        Args:
            owners: track of each face; ``None`` for a new one.
            boxes: box of each face, in pixels.
            time: time of the frame in seconds, later than the last.
        """
        tracks = []
        for owner, box in zip(owners, boxes, strict=True):
            if owner is None:
                track = Track(self.count, time, box)
                self.count += 1
            else:
                track = owner
                track.move(box, time)
            tracks.append(track)
        seen = {track.number for track in tracks}
        self._hidden = [
            track
            for track in (*self.visible, *self._hidden)
            if track.number not in seen and time - track.time <= REMEMBERED
        ]
        self.visible = tracks
        return tracks


def _middle(box: Box) -> FloatArray:
    return np.array([box.left + box.width / 2, box.top + box.height / 2])


def _side(box: Box) -> float:
    return math.sqrt(box.width * box.height)


def _is_same(first: Box, second: Box) -> bool:
    size = math.sqrt(_side(first) * _side(second))
    return float(np.linalg.norm(_middle(first) - _middle(second))) < _SAME_FACE * size
