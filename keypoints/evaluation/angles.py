"""Errors of a model on turned photos, with one pass and with a second pass in an upright crop."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata

from keypoints.crop import warped
from keypoints.data.face import Face
from keypoints.evaluation.per_face import Predictions, score
from keypoints.geometry import Affine, Box, ByteArray, FloatArray
from keypoints.inference.model import Model
from keypoints.inference.refinement import CroppedFace, Refine, Refined, Refinement
from keypoints.tasks.metrics import evaluation_metrics, normalized_mean_error

ANGLES = (0, 30, 45, 60, 90, 120, 150, 180)
"""Angles in degrees, clockwise in the picture."""

_CONTEXT = 3.0
"""Side of the turned picture divided by the longer side of the face's box."""
_BATCH = 32


class AtAngles(NamedTuple):
    """Errors of a model on turned photos."""

    table: pd.DataFrame
    """A row per angle and number of passes: ``angle``, ``passes``, ``nme`` and ``failure_rate`` (ratios),
    ``confidence``, the mean over faces, and ``second``, the share of faces whose points are from the second
    pass."""
    auroc: float
    """Area under the ROC curve of the confidence as a sign of failures, over all angles and one pass: 1 if
    each failure is less confident than each other face, 0.5 by chance; NaN without confidences."""
    faces: int
    """Number of faces."""


class TurnedFace(NamedTuple):
    """Face in a turned picture of its surroundings."""

    pixels: ByteArray
    """(H, W) or (H, W, 3) picture."""
    affine: Affine
    """Map from pixels of the photo to pixels of this picture."""
    box: Box
    """Box of the face in this picture: as large as in the photo, in the same place of the face."""


def turned(face: Face, angle: float, channels: int, *, whole: bool) -> TurnedFace:
    """Return a face turned around the middle of its box, or of the photo.

    Args:
        face: the face; its box is not used if ``whole`` is set.
        angle: angle in degrees, clockwise in the picture.
        channels: channels of the picture: 1 for grey, 3 for RGB.
        whole: turn the photo as a whole, for a model of full images.
    """
    photo = face.photo.decode(channels)
    size = photo.shape[1], photo.shape[0]
    box = Box.of_image(size) if whole or face.box is None else face.box
    side = math.ceil(_CONTEXT * max(box.width, box.height))
    width, height = size if whole else (side, side)
    x, y = box.left + (box.width - 1) / 2, box.top + (box.height - 1) / 2
    to_x, to_y = (width - 1) / 2, (height - 1) / 2
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    affine = Affine(
        np.array(
            [[cosine, -sine, to_x - cosine * x + sine * y], [sine, cosine, to_y - sine * x - cosine * y]]
        )
    )
    centred = Box(to_x - (box.width - 1) / 2, to_y - (box.height - 1) / 2, box.width, box.height)
    return TurnedFace(warped(photo, affine, (width, height)), affine, centred)


def at_angles(
    model: Model,
    faces: Sequence[Face],
    landmarks: Sequence[int],
    norm: str,
    threshold: float,
    refine: Refine,
    progress: Callable[[Sequence[float]], Iterable[float]] = iter,
) -> AtAngles:
    """Measure a model on turned photos.

    Args:
        model: the model.
        faces: faces to measure on, with their boxes.
        landmarks: indices of the faces' points that the model predicts.
        norm: length that errors are divided by, see :func:`keypoints.tasks.metrics.evaluation_metrics`.
        threshold: largest NME that is no failure.
        refine: faces that get a second pass; ``False`` measures one pass only.
        progress: wrapper of the angles that shows progress.

    Returns:
        The errors.
    """
    metrics = evaluation_metrics(model.scheme, norm, threshold)
    modes = {1: Refinement(model, False)} | ({} if refine is False else {2: Refinement(model, refine)})
    truth = torch.from_numpy(np.stack([face.landmarks()[list(landmarks)] for face in faces])).float()
    sizes = torch.tensor([face.photo.size for face in faces], dtype=torch.float32)
    rows, confidences, errors = [], [], []
    for angle in progress(ANGLES):
        found: dict[int, list[Refined]] = {passes: [] for passes in modes}
        maps: list[Affine] = []
        for batch in _batches(model, faces, angle):
            maps += [to_turned for _, to_turned in batch]
            for passes, refinement in modes.items():
                found[passes] += refinement([cropped for cropped, _ in batch])
        for passes, own in found.items():
            points = np.stack(
                [to_turned.inverse()(seen.in_photo()) for seen, to_turned in zip(own, maps, strict=True)]
            )
            predictions = Predictions(torch.from_numpy(points).float(), truth, sizes)
            measured = score(metrics, predictions)
            sure = np.array([seen.mean_confidence for seen in own])
            rows.append(
                {
                    "angle": angle,
                    "passes": passes,
                    "nme": measured["nme"],
                    "failure_rate": measured["failure_rate"],
                    "confidence": float(sure.mean()),
                    "second": float(np.mean([seen.passes == 2 for seen in own])),
                }
            )
            if passes == 1:
                confidences.append(sure)
                errors.append(
                    normalized_mean_error(*predictions[:3], norm, model.scheme.normalizing_points).numpy()
                )
    failed = np.concatenate(errors) > threshold
    return AtAngles(pd.DataFrame(rows), area_under_roc(np.concatenate(confidences), failed), len(faces))


def area_under_roc(confidence: FloatArray, failed: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> float:
    """Return how well a low confidence tells failures: the area under the ROC curve.

    >>> area_under_roc(np.array([0.1, 0.2, 0.8, 0.9]), np.array([True, True, False, False]))
    1.0

    Args:
        confidence: (N,) confidence of each face.
        failed: (N,) flags of the failures.

    Returns:
        The share of pairs of a failure and another face in which the failure is less confident; ties count
        half. NaN without confidences, failures or other faces.
    """
    failures, others = int(failed.sum()), int((~failed).sum())
    if not failures or not others or not np.isfinite(confidence).all():
        return math.nan
    ranks = rankdata(-confidence)
    return float((ranks[failed].sum() - failures * (failures + 1) / 2) / (failures * others))


def _batches(
    model: Model, faces: Sequence[Face], angle: float
) -> Iterator[Sequence[tuple[CroppedFace, Affine]]]:
    """Yield the turned faces, cropped, each with the map from its photo to its turned picture."""
    whole = model.crop.source == "image"
    for start in range(0, len(faces), _BATCH):
        batch = []
        for face in faces[start : start + _BATCH]:
            own = turned(face, angle, model.crop.channels, whole=whole)
            crop, affine = model.crop(own.pixels, own.box)
            batch.append((CroppedFace(crop, affine, partial(np.asarray, own.pixels)), own.affine))
        yield batch
