"""Finding faces, with the detector that made 300-W's boxes: so its boxes are what such models know.

N. Dalal, B. Triggs, Histograms of oriented gradients for human detection, CVPR 2005; D. E. King,
Max-margin object detection, 2015 (dlib). It needs the extra ``detect``, and neither torch nor a network.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from keypoints.data.face import Face
from keypoints.errors import ConfigError
from keypoints.geometry import Box, ByteArray, cut

_MOST = 1600
"""Pixels of the longer side that are looked at; larger photos are scaled down to it."""
_SMALL = 1000
"""A photo up to this size is looked at twice as large at once: faces from 40 pixels are found."""


class FoundFace(NamedTuple):
    """A face that was found."""

    box: Box
    """In pixels of the picture; nearly square, without part of the jaw, and may stick out."""
    score: float
    """The detector's: from 0 up, about 2 for a clear frontal face."""


_SAME = 0.3
"""Intersection over union from which on a box that was found is that of a face whose box is known."""


class FaceDetector:
    """Dlib's frontal face detector.

    It knows faces of 80 pixels and more. So a small picture is looked at twice as large, and where
    nothing is found, any picture once more at double size.

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
        """The faces in (H, W) grey or (H, W, 3) RGB pixels, the surest first."""
        height, width = pixels.shape[:2]
        scale = min(1.0, _MOST / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        looked_at = pixels if scale == 1 else cut(pixels, Box.whole((width, height)), size)
        doubled = int(max(size) <= _SMALL)
        for times in (doubled, doubled + 1):
            found, scores, _ = self._find.run(looked_at, times, 0.0)
            if found:
                break
        across, down = width / size[0], height / size[1]
        faces = [
            FoundFace(
                Box(face.left() * across, face.top() * down, face.width() * across, face.height() * down),
                float(score),
            )
            for face, score in zip(found, scores, strict=True)
        ]
        return sorted(faces, key=lambda face: -face.score)


def with_found_boxes(faces: Iterable[Face]) -> tuple[list[Face], int]:
    """The faces with the boxes that the detector finds in place of their own.

    Returns:
        Those that it found, and how many it did not: no box that it gives lies where the face's own does.

    Raises:
        ConfigError: if dlib is not installed.
        DataError: if a photo cannot be read.
    """
    detector = FaceDetector()
    found, missed = [], 0
    for face in faces:
        known = face.box or Box.whole(face.photo.size)
        boxes = (own.box for own in detector(face.photo.decode(3)))
        box = max(boxes, key=known.overlap, default=None)
        if box is not None and box.overlap(known) >= _SAME:
            found.append(replace(face, box=box))
        else:
            missed += 1
    return found, missed
