"""``keypoints evaluate``: metrics and figures of a model, or of predictions, on a split."""

import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from keypoints.commands.verb import (
    CHECKPOINT,
    Choosing,
    Detecting,
    Flipping,
    Paths,
    Providing,
    RefiningIfAsked,
    Verb,
)
from keypoints.config.quoting import shell_command
from keypoints.config.settings import FilePath, OutputFolder, defaults_list, setting, within
from keypoints.errors import ConfigError
from keypoints.files import atomic_folder, locked

if TYPE_CHECKING:
    from keypoints.evaluation.result import Evaluation

log = logging.getLogger(__name__)

_OPTIONAL_FILES = (
    *("confidence.png", "landmarks.png"),
    *("stress.csv", "stress.png", "stressed_faces.png"),
    *("angles.csv", "angles.png"),
)
"""Files that an earlier evaluation may have written into the folder, and this one may not."""


@dataclass
class Evaluate(Flipping, Detecting, RefiningIfAsked, Providing, Choosing):
    """Settings of ``keypoints evaluate``."""

    defaults: list[Any] = defaults_list("_self_", {"paths": "default"}, {"data": None}, {"hydra": "plain"})
    checkpoint: FilePath | None = setting(None, CHECKPOINT)
    predictions: FilePath | None = setting(
        None, "Instead of a checkpoint: predictions.csv, its folder, or any list of labelled photos."
    )
    split: str | None = setting(
        None, "Split to measure on; null: val, or test where only data.test=<list> is given."
    )
    boxes: str = setting(
        "given",
        "Boxes of the faces: given by the data, detected (see detector), or from the true points.",
        choices=("given", "detected", "points"),
    )
    boxes_like: FilePath | None = setting(
        None,
        "For boxes=points: list of faces with boxes as the model expects them; null: as in its training.",
    )
    root: FilePath | None = setting(None, "Folder of the data, if it differs from the training's.")
    output: OutputFolder | None = setting(
        None, "Folder for the results; null: evaluations/<split> in the run's folder."
    )
    norm: str | None = setting(
        None,
        "Length that errors are divided by; null: pair (the distance of the normalising points) if the "
        "landmarks have one, else the photo's diagonal.",
        choices=("pair", "box", "diagonal"),
    )
    threshold: float = setting(
        0.08, "Largest NME that does not count as a failure; AUC is computed up to it.", above=0
    )
    force: bool = setting(False, "Allow faces that the model was trained on.")
    faces: int = setting(6, "Number of best and of worst faces that are plotted.", at_least=1)
    stress: bool = setting(
        False, "Measure again with worse boxes, lower resolution, blur, rotation and darkening."
    )
    stress_faces: int = setting(200, "Number of faces for stress, evenly spaced over the split.", at_least=1)
    angles: bool = setting(
        False,
        "Measure again on photos turned by 0 to 180 degrees (stress_faces of them), in one pass and in two.",
    )
    device: str | None = setting("auto", "auto, cpu or cuda; for an ONNX file see provider.")
    seed: int = setting(0, "Seed of the data module.", at_least=0)
    paths: dict[str, Any] = within(Paths)


def run(cfg: DictConfig) -> None:
    """Measure a model, or a table of predictions, on a split, and print the result.

    Raises:
        ConfigError: if neither a checkpoint nor predictions are given.
        KeypointsError: as raised by :func:`evaluate`.
    """
    if cfg.checkpoint is None and cfg.predictions is None:
        raise ConfigError("say which model: checkpoint=<file or run's folder>, or predictions=<table>")
    from keypoints.reports.terminal import print_evaluation

    done = evaluate(cfg, shell_command([*sys.argv[0].split(), *sys.argv[1:]]))
    print_evaluation(done.result)
    log.info("look at it: %s", done.folder / "report.html")


def evaluate(cfg: DictConfig, command: str = "") -> "Evaluation":
    """Measure a model, or a table of predictions, on a split.

    Writes ``metrics.json``, ``faces.csv`` (one row per face), ``report.html`` and its figures; with
    ``cfg.stress`` also ``stress.csv``, with ``cfg.angles`` also ``angles.csv``.

    Args:
        cfg: the configuration of ``keypoints evaluate``.
        command: the typed command, shown on the page.

    Raises:
        CheckpointError: if the model cannot be used.
        ConfigError: if a value is invalid, the data have other landmarks than the model, or the model was
            trained on the faces and ``cfg.force`` is not set.
        DataError: if the faces or the table cannot be read, another command writes to the folder, or it
            holds a run or a sweep.
    """
    from keypoints.evaluation.evaluated_model import EvaluatedModel, evaluated_model
    from keypoints.evaluation.evaluated_table import evaluated_table
    from keypoints.evaluation.measure import measure
    from keypoints.evaluation.result import Evaluation
    from keypoints.evaluation.result_files import PAGE, write_files
    from keypoints.reports.evaluation import draw_evaluation, write_angles, write_report
    from keypoints.runs.run_folder import check_no_run

    subject = evaluated_model(cfg) if cfg.predictions is None else evaluated_table(cfg)
    case, folder = subject.case, subject.folder
    check_no_run(folder)
    with locked(folder), atomic_folder(folder, last=PAGE, own=_OPTIONAL_FILES) as part:
        predicted = subject.predict()
        result, tables = measure(case, predicted)
        stressed = None
        if cfg.stress and isinstance(subject, EvaluatedModel):
            stressed = subject.under_stress(cfg.stress_faces)
        at_angles = None
        if cfg.angles and isinstance(subject, EvaluatedModel):
            at_angles = subject.at_angles(cfg.stress_faces)
        result = result.completed(subject.further_notes(result), stressed)
        pictures = draw_evaluation(part, case, result, tables, stressed)
        write_files(part, result, tables, stressed)
        if at_angles is not None:
            pictures.append(write_angles(part, case, at_angles))
        write_report(part / PAGE, f"Evaluation of {case.name}", result, pictures, command)
    return Evaluation(folder, result)


VERB = Verb(
    name="evaluate",
    what="measure a model, or predictions, on a split: metrics, figures and a page",
    doing="measuring",
    schema=Evaluate,
    run=run,
    positional="checkpoint",
    optional_group="data",
    examples=(
        "evaluate outputs/nose_tip/2026-01-31_12-00-00 stress=true",
        "evaluate model.onnx data=ibug300w split=common",
        "evaluate predictions=results data=labelled data.test=truth.csv",
    ),
    writes="metrics.json, faces.csv (one row per face), report.html and its figures, in evaluations/<split> "
    "of the run's folder, or in output",
    subjects=("checkpoint", "predictions"),
)
