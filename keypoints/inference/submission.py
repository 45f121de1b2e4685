"""Submission to a competition: predict a list of faces, write the file, and check it.

The landmarks of the model choose the competition: the course's for 300-W's 68 points, and Kaggle's for 15
points, see ``kaggle_submission.py``.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig
from rich.progress import track

from keypoints.config.values import one_or_more
from keypoints.crop import Crop
from keypoints.data.compact_copy import original_of, read_map
from keypoints.data.dataset_folders import find_root
from keypoints.data.face import Face
from keypoints.data.readers.ibug300w import PARSED_LIST, TEST_LIST, TRAIN_LIST, read_dlib_xml, read_test_list
from keypoints.errors import ConfigError, DataError, some_of
from keypoints.formatting import counted
from keypoints.geometry import Affine, Box, FloatArray, pixels_to_ratio, ratio_to_pixels
from keypoints.inference import kaggle_submission
from keypoints.inference.kaggle_submission import KAGGLE15
from keypoints.inference.predictor import Predictor, PreparedFace
from keypoints.inference.refinement import refine_of
from keypoints.inference.submission_file import read_submission, write_submission
from keypoints.schemes import IBUG68
from keypoints.threads import threads_of_process

log = logging.getLogger(__name__)

_BATCH = 64
_FAR = 0.5
"""Largest distance of a point outside its box without a warning, as a ratio of the box's longer side."""
_SHOWN = 5
"""Largest number of images that a warning names; the others are counted."""


class Listed(NamedTuple):
    """List of the faces of a submission."""

    path: Path
    """File of the list."""
    root: Path
    """Folder of its photos."""
    faces: list[Face]
    """Faces in the list's order; their photos may be missing."""
    to_originals: list[Affine]
    """Map of each face from pixels of the listed photo to pixels of its original, as submitted."""


def submit(cfg: DictConfig) -> Path:
    """Predict every face of the list with one or more models, write ``cfg.output``, and return its path.

    In the course's submission, a face whose photo cannot be used gets the mean shape of the training faces,
    placed in its box. The mean shape is read from the model's file, or else computed from the course's
    training list beside the photos.

    Raises:
        CheckpointError: if the checkpoint cannot be used.
        ConfigError: if the model predicts other landmarks, or a value cannot be used.
        DataError: if the list cannot be read, or a face can get neither a prediction nor the mean shape.
    """
    predictor = Predictor(
        one_or_more(cfg.checkpoint),
        cfg.which,
        flip_test=cfg.flip_test,
        refine=refine_of(cfg.refine),
        trust=cfg.trust,
        provider=cfg.provider,
    )
    if predictor.scheme not in (IBUG68, KAGGLE15):
        own = f"{predictor.scheme.name} ({counted(len(predictor.scheme), 'point')})"
        raise ConfigError(
            f"{predictor.path}: predicts {own}; a submission has the {len(IBUG68)} points of {IBUG68.name}, "
            f"or the {len(KAGGLE15)} of {KAGGLE15.name}"
        )
    output = Path(str(cfg.output))
    if not output.name.endswith((".csv", ".csv.gz")):
        raise ConfigError(f"output={output}: a submission is a .csv or a .csv.gz")
    if predictor.scheme == KAGGLE15:
        kaggle_submission.submit(predictor, cfg, output)
        return output
    listed = read_listed(cfg)
    points = _predict_points(predictor, listed)
    _warn_about_far_points(listed, points)
    submitted = [to_original(own) for to_original, own in zip(listed.to_originals, points, strict=True)]
    write_submission(output, np.stack(submitted))
    read_submission(output, len(IBUG68), len(listed.faces))
    return output


def check(cfg: DictConfig) -> int:
    """Check the submission ``cfg.check``, against the list if there is one; return the number of images.

    Raises:
        DataError: if the submission is not valid, or the list cannot be read.
    """
    path = Path(str(cfg.check))
    if kaggle_submission.is_submission(path):
        return kaggle_submission.check(cfg)
    try:
        listed = read_listed(cfg)
    except DataError as error:
        if cfg.list is not None or cfg.root is not None:
            raise
        log.warning("the list cannot be read, so the number of images is not checked: %s", error)
        return len(read_submission(path, len(IBUG68)))
    points = read_submission(path, len(IBUG68), len(listed.faces))
    _warn_about_far_points(
        listed, [back.inverse()(own) for back, own in zip(listed.to_originals, points, strict=True)]
    )
    return len(points)


def read_listed(cfg: DictConfig) -> Listed:
    """Return the faces of ``cfg.list``, or of the test list below ``cfg.root``.

    Raises:
        DataError: if there is no such list, or a face in it has no box or a damaged one.
    """
    if cfg.list is not None:
        path = Path(str(cfg.list))
        root = path.parent if cfg.root is None else Path(str(cfg.root))
    else:
        root = find_root("ibug300w", cfg.paths.data, cfg.root)
        there = [root / name for name in (PARSED_LIST, TEST_LIST) if (root / name).is_file()]
        if not there:
            raise DataError(f"{root}: has neither {PARSED_LIST} nor {TEST_LIST}; name one: list=<file>")
        path = there[0]
    faces = read_test_list(path, root)
    originals = read_map(root)
    if originals:
        back = [original_of(face, root, originals).to_original for face in faces]
        log.info("%s: coordinates are pixels of the originals, according to the map beside the list", path)
    else:
        back = [Affine(np.eye(2, 3)) for _ in faces]
        log.info("%s: coordinates are pixels of the listed pictures", path)
    return Listed(path, root, faces, back)


def _predict_points(predictor: Predictor, listed: Listed) -> list[FloatArray]:
    """Return the points of each face, (K, 2) pixels of its photo."""
    faces = listed.faces
    mean = cache(lambda: _mean_shape(predictor, listed.root))

    def prepare(face: Face) -> PreparedFace | DataError:
        try:
            pixels = face.photo.decode(predictor.crop.channels)
            (prepared,) = predictor.prepare(pixels, [_box(face)])
        except ValueError as error:
            return DataError(f"{face.photo.path}: {error}")
        except DataError as error:
            return error
        return prepared

    points: list[FloatArray] = []
    unusable: list[str] = []
    with ThreadPoolExecutor(threads_of_process()) as threads:
        batches = [faces[start : start + _BATCH] for start in range(0, len(faces), _BATCH)]
        for batch in track(batches, "predicting", transient=True):
            prepared = list(threads.map(prepare, batch))
            predicted = iter(predictor.finish([item for item in prepared if not isinstance(item, DataError)]))
            for face, item in zip(batch, prepared, strict=True):
                if isinstance(item, DataError):
                    points.append(_place_mean(predictor.crop, face, mean()))
                    unusable.append(str(item))
                else:
                    points.append(next(predicted).points)
    for problem in unusable:
        log.warning("using the mean shape in the box instead of a prediction: %s", problem)
    return points


def _box(face: Face) -> Box:
    assert face.box is not None  # every face of dlib's lists has a box
    return face.box


def _place_mean(crop: Crop, face: Face, mean: FloatArray | DataError) -> FloatArray:
    """Return the mean shape placed in a face's box, (K, 2) pixels of its photo, without reading the photo."""
    if isinstance(mean, DataError):
        raise DataError(f"{face.photo.path}: cannot be read, and {mean}")
    if crop.source == "image":  # the box is the full image, whose size is unknown
        raise DataError(f"{face.photo.path}: cannot be read, so the place of its face is unknown")
    region = crop.around(_box(face))
    return Affine.between(Box.of_image(crop.size), region)(ratio_to_pixels(mean, crop.size))


def _mean_shape(predictor: Predictor, root: Path) -> FloatArray | DataError:
    """Return the mean of the training faces, (K, 2) ratios of the crop, or an error if there is none."""
    if predictor.mean_shape is not None:
        return predictor.mean_shape
    crop, path = predictor.crop, root / TRAIN_LIST
    without = f"{predictor.path} has no mean shape for it"
    if crop.source == "image" or not path.is_file():
        return DataError(f"{without}, and there is no {path} to compute one from")
    try:
        faces = [face for face in read_dlib_xml(path, strict=False).faces if face.points is not None]
    except DataError as error:
        return DataError(f"{without} ({error})")
    if not faces:
        return DataError(f"{without}, and no face of {path} has points to compute one from")
    log.warning(
        "%s has no mean shape: using the mean of the %s of %s",
        *(predictor.path, counted(len(faces), "face"), path),
    )
    target = Box.of_image(crop.size)
    shapes = [Affine.between(crop.around(_box(face)), target)(face.landmarks()) for face in faces]
    return pixels_to_ratio(np.mean(shapes, axis=0), crop.size)


def _warn_about_far_points(listed: Listed, points: Sequence[FloatArray]) -> None:
    """Warn about points far outside their face's box; ``points`` are in pixels of the listed photos."""
    far = []
    for face, own in zip(listed.faces, points, strict=True):
        box = _box(face)
        low = np.array([box.left, box.top])
        outside = np.maximum(low - own, own - low - (box.width, box.height)).max()
        if outside > _FAR * max(box.width, box.height):
            far.append(f"{face.photo.path.relative_to(listed.root)} ({outside:.0f} px outside)")
    if far:
        log.warning("points far from their boxes: %s", some_of(far, _SHOWN))
