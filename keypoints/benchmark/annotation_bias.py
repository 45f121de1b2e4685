"""Bias of an annotation: the mean offset of the labels from a model's points, landmark by landmark.

``python -m keypoints.benchmark.annotation_bias <model> <folder of the data sets>``. The constants are
measured on 300-W's official training faces alone. They are then taken off common, as it is published, and
with its photos mirrored.
"""

import argparse
import csv
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keypoints.crop import Crop
from keypoints.data.dataset import FaceDataset
from keypoints.data.dataset_folders import IBUG_FOLDER
from keypoints.data.face import Face
from keypoints.data.readers.ibug300w import read_annotated, split_official
from keypoints.errors import ConfigError, KeypointsError
from keypoints.evaluation.per_face import plain_batches
from keypoints.files import write_atomically
from keypoints.geometry import FloatArray
from keypoints.inference.model import Model, load_model
from keypoints.inference.ready_models import find_model
from keypoints.landmarks import LandmarkScheme
from keypoints.schemes import IBUG68

log = logging.getLogger(__name__)


class Points(NamedTuple):
    """Predicted and labelled points of N faces, in pixels of the input."""

    predicted: FloatArray
    """(N, K, 2)."""
    labelled: FloatArray
    """(N, K, 2)."""


class Measured(NamedTuple):
    """Errors of faces before and after the bias is taken off."""

    faces: str
    number: int
    nme: float
    """Normalised mean error, a ratio."""
    nme_without_bias: float


def measure_bias(points: Points, pair: tuple[int, int]) -> FloatArray:
    """Return the mean offset from the predicted to the labelled point of each landmark.

    Args:
        points: points of the training faces.
        pair: indices of the outer eye corners, left and right in the picture.

    Returns:
        (K, 2) in units of the predicted eye distance, in the frame of the predicted eyes: to the right of
        the picture, and down.
    """
    offsets = (points.labelled - points.predicted) @ [1, 1j]
    return _as_pairs((offsets / _eyes(points.predicted, pair)[:, None]).mean(axis=0))


def without_bias(predicted: FloatArray, bias: FloatArray, pair: tuple[int, int]) -> FloatArray:
    """Return predicted points with the bias added, so that they lie where labels lie on average.

    Args:
        predicted: (N, K, 2).
        bias: (K, 2), see :func:`measure_bias`.
        pair: indices of the outer eye corners.
    """
    moved = predicted @ [1, 1j] + _eyes(predicted, pair)[:, None] * (bias @ [1, 1j])
    return _as_pairs(moved)


def mirrored_part(bias: FloatArray, flip: Sequence[int]) -> FloatArray:
    """Return the part of a bias that a mirrored annotation would have too.

    Args:
        bias: (K, 2), see :func:`measure_bias`.
        flip: the landmarks' mirror permutation.
    """
    return np.asarray((bias + bias[list(flip)] * [-1, 1]) / 2)


def nme(points: Points, pair: tuple[int, int]) -> float:
    """Return the mean distance of the points in units of the labelled eye distance, averaged over faces."""
    distances = np.linalg.norm(points.predicted - points.labelled, axis=-1)
    return float((distances.mean(axis=1) / np.abs(_eyes(points.labelled, pair))).mean())


def predict_points(model: Model, faces: Sequence[Face], *, mirror: bool = False) -> Points:
    """Predict faces from their given boxes.

    Args:
        model: the model.
        faces: the faces.
        mirror: whether to predict, and label, the mirrored copy of each crop.
    """
    crop, flip = model.crop, list(model.scheme.flip_indices or ())
    dataset = FaceDataset(faces, range(len(model.scheme)), crop, memory=0)
    found = []
    for batch in plain_batches(dataset):
        images, labelled = batch.to_images().numpy(), batch.targets.numpy().astype(np.float64)
        if mirror:
            images, labelled = np.ascontiguousarray(images[..., ::-1]), labelled[:, flip] * [-1, 1] + [1, 0]
        for start in range(0, len(images), model.at_once):
            predicted = model(images[start : start + model.at_once]).points
            found.append((predicted, labelled[start : start + model.at_once]))
    predicted, labelled = (_pixels(np.concatenate(each), crop) for each in zip(*found, strict=True))
    return Points(predicted, labelled)


def compare(model: Model, train: Sequence[Face], test: Sequence[Face]) -> tuple[FloatArray, list[Measured]]:
    """Measure the bias on training faces and take it off test faces.

    Args:
        model: a model of 300-W's landmarks.
        train: faces whose labels give the bias.
        test: faces without a copy among them.

    Returns:
        The bias, see :func:`measure_bias`; and the errors of the training faces, the test faces, and the
        mirrored test faces.

    Raises:
        ConfigError: if the model has no eye corners or no mirrored landmarks.
    """
    pair = eye_corners(model.scheme)
    seen = predict_points(model, train)
    bias = measure_bias(seen, pair)
    sets = {
        "training faces": seen,
        "common": predict_points(model, test),
        "common, mirrored": predict_points(model, test, mirror=True),
    }
    return bias, [
        Measured(
            name,
            len(points.predicted),
            nme(points, pair),
            nme(points._replace(predicted=without_bias(points.predicted, bias, pair)), pair),
        )
        for name, points in sets.items()
    ]


def eye_corners(scheme: LandmarkScheme) -> tuple[int, int]:
    """Return the indices of the outer eye corners, left and right in the picture.

    Args:
        scheme: landmarks of a model.

    Raises:
        ConfigError: if they are not 300-W's.
    """
    if scheme != IBUG68 or scheme.eye_line is None:
        raise ConfigError(f"the model predicts {scheme.name}; the faces have the landmarks of {IBUG68.name}")
    left, right = scheme.eye_line
    return left, right


def write_bias(path: Path, bias: FloatArray, scheme: LandmarkScheme) -> None:
    """Write the bias of each landmark as a table, in % of the eye distance.

    Args:
        path: the table, a .csv.
        bias: (K, 2), see :func:`measure_bias`.
        scheme: the landmarks.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["landmark", "part", "right_percent", "down_percent"])
    for place, (right, down) in enumerate(bias):
        part = next((name for name, indices in scheme.parts.items() if place in indices), "")
        rows.writerow([place, part, f"{100 * right:.3f}", f"{100 * down:.3f}"])
    write_atomically(path, text.getvalue())


def _eyes(points: FloatArray, pair: tuple[int, int]) -> FloatArray:
    """Return the vectors between the outer eye corners, (N,) complex numbers."""
    left, right = pair
    return np.asarray((points[:, right] - points[:, left]) @ [1, 1j])


def _as_pairs(values: FloatArray) -> FloatArray:
    return np.stack([values.real, values.imag], axis=-1)


def _pixels(ratios: FloatArray, crop: Crop) -> FloatArray:
    return np.asarray(ratios * crop.size)


def main(words: Sequence[str] | None = None) -> int:
    """Measure the bias, print the errors and write the table; return the exit status.

    Args:
        words: words of the command line; ``None`` for those of the process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m keypoints.benchmark.annotation_bias", description=__doc__
    )
    parser.add_argument("model", help="checkpoint, run's folder, ONNX file or ready model")
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--output", type=Path, default=Path("annotation_bias.csv"), help="table to write")
    given = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        path, run = find_model(given.model)
        model = load_model(path, run)
        eye_corners(model.scheme)
        faces = split_official(read_annotated(given.data / IBUG_FOLDER).faces)
        plain = [face for face in faces.train if face.tags["mirror"] == "no"]
        bias, rows = compare(model, plain, faces.common)
        write_bias(given.output, bias, model.scheme)
    except KeypointsError as error:
        log.error("error: %s", error)  # noqa: TRY400
        return 1
    shared = mirrored_part(bias, model.scheme.flip_indices or ())
    log.info(
        "mean offset of the labels from the points: %.2f %% of the eye distance to the right, %.2f %% down",
        *(100 * bias.mean(axis=0)),
    )
    log.info(
        "root mean square over landmarks: %.2f %%; of the part that is mirror-symmetric: %.2f %%",
        *(100 * np.sqrt(np.square(part).sum(axis=1).mean()) for part in (bias, shared)),
    )
    for row in rows:
        log.info(
            "%s (%d): NME %.3f %%, without the bias %.3f %%",
            *(row.faces, row.number, 100 * row.nme, 100 * row.nme_without_bias),
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
