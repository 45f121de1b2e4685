"""Typed results of an evaluation of a model or a table of predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import pandas as pd

from keypoints.data.face import Face
from keypoints.datamodules.base import FaceDataModule
from keypoints.evaluation.per_face import ConfidenceGroup, Predictions
from keypoints.geometry import ByteArray, FlagArray, FloatArray
from keypoints.inference.refinement import Refine
from keypoints.landmarks import LandmarkScheme

Scores = Mapping[str, float | None]
"""Metrics by name, as :func:`keypoints.tasks.metrics.evaluation_metrics` names them; ``None``: not finite."""


@dataclass(frozen=True)
class Case:
    """Data, landmarks and norm of an evaluation.

    Args:
        name: name of the model or the table, with the split, for titles.
        data: datamodule of the faces.
        split: name of the faces' split.
        scheme: landmarks that are evaluated.
        norm: length that errors are divided by, see :func:`keypoints.tasks.metrics.evaluation_metrics`.
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
        checkpoint: file of the model.
        data: class of the datamodule.
        flip_test: whether predictions are means over the input and its mirrored copy.
        boxes: ``"given"``, ``"detected"`` or ``"points"``.
        not_found: number of faces that the detector did not find.
        refine: faces that got a second pass: all (true), none (false), or ``"auto"``.
        detector: name of the detector of the boxes; ``None`` if they were not detected, or in older results.
    """

    checkpoint: str
    data: str
    flip_test: bool
    boxes: str
    not_found: int
    refine: Refine = False
    detector: str | None = None


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """Table of predictions that was evaluated, in ``metrics.json``.

    Args:
        checkpoint: ``None``: the model is not known.
        predictions: file of the table.
        data: class of the datamodule.
        missing: faces without a prediction, by their row in the list of faces, or their photo.
        without_truth: number of predictions that match no true face.
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
    """Predictions for the faces of an evaluation.

    Args:
        faces: faces that have a prediction.
        predictions: predictions for these faces, in pixels of their photos.
        constant: predictions of the mean-shape baseline; ``None`` if it is unknown.
        source: model or table that the predictions come from.
        notes: warnings about the source.
    """

    faces: Sequence[Face]
    predictions: Predictions
    constant: Predictions | None
    source: ModelSource | TableSource
    notes: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class GroupScores:
    """Number and metrics of the faces that have one value of a tag."""

    faces: int
    scores: Scores


@dataclass(frozen=True)
class PointScores:
    """Number and metrics of the points in one state: ``mse``, ``mae_px``, ``distance_px`` and ``nme``."""

    points: int
    scores: Scores


@dataclass(frozen=True)
class EvaluationResult:
    """Contents of ``metrics.json``.

    Args:
        source: model or table that was evaluated.
        version: version of this package.
        scheme: name of the landmark scheme.
        split: name of the split.
        faces: number of faces that were measured.
        norm: length that errors are divided by.
        threshold: largest NME that is no failure.
        metrics: metrics over all faces.
        constant: metrics of the mean-shape baseline; ``None`` if it is unknown.
        by_part: metrics over all faces for each part of the landmarks.
        by_tag: metrics for each value of each tag of the faces.
        by_confidence: mean errors of points in groups of rising confidence; empty without confidences.
        words: descriptions of the values of tags, by tag and value.
        worst_faces: tags that are frequent among the worst faces, in sentences.
        notes: warnings.
        stress: levels of stress that the model tolerates, in sentences; ``None`` if stress was not measured.
        by_visibility: errors of the visible and of the hidden points; ``None`` if no point is hidden.
        by_confidence_within: as ``by_confidence``, with the points of each landmark sorted by themselves;
            ``None`` without confidences.
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
    by_visibility: Mapping[str, PointScores] | None = None
    by_confidence_within: Sequence[ConfidenceGroup] | None = None

    @property
    def missing(self) -> Sequence[str]:
        """Faces without a prediction in the table; none for a model."""
        return self.source.missing if isinstance(self.source, TableSource) else ()

    def completed(self, notes: Sequence[str], stressed: "Stressed | None") -> Self:
        """Return the result with further warnings and the findings under stress.

        Args:
            notes: the warnings.
            stressed: errors on worse inputs, if there are any.
        """
        stress = None if stressed is None else stressed.tolerances
        return replace(self, notes=[*self.notes, *notes], stress=stress)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values, for ``metrics.json``."""
        values = asdict(self)
        values = {**values.pop("source"), **values}
        values["by_tag"] = {
            tag: {value: {"faces": group.faces, **group.scores} for value, group in groups.items()}
            for tag, groups in self.by_tag.items()
        }
        if self.stress is None:
            del values["stress"]
        if self.by_confidence_within is None:
            del values["by_confidence_within"]
        if self.by_visibility is None:
            del values["by_visibility"]
        else:
            values["by_visibility"] = {
                state: {"points": group.points, **group.scores} for state, group in self.by_visibility.items()
            }
        return values


class Tables(NamedTuple):
    """Errors of each face, for ``faces.csv`` and figures."""

    on_photos: pd.DataFrame
    """A row per face, in pixels of the photo that figures show."""
    in_originals: pd.DataFrame
    """A row per face, in pixels of the original of the photo, with ``nme``."""
    counted: FlagArray
    """(N,) flags of the faces that count in normalised errors: their normalising points are labelled."""
    constant: FloatArray | None
    """(N,) normalised mean error of the mean-shape baseline for each face; ``None`` if it is unknown."""


class Stressed(NamedTuple):
    """Errors of a model under stress, for ``stress.csv`` and figures."""

    table: pd.DataFrame
    """A row per stress and level, see :func:`keypoints.evaluation.robustness.stress`."""
    faces: int
    """Number of faces that were measured."""
    examples: Mapping[str, Sequence[tuple[str, ByteArray]]]
    """Level, and picture of one face with truth and prediction, for each level, by title of the stress."""
    tolerances: Sequence[str]
    """Levels of stress that the model tolerates, in sentences."""
    hidden: bool = False
    """Flag: the pictures show hidden points."""


class Evaluation(NamedTuple):
    """Folder and result of an evaluation."""

    folder: Path
    result: EvaluationResult
