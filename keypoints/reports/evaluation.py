"""Figures and page of an evaluation."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keypoints.evaluation.angles import AtAngles
from keypoints.evaluation.face_tables import are_labelled, by_error, over_labelled, points_of, tags_of
from keypoints.evaluation.result import Case, EvaluationResult, Scores, Stressed, Tables, TableSource
from keypoints.evaluation.result_files import ANGLE_TABLE
from keypoints.files import write_atomically
from keypoints.formatting import counted, shown
from keypoints.reports import error_figures, face_figures, figures
from keypoints.reports.page import Picture, write_page
from keypoints.tasks.metrics import NORMS

COLUMNS = {
    "mse": ("MSE", 1.0),
    "mae_px": ("MAE px", 1.0),
    "distance_px": ("dist. px", 1.0),
    "nme": ("NME %", 100.0),
    "auc": ("AUC", 1.0),
    "failure_rate": ("fail %", 100.0),
    "variance_ratio": ("var.", 1.0),
    "rmse_px": ("RMSE px", 1.0),
}
"""Title of each metric in tables, and the factor of its values.

MAE is the mean absolute error per coordinate, ``dist.`` the mean distance of a point, ``var.`` the variance
ratio.
"""

_ONLY_SOMETIMES = ("rmse_px",)
"""Metrics that only some landmark schemes have; tables of the others have no such column."""

_ACROSS = 3
_MOST_MISSING = 50
"""Largest number of faces without a prediction that the page lists."""


def rows_of(result: EvaluationResult) -> list[tuple[str, dict[str, str]]]:
    """Return the rows of an evaluation's table, each with the name of its group."""
    missing = len(result.missing)
    faces = f"{result.faces} of {result.faces + missing}" if missing else f"all {result.faces}"
    rows = [("all", _row(counted(faces, "face"), result.metrics))]
    if result.constant is not None:
        rows.append(("all", _row(figures.BASELINE, result.constant)))
    rows += [("landmarks", _row(name, scores)) for name, scores in result.by_part.items()]
    for state, points in (result.by_visibility or {}).items():
        rows.append(("state of the points", _row(f"{state} points ({points.points})", points.scores)))
    for tag, groups in result.by_tag.items():
        for value, group in groups.items():
            meaning = result.words.get(tag, {}).get(value)
            name = f"{tag} {value}" + (f", {meaning}" if meaning else "") + f" ({group.faces})"
            rows.append((tag, _row(name, group.scores)))
    return rows


def _row(name: str, scores: Scores) -> dict[str, str]:
    row = {"": name}
    for metric, (title, factor) in COLUMNS.items():
        if metric in _ONLY_SOMETIMES and metric not in scores:
            continue
        value = scores.get(metric)
        row[title] = shown(None if value is None else factor * value)
    return row


def draw_evaluation(
    folder: Path, case: Case, result: EvaluationResult, tables: Tables, stressed: Stressed | None
) -> list[Picture]:
    """Plot all figures of an evaluation, and write them into ``folder``.

    Args:
        folder: an existing folder.
        case: data, landmarks and norm of the evaluation.
        result: metrics over all faces.
        tables: errors face by face.
        stressed: predictions and errors under stress, or ``None``.
    """
    pictures = draw_measured(folder, case, tables, result)
    return pictures if stressed is None else [*pictures, *draw_stress(folder, case, stressed)]


def draw_measured(folder: Path, case: Case, tables: Tables, result: EvaluationResult) -> list[Picture]:
    """Plot the best and worst faces of an evaluation, and its errors.

    Args:
        folder: folder of the figures.
        case: model and faces that were evaluated.
        tables: results of the faces.
        result: contents of ``metrics.json``.
    """
    lines, words = case.scheme.skeleton, case.data.words
    return [
        draw_faces(folder, case.name, tables.on_photos, case.shown, lines, words),
        *draw(folder, case.name, tables, result, lines),
    ]


def draw_stress(folder: Path, case: Case, stressed: Stressed) -> list[Picture]:
    """Plot the errors under stress, and one face at each level.

    Args:
        folder: folder of the figures.
        case: model and faces that were evaluated.
        stressed: predictions and errors under stress.
    """
    curves = figures.save(
        error_figures.under_stress(stressed.table, NORMS[case.norm], f"{case.name}: errors under stress"),
        folder / "stress.png",
    )
    title = f"{case.name}: one face, green: truth, red: prediction"
    title += f", {face_figures.HOLLOW}" if stressed.hidden else ""
    examples = figures.save(
        error_figures.stressed_faces(stressed.examples, title), folder / "stressed_faces.png"
    )
    caption = f"Errors on {counted(stressed.faces, 'face')}, by the level of each stress."
    return [
        Picture(curves, "Errors under stress", caption),
        Picture(examples, "One face under stress", "The network's input at each level."),
    ]


def write_angles(folder: Path, case: Case, measured: AtAngles) -> Picture:
    """Write ``angles.csv`` and its figure.

    Args:
        folder: folder for the files.
        case: data, landmarks and norm of the evaluation.
        measured: errors on turned photos.

    Returns:
        The figure.
    """
    write_atomically(folder / ANGLE_TABLE, measured.table.to_csv(index=False))
    figure = error_figures.at_angles(measured.table, NORMS[case.norm], f"{case.name}: errors by angle")
    caption = f"Errors on {counted(measured.faces, 'face')} in photos turned around the middle of the box."
    if not math.isnan(measured.auroc):
        caption += (
            f" Over all angles and one pass, the confidence is lower in a failure than in another face in "
            f"{measured.auroc:.1%} of pairs (area under the ROC curve)."
        )
    return Picture(figures.save(figure, folder / "angles.png"), "Errors by angle", caption)


def draw(
    folder: Path, name: str, tables: Tables, result: EvaluationResult, lines: figures.Lines
) -> list[Picture]:
    """Plot the errors of an evaluation.

    Args:
        folder: folder of the figures.
        name: name of model and split, for titles.
        tables: errors face by face.
        result: contents of ``metrics.json``.
        lines: skeleton of the landmarks.
    """
    faces, unit = tables.in_originals, NORMS[result.norm]
    truth, predicted = points_of(faces, "truth"), points_of(faces, "predicted")
    who = "predictions" if isinstance(result.source, TableSource) else "model"
    curves = {who: faces["nme"].to_numpy(np.float64)[tables.counted]}
    if tables.constant is not None:
        curves[figures.BASELINE] = tables.constant[tables.counted]
    pictures = [
        Picture(
            figures.save(
                error_figures.cumulative_errors(curves, result.threshold, unit, f"{name}: cumulative errors"),
                folder / "cumulative_errors.png",
            ),
            "Cumulative errors",
            "Share of faces with an error of at most x: the higher and the further left, the better.",
        )
    ]
    known = are_labelled(truth)
    distances = over_labelled(np.linalg.norm(predicted - truth, axis=2), known, axis=0)
    if len(distances) > 1:
        shape = over_labelled(truth, known, axis=0)
        figure = error_figures.by_landmark(shape, distances, lines, f"{name}: error by landmark")
        caption = "Plotted on the mean true face; the five worst landmarks are labelled with index and error."
        pictures.append(Picture(figures.save(figure, folder / "landmarks.png"), "Error by landmark", caption))
    figure = error_figures.spread(truth, predicted, f"{name}: spread, predicted against true")
    caption = "Left: one mark per landmark and coordinate. Right: one mark per face and coordinate."
    pictures.append(Picture(figures.save(figure, folder / "spread.png"), "Spread", caption))
    if result.by_confidence:
        within = result.by_confidence_within or ()
        title = f"{name}: error by confidence"
        figure = error_figures.by_confidence(result.by_confidence, within, unit, title)
        caption = (
            "Each mark is a tenth of the points, sorted by the model's confidence. Some landmarks are less "
            "certain and less accurate than others; the dashed line leaves that out."
        )
        path = figures.save(figure, folder / "confidence.png")
        pictures.append(Picture(path, "Error by confidence", caption))
    return pictures


def draw_faces(
    folder: Path,
    name: str,
    faces: pd.DataFrame,
    count: int,
    lines: figures.Lines,
    words: Mapping[str, Mapping[str, str]],
) -> Picture:
    """Plot the ``count`` best and the ``count`` worst faces, with their tags."""
    ranked = by_error(faces)
    count = min(count, len(ranked))
    drawn = {
        label: _with_tags(part, words)
        for label, part in (("worst", ranked.tail(count).iloc[::-1]), ("best", ranked.head(count)))
    }
    rows = face_figures.in_rows(drawn, _ACROSS)
    path = figures.save(
        face_figures.faces(rows, lines, f"{name}: best and worst faces"), folder / "faces.png"
    )
    caption = f"Below each face: mean distance of its points, and its tags. {face_figures.COLOURS}"
    closeups = {f"The {label} faces": face_figures.close_ups(each, lines) for label, each in drawn.items()}
    return Picture(path, "Best and worst faces", caption, closeups)


def _with_tags(table: pd.DataFrame, words: Mapping[str, Mapping[str, str]]) -> list[face_figures.DrawnFace]:
    """Return the faces of a table, with their tags below the error."""
    drawn = face_figures.drawn_faces(table)
    for face, (_, row) in zip(drawn, table.iterrows(), strict=True):
        face.caption += "\n" + _tags(row, tags_of(table), words)
    return drawn


def _tags(row: "pd.Series[Any]", tags: Sequence[str], words: Mapping[str, Mapping[str, str]]) -> str:
    return ", ".join(
        words.get(tag, {}).get(str(row[tag]), f"{tag} {row[tag]}") for tag in tags if row[tag] is not None
    )


def _file_of(result: EvaluationResult) -> str:
    source = result.source
    return source.predictions if isinstance(source, TableSource) else source.checkpoint


def _listed(missing: Sequence[str]) -> list[str]:
    """Return the lines of the page's list of faces without a prediction."""
    more = len(missing) - _MOST_MISSING
    return [*missing[:_MOST_MISSING], *([f"and {more} more, in metrics.json"] if more > 0 else [])]


def units_of(result: EvaluationResult) -> str:
    """Return the legend of the columns of :func:`rows_of`: units, and what the errors are divided by."""
    return (
        "MSE: ratio² of the photo. MAE: per coordinate, dist.: per point, in pixels of the photo. "
        f"NME: % of {NORMS[result.norm]}. AUC: up to, fail: above an NME of {100 * result.threshold:g} %. "
        "var.: variance of predictions over faces, divided by the truth's."
    )


def write_report(
    path: Path, title: str, result: EvaluationResult, pictures: Sequence[Picture], command: str
) -> Path:
    """Write the page of an evaluation."""
    return write_page(
        path,
        "evaluation.html",
        title=title,
        about=f"{_file_of(result)} · {result.scheme}",
        units=units_of(result),
        notes=[("warn", note) for note in result.notes],
        rows=[row for _, row in rows_of(result)],
        common=result.worst_faces,
        tolerances=result.stress or [],
        missing=_listed(result.missing),
        pictures=pictures,
        command=command,
    )
