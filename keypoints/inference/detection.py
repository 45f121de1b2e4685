"""Face detection with the detector that made 300-W's boxes: models trained on 300-W expect such boxes.

N. Dalal, B. Triggs, Histograms of oriented gradients for human detection, CVPR 2005; D. E. King,
Max-margin object detection, 2015 (dlib). Needs the extra ``detect``, and neither torch nor a neural network.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from keypoints.crop import cut
from keypoints.data.face import Face
from keypoints.errors import ConfigError
from keypoints.geometry import Box, ByteArray

_MOST = 1600
"""Longer side, in pixels, to which larger photos are scaled down before detection."""
_SMALL = 1000
"""Longer side, in pixels, up to which a photo is doubled at once, to detect faces from 40 pixels."""


class FoundFace(NamedTuple):
    """Detected face."""

    box: Box
    """Box in pixels of the photo; nearly square, without part of the jaw; it may extend beyond the photo."""
    score: float
    """Detector's score: from 0 up, about 2 for a clear frontal face."""


_SAME = 0.3
"""Smallest intersection over union at which a detected box belongs to the face of a known box."""


class FaceDetector:
    """Dlib's frontal face detector.

    It detects faces of 80 pixels and more. So a small photo is first doubled in size. If no face is
    detected, any photo is doubled once more and searched again.

    Raises:
        ConfigError: if dlib is not installed.
    """

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError as error:
            raise ConfigError(
                "finding faces needs dlib, which is not installed: in the checkout, "
                "pip install -c constraints.txt -e '.[detect]', or give a list with boxes: input=<list>"
            ) from error
        self._find = dlib.get_frontal_face_detector()

    def __call__(self, pixels: ByteArray) -> list[FoundFace]:
        """Return the faces in (H, W) grey or (H, W, 3) RGB pixels, by falling score."""
        height, width = pixels.shape[:2]
        scale = min(1.0, _MOST / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        searched = pixels if scale == 1 else cut(pixels, Box.of_image((width, height)), size)
        doubled = int(max(size) <= _SMALL)
        for times in (doubled, doubled + 1):
            detections, scores, _ = self._find.run(searched, times, 0.0)
            if detections:
                break
        across, down = width / size[0], height / size[1]
        faces = [
            FoundFace(
                Box(face.left() * across, face.top() * down, face.width() * across, face.height() * down),
                float(score),
            )
            for face, score in zip(detections, scores, strict=True)
        ]
        return sorted(faces, key=lambda face: -face.score)


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


def with_found_boxes(faces: Iterable[Face]) -> tuple[list[Face], int]:
    """Return the faces with detected boxes in place of their own.

    Returns:
        The detected faces, and the number of other faces: no detected box overlaps their own box enough.

    Raises:
        ConfigError: if dlib is not installed.
        DataError: if a photo cannot be read.
    """
    detector = FaceDetector()
    detected, missed = [], 0
    for face in faces:
        known = face.box or Box.of_image(face.photo.size)
        boxes = (own.box for own in detector(face.photo.decode(3)))
        box = max(boxes, key=known.overlap, default=None)
        if box is not None and box.overlap(known) >= _SAME:
            detected.append(replace(face, box=box))
        else:
            missed += 1
    return detected, missed
