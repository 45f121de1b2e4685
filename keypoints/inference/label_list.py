"""Predictions as a COCO list of labelled photos, to be corrected in a label tool and trained on."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from keypoints.data.face import Face
from keypoints.data.formats.predictions import states_of
from keypoints.data.photos import Photo
from keypoints.data.readers.labelled import format_labelled, write_list
from keypoints.errors import ConfigError
from keypoints.geometry import Box
from keypoints.inference.prediction_files import PredictedFace, PredictedPhoto
from keypoints.landmarks import LandmarkScheme

LABELS = "labels.json"
"""File name of the list."""

_DECIMALS = 3
"""Decimals of a coordinate in pixels, as in the table of predictions."""


class _Label(NamedTuple):
    """Face of the list, and the mean confidence of its points if there is one."""

    face: Face
    confidence: float | None


class LabelList:
    """List of predicted faces; photos without a face are not in it.

    Args:
        root: folder that the photos' names are relative to.
        scheme: landmarks of the points.
        visible_from: confidence from which a point is visible (v = 2); below it is hidden (v = 1). Without
            confidences all points are visible.
        worst_first: order the faces by rising confidence; else as they are predicted.
    """

    def __init__(self, root: Path, scheme: LandmarkScheme, *, visible_from: float, worst_first: bool) -> None:
        self._root = root
        self._scheme = scheme
        self._visible_from = visible_from
        self._worst_first = worst_first
        self._labels: list[_Label] = []

    @property
    def has_confidences(self) -> bool:
        """Flag: the model gives a confidence of each point; also set if there is no face."""
        return all(label.confidence is not None for label in self._labels)

    def add(self, photo: PredictedPhoto) -> None:
        """Add the faces of a photo.

        Args:
            photo: the photo, whose name is relative to the root.

        Raises:
            ConfigError: if the faces are to be ordered by confidence and have none.
        """
        for face in photo.faces:
            if self._worst_first and face.confidence is None:
                raise ConfigError(
                    "this model gives no confidence, by which order=worst sorts; leave it out, or take a "
                    "model of heatmaps"
                )
            sure = None if face.confidence is None else float(face.confidence.mean())
            self._labels.append(_Label(self._as_face(photo.name, face), sure))

    def _as_face(self, name: str, face: PredictedFace) -> Face:
        return Face(
            Photo(self._root / name),
            _rounded_box(face.box),
            face.points.round(_DECIMALS),
            group="",
            states=None if face.confidence is None else states_of(face.confidence, self._visible_from),
        )

    def faces(self) -> Sequence[Face]:
        """Return the faces of the list, in its order."""
        labels = self._labels
        if self._worst_first:
            labels = sorted(labels, key=lambda label: label.confidence or 0.0)
        return [label.face for label in labels]

    def write(self, folder: Path) -> None:
        """Write ``labels.json`` into ``folder``, atomically; without a face there is no file.

        Args:
            folder: an existing folder.

        Raises:
            DataError: if the file cannot be written, or a photo has vanished.
        """
        if faces := self.faces():
            path = folder / LABELS
            write_list(path, format_labelled(faces, path, "coco", root=self._root, scheme=self._scheme))


def _rounded_box(box: Box) -> Box:
    return Box(*(round(float(side), _DECIMALS) for side in (box.left, box.top, box.width, box.height)))
