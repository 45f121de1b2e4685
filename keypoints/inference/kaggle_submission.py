"""Submission to Kaggle's Facial Keypoints Detection: columns ``RowId,Location``.

``IdLookupTable.csv`` beside the test list says for each row which coordinate of which picture it takes. The
score is the root mean squared error of all these coordinates, in pixels of the pictures of 96 × 96.
"""

import logging
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from omegaconf import DictConfig
from rich.progress import track

from keypoints.data.formats.kaggle15 import FEATURES, SIDE, read_images
from keypoints.data.formats.lists import cells_by_name, columns, table
from keypoints.data.formats.values import number, quoted, whole_number
from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.formatting import counted
from keypoints.geometry import Box, FloatArray
from keypoints.inference.predictor import Predictor, PreparedFace
from keypoints.inference.submission_file import write_lines
from keypoints.input_files import MOST_LIST, read_beginning, read_unpacked_text
from keypoints.schemes import scheme_named

log = logging.getLogger(__name__)

KAGGLE15 = scheme_named("kaggle15")
LOOKUP = "IdLookupTable.csv"
SOURCE = "https://www.kaggle.com/competitions/facial-keypoints-detection"

T = TypeVar("T")

_ROW = "RowId"
_HEADER = [_ROW, "Location"]
_LIST = Path("facial-keypoints-detection", "test.csv")
"""Path of the test list below the data folder."""
_BATCH = 64


class Asked(NamedTuple):
    """Coordinate that a submission has to contain."""

    row: int
    """``RowId`` in the submission."""
    image: int
    """``ImageId`` in the test list."""
    feature: int
    """Place of the coordinate among the 30 of a face."""


def submit(predictor: Predictor, cfg: DictConfig, output: Path) -> None:
    """Predict Kaggle's test list, and write the coordinates that the lookup table asks for.

    Coordinates outside the picture are moved to its edge, 0 or 96 pixels, since each true point is inside.

    Args:
        predictor: model that predicts the 15 points.
        cfg: configuration of ``keypoints submit``.
        output: file to write; compressed if the name ends in ``.gz``.

    Raises:
        DataError: if the list or the table cannot be read, or the file cannot be written.
    """
    path = _list(cfg)
    images = read_images(path, None if cfg.root is None else Path(str(cfg.root)))
    asked = read_lookup(path.with_name(LOOKUP))
    if missing := [each.image for each in asked if each.image not in images]:
        raise DataError(f"{path}: has no ImageId {missing[0]}, which {LOOKUP} names")
    points = _predict(predictor, images)
    values = np.array([points[each.image].ravel()[each.feature] for each in asked])
    if outside := int(((values < 0) | (values > SIDE)).sum()):
        moved = counted(f"{outside} of {len(values)}", "coordinate")
        log.info("moved to the edge of the picture, as they were outside: %s", moved)
    rows = zip(asked, values.clip(0, SIDE).tolist(), strict=True)
    write_lines(output, [",".join(_HEADER), *(f"{each.row},{value:.4f}" for each, value in rows)])
    pictures = counted(len({each.image for each in asked}), "picture")
    log.info("%s: has %s of %s", output, counted(len(asked), "coordinate"), pictures)


def is_submission(path: Path) -> bool:
    """Return whether a file begins as a submission to this competition.

    Raises:
        DataError: if it cannot be read.
    """
    return read_beginning(path, 64).startswith(f"{_ROW},".encode())


def check(cfg: DictConfig) -> int:
    """Check the submission ``cfg.check`` against the lookup table; return the number of its pictures.

    Raises:
        DataError: if the submission is not valid, or the table cannot be read.
    """
    path = Path(str(cfg.check))
    asked = read_lookup(_list(cfg).with_name(LOOKUP))
    rows = [each.row for each in asked]
    found = read_locations(path)
    if missing := set(rows).difference(found):
        raise DataError(f"{path}: has no RowId {min(missing)}, which {LOOKUP} names")
    if extra := set(found).difference(rows):
        raise DataError(f"{path}: has the RowId {min(extra)}, which {LOOKUP} does not name")
    return len({each.image for each in asked})


def read_lookup(path: Path) -> list[Asked]:
    """Return the coordinates that ``IdLookupTable.csv`` asks for, in its order.

    Raises:
        DataError: if it cannot be read, has other columns, or a row cannot be used; the message names the
            line.
    """
    asked = _by_row(path, ["ImageId", "FeatureName"], _asked)
    if not asked:
        raise DataError(f"{path}: asks for no coordinate")
    return list(asked.values())


def read_locations(path: Path) -> dict[int, float]:
    """Return the coordinates of a submission by their ``RowId``, in pixels.

    Raises:
        DataError: if it cannot be read, has other columns, or a row cannot be used; the message names the
            line.
    """
    return _by_row(path, _HEADER[1:], _location)


def _by_row(path: Path, wanted: Sequence[str], parse: Callable[[dict[str, str]], T]) -> dict[int, T]:
    """Return what ``parse`` makes of the cells of each row, by ``RowId``.

    Raises:
        DataError: if the file cannot be read, lacks a column, or a row cannot be used.
    """
    text = read_unpacked_text(path, MOST_LIST)
    names = columns(path, text)
    if missing := [name for name in (_ROW, *wanted) if name not in names]:
        raise DataError(f"{path}: has no column {missing[0]}")
    found: dict[int, T] = {}
    for line, cells in table(path, text):
        try:
            row = cells_by_name(names, [*cells, *[""] * (len(names) - len(cells))])  # Location may be missing
            found[_new(whole_number(row[_ROW]), found)] = parse(row)
        except ValueError as error:
            raise DataError(f"{path}: line {line}: {error}") from error
    return found


def _new(row: int, found: Container[int]) -> int:
    if row in found:
        raise ValueError(f"{_ROW} {row} occurs twice")
    return row


def _asked(cells: Mapping[str, str]) -> Asked:
    """Return the coordinate of a row of the lookup table.

    Raises:
        ValueError: if it names no picture or no feature.
    """
    row, image, feature = (cells[name] for name in (_ROW, "ImageId", "FeatureName"))
    if feature not in FEATURES:
        raise ValueError(f"{quoted(feature)} is no feature of training.csv")
    return Asked(whole_number(row), whole_number(image), FEATURES.index(feature))


def _location(cells: Mapping[str, str]) -> float:
    """Return the coordinate of a row of a submission, in pixels.

    Raises:
        ValueError: if it is no number, or outside the picture.
    """
    value = number(cells["Location"])
    if not 0 <= value <= SIDE:
        raise ValueError(f"Location is {value:g}; it is 0 to {SIDE} pixels")
    return value


def _list(cfg: DictConfig) -> Path:
    """Return the path of the test list, which is beside the lookup table.

    Raises:
        DataError: if it is not named and not below the data folder.
    """
    if cfg.list is not None:
        return Path(str(cfg.list))
    path = Path(str(cfg.paths.data)) / _LIST
    if not path.is_file():
        raise DataError(f"{path}: is missing; get it from {SOURCE}, or say where it lies: list=<test.csv>")
    return path


def _predict(predictor: Predictor, images: Mapping[int, Path]) -> dict[int, FloatArray]:
    """Return the points of each picture, (15, 2) pixels, by its ``ImageId``."""
    ids = list(images)
    points: dict[int, FloatArray] = {}
    batches = [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]
    for batch in track(batches, "predicting", transient=True):
        faces = predictor.finish([_prepare(predictor, images[each]) for each in batch])
        points |= {each: face.points for each, face in zip(batch, faces, strict=True)}
    return points


def _prepare(predictor: Predictor, path: Path) -> PreparedFace:
    photo = Photo(path)
    (prepared,) = predictor.prepare(photo.decode(predictor.crop.channels), [Box.of_image(photo.size)])
    return prepared
