"""Errors of predictions: metrics over all faces, by part and by tag, and tables with a row per face."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from keypoints._version import __version__
from keypoints.evaluation.face_tables import in_common, tags_of
from keypoints.evaluation.per_face import Predictions, by_confidence, face_table, in_originals, score
from keypoints.evaluation.result import (
    Case,
    EvaluationResult,
    GroupScores,
    PointScores,
    PredictedFaces,
    Scores,
    Tables,
)
from keypoints.formatting import counted, pluralised
from keypoints.mean_face import collapse
from keypoints.tasks.metrics import NME, evaluation_metrics, face_scale, normalized_mean_error

_MOST_VALUES = 60
"""Largest number of values of a tag that groups faces; a tag with more values identifies single faces."""


def measure(case: Case, predicted: PredictedFaces) -> tuple[EvaluationResult, Tables]:
    """Return the errors of predictions, over all faces and for each face.

    Args:
        case: data, landmarks and norm of the evaluation.
        predicted: faces and their predictions.

    Returns:
        The metrics, and the tables for ``faces.csv`` and figures.
    """
    faces, pair = predicted.faces, case.scheme.normalizing_points
    on_photos = face_table(faces, predicted.predictions)
    originals = [case.data.original(face) for face in faces]
    predictions = in_originals(predicted.predictions, originals)
    constant = None if predicted.constant is None else in_originals(predicted.constant, originals)
    table = face_table(faces, predictions, case.norm, pair)
    on_photos["error_px"] = table["error_px"]
    errors = None if constant is None else normalized_mean_error(*constant[:3], norm=case.norm, pair=pair)
    with_error = NME(case.norm, pair).counted(predictions.truth, predictions.photo_sizes)
    tables = Tables(on_photos, table, with_error.numpy(), None if errors is None else errors.double().numpy())
    return _result(case, predicted, predictions, constant, table, with_error), tables


def _result(
    case: Case,
    predicted: PredictedFaces,
    predictions: Predictions,
    constant: Predictions | None,
    table: pd.DataFrame,
    with_error: Tensor,
) -> EvaluationResult:
    metrics = _scores(case, predictions)
    parts = case.scheme.parts if len(case.scheme.parts) > 1 else {}
    words = case.data.words
    return EvaluationResult(
        source=predicted.source,
        version=__version__,
        scheme=case.scheme.name,
        split=case.split,
        faces=len(table),
        norm=case.norm,
        threshold=case.threshold,
        metrics=metrics,
        constant=None if constant is None else _scores(case, constant),
        by_part={name: _scores(case, predictions, points) for name, points in parts.items()},
        by_tag=_by_tag(case, predictions, table),
        by_confidence=by_confidence(predictions, case.norm, case.scheme.normalizing_points),
        words={tag: dict(meanings) for tag, meanings in words.items()},
        worst_faces=in_common(table, words),
        notes=[*_warnings(predictions, metrics), *_states(case, predictions, with_error), *predicted.notes],
        by_visibility=_by_visibility(case, predictions),
        by_confidence_within=by_confidence(
            predictions, case.norm, case.scheme.normalizing_points, within_landmarks=True
        )
        or None,
    )


def _scores(case: Case, predictions: Predictions, points: Sequence[int] | None = None) -> Scores:
    metrics = evaluation_metrics(case.scheme, case.norm, case.threshold, points)
    scores = score(metrics, predictions)
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}


def _by_visibility(case: Case, predictions: Predictions) -> dict[str, PointScores] | None:
    """Return the errors of the visible and of the hidden points; ``None`` if no point is hidden."""
    if predictions.hidden is None:
        return None
    visible = predictions.truth.isfinite().all(dim=-1) & ~predictions.hidden
    states = {"visible": visible, "hidden": predictions.hidden}
    return {
        state: PointScores(int(chosen.sum()), _scores_of(case, predictions, chosen))
        for state, chosen in states.items()
    }


def _scores_of(case: Case, predictions: Predictions, chosen: Tensor) -> Scores:
    """Return the errors of the points of (N, K) flags; NME is over the faces that have one of them."""
    errors = predictions.predicted - predictions.truth
    scale = face_scale(predictions.truth, predictions.photo_sizes, case.norm, case.scheme.normalizing_points)
    distances = errors.square().sum(dim=-1).sqrt().where(chosen, 0.0)
    nme = distances.sum(dim=-1) / chosen.sum(dim=-1) / scale
    values = {
        "mse": (errors / predictions.photo_sizes[:, None]).square()[chosen],
        "mae_px": errors.abs()[chosen],
        "distance_px": distances[chosen],
        "nme": nme[chosen.any(dim=-1) & scale.isfinite()],
    }
    means = {name: float(value.mean()) for name, value in values.items()}
    return {name: mean if math.isfinite(mean) else None for name, mean in means.items()}


def _by_tag(
    case: Case, predictions: Predictions, table: pd.DataFrame
) -> Mapping[str, Mapping[str, GroupScores]]:
    by_tag = {}
    for tag in tags_of(table):
        values = sorted(table[tag].dropna().astype(str).unique())
        if 1 < len(values) <= min(_MOST_VALUES, len(table) // 2):
            places = {value: np.flatnonzero(table[tag].astype(str) == value).tolist() for value in values}
            by_tag[tag] = {
                value: GroupScores(len(at), _scores(case, predictions.of(at))) for value, at in places.items()
            }
    return by_tag


def _warnings(predictions: Predictions, metrics: Scores) -> list[str]:
    if not bool(predictions.predicted.isfinite().all()):
        return ["some predictions are no finite numbers: the network's weights are broken"]
    ratio = metrics["variance_ratio"]
    warning = collapse(ratio)
    return [warning] if warning else []


def _states(case: Case, predictions: Predictions, with_error: Tensor) -> list[str]:
    """Return notes about points without a label, hidden points, and faces that lack a label or an NME."""
    labelled = predictions.truth.isfinite().all(dim=-1)
    known, total = int(labelled.sum()), labelled.numel()
    hidden = 0 if predictions.hidden is None else int(predictions.hidden.sum())
    if known == total and not hidden:
        return []
    note = f"{known} of {counted(total, 'point')} {pluralised(known, 'is', 'are')} labelled"
    note += f", {hidden} of them hidden" if hidden else ""
    notes = [note if known == total else f"{note}; errors are over the labelled points"]
    bare = ~labelled.any(dim=-1)
    if without := int(bare.sum()):
        notes.append(
            f"{without} of {counted(len(bare), 'face')} {pluralised(without, 'has', 'have')} no labelled "
            f"point, and {pluralised(without, 'does', 'do')} not count"
        )
    if without := int((~with_error & ~bare).sum()):
        why = "normalising points have no label" if case.norm == "pair" else "labelled points span no box"
        notes.append(
            f"{without} of {counted(len(with_error), 'face')} {pluralised(without, 'has', 'have')} no NME: "
            f"their {why}"
        )
    return notes
