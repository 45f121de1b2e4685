"""Evaluation of a table of predictions from any program, with the metrics of a model's evaluation."""

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
from keypoints.formatting import counted, pluralised
from keypoints.inference.prediction_files import TABLE
from keypoints.tasks.metrics import default_norm, evaluation_metrics

log = logging.getLogger(__name__)

_NAMED = 5
"""Largest number of rows or photos that a message names."""
_MOST_SHOWN = 80
"""Largest number of characters of a photo's name in a message."""
_OF_MODELS = {
    "checkpoint": None,
    "flip_test": False,
    "refine": "false",
    "boxes": "given",
    "boxes_like": None,
    "stress": False,
    "angles": False,
}
"""Settings of ``evaluate`` that apply only to models, and their defaults."""


@dataclass(frozen=True)
class EvaluatedTable:
    """Table of predictions and the faces that it is evaluated on.

    Args:
        case: data, landmarks and norm of the evaluation.
        folder: folder for the results.
        path: file of the table.
        table: predictions of the table.
        truth: true faces of the split.
        matches: pairs of true faces and predictions.
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
        predicted = np.stack([self.table.predictions[place].points for _, place in self.matches.pairs])
        source = TableSource(
            predictions=str(self.path),
            data=type(self.case.data).__name__,
            missing=[_label(self.truth[place]) for place in self.matches.missing],
            without_truth=len(self.matches.without_truth),
            unusable_rows=len(self.table.unusable),
        )
        return PredictedFaces(faces, _predictions(faces, self.case.data.indices, predicted), None, source)

    def further_notes(self, result: EvaluationResult) -> list[str]:
        """Return notes about faces and rows that are left out.

        Args:
            result: metrics of the table.
        """
        return _notes(self.table, self.matches, self.truth, result.metrics["failure_rate"])


def evaluated_table(cfg: DictConfig) -> EvaluatedTable:
    """Return the table ``cfg.predictions`` with the faces of ``cfg.split``.

    Means are over the faces that have a prediction; the other faces are counted and named in the notes.

    Args:
        cfg: configuration of ``keypoints evaluate``.

    Raises:
        ConfigError: if a value cannot be used, or applies only to models.
        DataError: if the table or the faces cannot be read, their numbers of points differ, or no prediction
            matches a face.
    """
    path = Path(str(cfg.predictions))
    path = path / TABLE if path.is_dir() else path
    for key, default in _OF_MODELS.items():
        if cfg[key] != default:
            raise ConfigError(
                f"{key}={cfg[key]}: applies only to models; leave it out with predictions={path}"
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
    _log_left_out(path, table, matches, truth)
    if not matches.pairs:
        raise DataError(
            f"{path}: none of its {counted(len(table.predictions), 'face')} matches one of the "
            f"{counted(len(truth), 'face')} of "
            f"{split}: {_why_none(matches, table)}"
        )
    folder = _folder(cfg, path, split)
    case = Case(f"{_name(path)}, {split}", data, split, data.scheme, norm, cfg.threshold, cfg.faces)
    return EvaluatedTable(case, folder, path, table, truth, matches)


def _list_of(cfg: DictConfig, split: str) -> Path | None:
    """Return the list that the faces of a split are read from, if there is one."""
    split_off = split == "val" and (cfg.data.get("val") is None or cfg.data.get("fold") is not None)
    listed = cfg.data.get("train" if split_off else split)
    return Path(listed) if isinstance(listed, str) and Path(listed).is_file() else None


def _why_none(matches: Matches, table: PredictionList) -> str:
    """Return the reason why no prediction matches a true face."""
    for reason in (*matches.ambiguous, *matches.unknown):
        return reason
    name = shortened(table.predictions[0].photo, _MOST_SHOWN)
    return f"in photos of both, such as {name}, no predicted box or points are near a true face"


def _check_points(path: Path, table: PredictionList, data: FaceDataModule) -> None:
    count = len(table.predictions[0].points)
    if count != len(data.indices):
        raise DataError(
            f"{path}: has {counted(count, 'point')} a face, but the truth has {len(data.indices)} "
            f"({data.scheme.name}); take other data, or a part of the landmarks: data.landmarks=<part>"
        )


def _predictions(faces: Sequence[Face], landmarks: Sequence[int], predicted: np.ndarray) -> Predictions:
    """Return predicted points with true points and photo sizes."""
    true = np.stack([face.landmarks()[list(landmarks)] for face in faces])
    hidden = np.stack([face.hidden()[list(landmarks)] for face in faces])
    # New Photo objects, so that no picture stays in memory.
    sizes = {path: Photo(path).size for path in {face.photo.path for face in faces}}
    return Predictions(
        torch.from_numpy(predicted).float(),
        torch.from_numpy(true).float(),
        torch.tensor([sizes[face.photo.path] for face in faces], dtype=torch.float32),
        hidden=torch.from_numpy(hidden) if hidden.any() else None,
    )


def _notes(
    table: PredictionList, matches: Matches, truth: Sequence[Face], failures: float | None
) -> list[str]:
    """Return notes about faces and rows that the means leave out."""
    notes = []
    if missing := len(matches.missing):
        measured, everyone = len(matches.pairs), len(truth)
        without = f"{missing} of {counted(everyone, 'face')} {pluralised(missing, 'has', 'have')}"
        note = f"{without} no prediction: all means are over the other {measured}"
        if failures is not None:
            share = (failures * measured + missing) / everyone
            note += f"; with them as failures the failure rate is {100 * share:.3g} %"
        notes.append(note)
    if others := len(matches.without_truth):
        notes.append(
            f"{others} of {counted(len(table.predictions), 'predicted face')} "
            f"{pluralised(others, 'matches', 'match')} no true face: left out"
        )
    if rows := len(table.unusable):
        notes.append(
            f"{counted(rows, 'row')} of the table {pluralised(rows, 'holds', 'hold')} no face: left out"
        )
    if matches.ambiguous:
        notes.append(f"photos that cannot be told apart: {some_of(matches.ambiguous, _NAMED)}")
    return notes


def _log_left_out(path: Path, table: PredictionList, matches: Matches, truth: Sequence[Face]) -> None:
    """Log some of the rows and faces that are left out; the report page has all of them."""
    if table.unusable:
        log.warning("rows without a face: %s", some_of(table.unusable, _NAMED))
    if matches.missing:
        names = [_label(truth[place]) for place in matches.missing]
        log.warning("%s: has no prediction for: %s", path, some_of(names, _NAMED))
    if matches.without_truth:
        sources = [table.predictions[place].source for place in matches.without_truth]
        log.warning("predictions that match no true face: %s", some_of(sources, _NAMED))


def _label(face: Face) -> str:
    """Return the row of the list, or else the photo, that identifies a face in messages."""
    return face.source or str(face.photo.path)


def _name(path: Path) -> str:
    """Return a table's name for titles; tables of ``predict`` have equal file names and use the folder's."""
    return path.resolve().parent.name if path.name == TABLE else path.stem


def _folder(cfg: DictConfig, path: Path, split: str) -> Path:
    return Path(cfg.output) if cfg.output else Path(cfg.paths.outputs, "evaluations", _name(path), split)
