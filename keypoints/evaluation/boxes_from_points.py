"""Boxes for faces without any: placed around the true points as a model's training boxes are placed."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from keypoints.crop import Crop, box_from_points
from keypoints.data.face import Face
from keypoints.errors import DataError
from keypoints.geometry import FloatArray


def with_boxes_from_points(
    faces: Iterable[Face], indices: Sequence[int], mean_shape: FloatArray, crop: Crop
) -> list[Face]:
    """Return the faces with boxes around their true points in place of their own.

    Args:
        faces: faces with points.
        indices: the model's landmarks among the faces' points.
        mean_shape: mean of the model's training faces, (K, 2) ratios of the input.
        crop: the model's conversion from photo to network input.

    Raises:
        DataError: if fewer than two different points of a face are labelled.
    """
    found = []
    for face in faces:
        try:
            box = box_from_points(face.landmarks()[list(indices)], mean_shape, crop)
        except ValueError as error:
            raise DataError(f"{face.source or face.photo.path}: {error}") from error
        found.append(replace(face, box=box))
    return found
