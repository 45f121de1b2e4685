"""Face detection: what all detectors share. The detectors are in :mod:`keypoints.inference.detectors`."""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from keypoints.data.face import Face
from keypoints.geometry import Box, ByteArray


class FoundFace(NamedTuple):
    """Detected face."""

    box: Box
    """Box in pixels of the photo; nearly square, without part of the jaw; it may extend beyond the photo."""
    score: float
    """Detector's score, higher for a clearer face; compare it with scores of the same detector only, see
    the detectors' classes."""


class FaceDetector(Protocol):
    """Detector of upright faces, whose boxes are placed like those of 300-W, on which models are trained."""

    @property
    def name(self) -> str:
        """Name of the detector, as in ``detector=<name>``."""

    @property
    def limits(self) -> str:
        """Kind and limits of the detector for its users, after "Faces are detected by"."""

    def __call__(self, pixels: ByteArray) -> list[FoundFace]:
        """Return the faces in (H, W) grey or (H, W, 3) RGB pixels, by falling score."""


SAME = 0.3
"""Smallest intersection over union at which a detected box belongs to the face of a known box."""


def find_turned(detector: FaceDetector, pixels: ByteArray) -> list[FoundFace]:
    """Detect faces in quarter turns of a photo: those of the turn with the highest score.

    Args:
        detector: the detector.
        pixels: (H, W) grey or (H, W, 3) RGB.

    Returns:
        The faces by falling score, with boxes in pixels of the photo itself; empty if no turn shows one.
    """
    size = pixels.shape[1], pixels.shape[0]
    found: list[FoundFace] = []
    for turns in (1, 2, 3):
        faces = detector(np.ascontiguousarray(np.rot90(pixels, turns)))
        if faces and (not found or faces[0].score > found[0].score):
            found = [face._replace(box=_turned_back(face.box, turns, size)) for face in faces]
    return found


def _turned_back(box: Box, turns: int, size: tuple[int, int]) -> Box:
    """Return a box in the pixels of a photo from a box in its counter-clockwise quarter turns.

    Args:
        box: box in pixels of the turned photo.
        turns: number of quarter turns, from 1 to 3.
        size: width and height of the photo itself, in pixels.
    """
    right, bottom = box.left + box.width, box.top + box.height
    if turns == 1:
        return Box(size[0] - bottom, box.left, box.height, box.width)
    if turns == 2:
        return Box(size[0] - right, size[1] - bottom, box.width, box.height)
    return Box(box.top, size[1] - right, box.height, box.width)


def with_found_boxes(faces: Iterable[Face], detector: FaceDetector) -> tuple[list[Face], int]:
    """Return the faces with detected boxes in place of their own.

    Args:
        faces: the faces; without a box of its own, a face fills its photo.
        detector: the detector.

    Returns:
        The detected faces, and the number of other faces: no detected box overlaps their own box enough.

    Raises:
        DataError: if a photo cannot be read.
    """
    detected, missed = [], 0
    for face in faces:
        known = face.box or Box.of_image(face.photo.size)
        boxes = (own.box for own in detector(face.photo.decode(3)))
        box = max(boxes, key=known.overlap, default=None)
        if box is not None and box.overlap(known) >= SAME:
            detected.append(replace(face, box=box))
        else:
            missed += 1
    return detected, missed
