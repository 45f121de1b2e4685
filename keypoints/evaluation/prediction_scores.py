"""A table of predictions, whoever made it, measured like a model's."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig

from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import ConfigError, DataError, shortened, some_of
from keypoints.evaluation.chosen_data import chosen_data, chosen_split, faces_to_measure
from keypoints.evaluation.matching import Matches, match
from keypoints.evaluation.per_face import Predictions
from keypoints.evaluation.prediction_lists import PredictionList, photos_by_id, read_predictions
from keypoints.evaluation.result import Case, EvaluationResult, PredictedFaces, TableSource
from keypoints.inference.prediction_files import TABLE
from keypoints.tasks.metrics import default_norm, evaluation_metrics

log = logging.getLogger(__name__)

_NAMED = 5
"""Rows or photos that a message names."""
_MOST_SHOWN = 80
"""Characters of a photo's name in a message."""
_OF_MODELS = {"checkpoint": None, "flip_test": False, "boxes": "given", "stress": False}
"""Settings of ``evaluate`` that say something of a network, and their defaults."""


@dataclass(frozen=True)
class PredictionScores:
    """A table of predictions and the faces that it is measured on.

    Args:
        case: faces, landmarks, norm.
        folder: for the results.
        path: of the table.
        table: its predictions.
        truth: faces of the split.
        matches: which prediction is of which face.
    """

    case: Case
    folder: Path
    path: Path
    table: PredictionList
    truth: Sequence[Face]
    matches: Matches

    def predict(self) -> PredictedFaces:
        """Return the predictions for the faces that have one."""
        faces = [self.truth[place] for place, _ in self.matches.pairs]
        found = np.stack([self.table.predictions[place].points for _, place in self.matches.pairs])
        source = TableSource(
            predictions=str(self.path),
            data=type(self.case.data).__name__,
            missing=[_called(self.truth[place]) for place in self.matches.missing],
            without_truth=len(self.matches.without_truth),
            unusable_rows=len(self.table.unusable),
        )
        return PredictedFaces(faces, _predictions(faces, self.case.data.indices, found), None, source)

    def remarks(self, result: EvaluationResult) -> list[str]:
        """Return what has to be known of the table: faces and rows that are not measured.

        Args:
            result: the errors.
        """
        return _notes(self.table, self.matches, self.truth, result.metrics["failure_rate"])


def prediction_scores(cfg: DictConfig) -> PredictionScores:
    """Return the table ``cfg.predictions`` and the faces of ``cfg.split``.

    Means are over the faces that the table has a prediction of; the others are counted, named and noted.

    Args:
        cfg: the configuration of ``keypoints evaluate``.

    Raises:
        ConfigError: if a value cannot be used, or is one of a network's.
        DataError: if the table or the faces cannot be read, have other numbers of points, or no prediction is
            of any of the faces.
    """
    path = Path(str(cfg.predictions))
    path = path / TABLE if path.is_dir() else path
    for key, default in _OF_MODELS.items():
        if cfg[key] != default:
            raise ConfigError(
                f"{key}={cfg[key]}: is a model's; predictions={path} have none, so leave it out"
            )
    if not any((cfg.get("data") or {}).get(key) for key in ("_target_", "test")):
        raise ConfigError(
            f"predictions={path}: say which faces they are measured against: data=labelled data.test=<list>, "
            "or data=ibug300w split=common"
        )
    data = chosen_data(cfg, None, str(path), "image")
    split = chosen_split(cfg, data)
    listed = _list_of(cfg, split)
    table = read_predictions(path, None if listed is None else photos_by_id(listed))
    norm = cfg.norm or default_norm(data.scheme)
    evaluation_metrics(data.scheme, norm, cfg.threshold)
    truth = faces_to_measure(data, split)
    _check_points(path, table, data)
    matches = match(truth, data.indices, table.predictions, path.parent)
    _tell(path, table, matches, truth)
    if not matches.pairs:
        raise DataError(
            f"{path}: none of its {len(table.predictions)} faces is one of the {len(truth)} of {split}: "
            f"{_why_none(matches, table)}"
        )
    folder = _folder(cfg, path, split)
    case = Case(f"{_name(path)}, {split}", data, split, data.scheme, norm, cfg.threshold, cfg.faces)
    return PredictionScores(case, folder, path, table, truth, matches)


def _list_of(cfg: DictConfig, split: str) -> Path | None:
    """Return the list that the faces of a split are read from, if they are of one."""
    listed = cfg.data.get(split)
    if listed is None and split == "val":  # carved off the training faces
        listed = cfg.data.get("train")
    return Path(listed) if isinstance(listed, str) and Path(listed).is_file() else None


def _why_none(matches: Matches, table: PredictionList) -> str:
    """Return why no prediction is of a true face."""
    for reason in (*matches.ambiguous, *matches.unknown):
        return reason
    name = shortened(table.predictions[0].photo, _MOST_SHOWN)
    return f"in photos of both, such as {name}, no box or points of one are near the other's"


def _check_points(path: Path, table: PredictionList, data: FaceDataModule) -> None:
    found = len(table.predictions[0].points)
    if found != len(data.indices):
        raise DataError(
            f"{path}: has {found} points a face, but the truth has {len(data.indices)} ({data.scheme.name}); "
            "take other data, or a part of the landmarks: data.landmarks=<part>"
        )


def _predictions(faces: Sequence[Face], landmarks: Sequence[int], found: np.ndarray) -> Predictions:
    """Return what was predicted, beside the truth and the photos' sizes."""
    true = np.stack([face.landmarks()[list(landmarks)] for face in faces])
    # Photos of their own, so that no picture stays in memory.
    sizes = {path: Photo(path).size for path in {face.photo.path for face in faces}}
    return Predictions(
        torch.from_numpy(found).float(),
        torch.from_numpy(true).float(),
        torch.tensor([sizes[face.photo.path] for face in faces], dtype=torch.float32),
    )


def _notes(
    table: PredictionList, matches: Matches, truth: Sequence[Face], failures: float | None
) -> list[str]:
    """Return what the means leave out."""
    notes = []
    if missing := len(matches.missing):
        measured, everyone = len(matches.pairs), len(truth)
        note = f"{missing} of {everyone} faces have no prediction: all means are over the other {measured}"
        if failures is not None:
            share = (failures * measured + missing) / everyone
            note += f"; with them as failures the failure rate is {100 * share:.3g} %"
        notes.append(note)
    if others := len(matches.without_truth):
        notes.append(f"{others} of {len(table.predictions)} predicted faces are of none of these: left out")
    if rows := len(table.unusable):
        notes.append(f"{rows} rows of the table hold no face: left out")
    if matches.ambiguous:
        notes.append(f"photos that cannot be told apart: {some_of(matches.ambiguous, _NAMED)}")
    return notes


def _tell(path: Path, table: PredictionList, matches: Matches, truth: Sequence[Face]) -> None:
    """Name in the log what is left out; the page has all of it."""
    if table.unusable:
        log.warning("rows without a face: %s", some_of(table.unusable, _NAMED))
    if matches.missing:
        names = [_called(truth[place]) for place in matches.missing]
        log.warning("%s: has no prediction of: %s", path, some_of(names, _NAMED))
    if matches.without_truth:
        sources = [table.predictions[place].source for place in matches.without_truth]
        log.warning("predicted, and none of the faces: %s", some_of(sources, _NAMED))


def _called(face: Face) -> str:
    """What a face is called: its list's row, or its photo."""
    return face.source or str(face.photo.path)


def _name(path: Path) -> str:
    """What titles call a table: those of ``predict`` all have the same name, in folders of their own."""
    return path.resolve().parent.name if path.name == TABLE else path.stem


def _folder(cfg: DictConfig, path: Path, split: str) -> Path:
    return Path(cfg.output) if cfg.output else Path(cfg.paths.outputs, "evaluations", _name(path), split)
