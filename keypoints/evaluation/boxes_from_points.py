"""Boxes for faces without any: placed around the true points as a model's training boxes are placed."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from keypoints.crop import Crop
from keypoints.data.face import Face
from keypoints.errors import DataError
from keypoints.geometry import Box, FloatArray, ratio_to_pixels


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


def box_from_points(points: FloatArray, mean_shape: FloatArray, crop: Crop) -> Box:
    """Return the box that a face with these points would have in a model's training data.

    The similarity (rotation, scale, shift) that takes the mean shape nearest to the points, by least squares,
    takes the centre and the size of the network's input to those of the cropped region. Without the crop's
    margin, the region is the box. In closed form, points are complex numbers and a similarity is
    ``p = a · u + b`` (B. Horn, Closed-form solution of absolute orientation, 1987, in two dimensions).

    Args:
        points: (K, 2) pixels of the photo; NaN for points that are not labelled.
        mean_shape: (K, 2) ratios of the input.
        crop: conversion from photo to network input.

    Returns:
        The box, in pixels of the photo, with the proportions of the input.

    Raises:
        ValueError: if fewer than two different points are labelled.
    """
    labelled = np.isfinite(points).all(axis=1)
    if len(np.unique(points[labelled], axis=0)) < 2:
        raise ValueError("a box from points needs two different labelled points")
    there = points[labelled] @ (1, 1j)
    here = ratio_to_pixels(mean_shape[labelled], crop.size) @ (1, 1j)
    middle = (crop.width - 1) / 2 + 1j * (crop.height - 1) / 2
    spread = here - here.mean()
    turn = np.vdot(spread, there) / np.vdot(spread, spread).real
    centre = there.mean() + turn * (middle - here.mean())
    width, height = (abs(turn) * side / crop.margin for side in crop.size)
    return Box(centre.real + 0.5 - width / 2, centre.imag + 0.5 - height / 2, width, height)
