"""Typed results of an evaluation, whether a model or a table of predictions is evaluated."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import pandas as pd

from keypoints.data.face import Face
from keypoints.datamodules.base import FaceDataModule
from keypoints.evaluation.per_face import ConfidenceGroup, Predictions
from keypoints.geometry import ByteArray, FloatArray
from keypoints.landmarks import LandmarkScheme

Scores = Mapping[str, float | None]
"""Metrics by name, as :func:`keypoints.tasks.metrics.evaluation_metrics` names them; ``None``: not finite."""


@dataclass(frozen=True)
class Case:
    """Faces and landmarks that an evaluation measures.

    Args:
        name: of the model or the table, and the split, for titles.
        data: datamodule of the faces.
        split: name of their split.
        scheme: landmarks that are measured.
        norm: what errors are divided by, as of :func:`keypoints.tasks.metrics.evaluation_metrics`.
        threshold: largest NME that is no failure.
        shown: number of best and of worst faces that are plotted.
    """

    name: str
    data: FaceDataModule
    split: str
    scheme: LandmarkScheme
    norm: str
    threshold: float
    shown: int


@dataclass(frozen=True)
class ModelSource:
    """Model that was evaluated, in ``metrics.json``.

    Args:
        checkpoint: its file.
        data: class of the datamodule.
        flip_test: whether predictions are means over the input and its mirrored copy.
        boxes: ``"given"`` or ``"detected"``.
        not_found: number of faces that the detector did not find.
    """

    checkpoint: str
    data: str
    flip_test: bool
    boxes: str
    not_found: int


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """Table of predictions that was evaluated, in ``metrics.json``.

    Args:
        checkpoint: ``None``: the model is not known.
        predictions: the table's file.
        data: class of the datamodule.
        missing: faces that have no prediction, by their row in the list of faces.
        without_truth: number of predictions that are of no face.
        unusable_rows: number of rows of the table that hold no face.
    """

    checkpoint: None = None
    predictions: str
    data: str
    missing: Sequence[str]
    without_truth: int
    unusable_rows: int


@dataclass(frozen=True)
class PredictedFaces:
    """Predictions for the faces of a case.

    Args:
        faces: that were predicted.
        predictions: of them, in pixels of their photos.
        constant: the mean-shape baseline's predictions; ``None`` where it is not known.
        source: model or table that the predictions come from.
        notes: warnings about it.
    """

    faces: Sequence[Face]
    predictions: Predictions
    constant: Predictions | None
    source: ModelSource | TableSource
    notes: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class GroupScores:
    """Metrics of the faces that have one value of a tag."""

    faces: int
    scores: Scores


@dataclass(frozen=True)
class EvaluationResult:
    """Contents of ``metrics.json``.

    Args:
        source: model or table that was evaluated.
        version: of this package.
        scheme: name of the landmark scheme.
        split: name of the split.
        faces: number of faces that were measured.
        norm: what errors are divided by.
        threshold: largest NME that is no failure.
        metrics: over all faces.
        constant: of the mean-shape baseline; ``None`` where it is not known.
        by_part: metrics over all faces for each part of the landmarks.
        by_tag: metrics by the values of each tag of the faces.
        by_confidence: mean errors of points in groups of rising confidence; empty without confidences.
        words: meanings of the values of tags.
        worst_faces: what the worst faces have in common, in sentences.
        notes: warnings.
        stress: what the model stands, in sentences; ``None`` if it was not put under stress.
    """

    source: ModelSource | TableSource
    version: str
    scheme: str
    split: str
    faces: int
    norm: str
    threshold: float
    metrics: Scores
    constant: Scores | None
    by_part: Mapping[str, Scores]
    by_tag: Mapping[str, Mapping[str, GroupScores]]
    by_confidence: Sequence[ConfidenceGroup]
    words: Mapping[str, Mapping[str, str]]
    worst_faces: Sequence[str]
    notes: Sequence[str]
    stress: Sequence[str] | None = None

    @property
    def missing(self) -> Sequence[str]:
        """Faces without a prediction."""
        return self.source.missing if isinstance(self.source, TableSource) else ()

    def with_notes(self, notes: Sequence[str]) -> Self:
        """Return the result with further warnings.

        Args:
            notes: the warnings.
        """
        return replace(self, notes=[*self.notes, *notes])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``metrics.json`` holds them."""
        values = asdict(self)
        values = {**values.pop("source"), **values}
        values["by_tag"] = {
            tag: {value: {"faces": group.faces, **group.scores} for value, group in groups.items()}
            for tag, groups in self.by_tag.items()
        }
        if self.stress is None:
            del values["stress"]
        return values


class Tables(NamedTuple):
    """Measurements face by face, for ``faces.csv`` and figures."""

    on_photos: pd.DataFrame
    """A row a face, in pixels of its photo as the figures plot it."""
    in_originals: pd.DataFrame
    """The same in pixels of the originals, with ``nme``."""
    constant: FloatArray | None
    """The mean-shape baseline's normalised errors of the faces."""


class Stressed(NamedTuple):
    """Predictions of a model under stress, for ``stress.csv`` and figures."""

    table: pd.DataFrame
    """A row a stress and level."""
    faces: int
    """Number of faces that were measured."""
    examples: Mapping[str, Sequence[tuple[str, ByteArray]]]
    """One face by stress: at each level, the level and the picture with truth and prediction."""
    tolerances: Sequence[str]
    """What the model stands, in sentences."""


class Evaluation(NamedTuple):
    """Folder and result of an evaluation."""

    folder: Path
    result: EvaluationResult
