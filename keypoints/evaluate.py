"""Evaluation: a checkpoint and a split in; metrics, tables, figures and a page out."""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf
from rich.progress import track
from torch import Tensor

from keypoints import __version__
from keypoints.building import make_data
from keypoints.components import package_names, trusting
from keypoints.configuration import check_counts
from keypoints.datamodules.base import FaceDataModule
from keypoints.datamodules.dataset import FaceDataset, mean_targets, pixels_of
from keypoints.datasets.face import Face
from keypoints.detection import with_found_boxes
from keypoints.drawing import draw_face
from keypoints.errors import ConfigError, DataError
from keypoints.files import alone, filled, write_whole
from keypoints.geometry import ByteArray
from keypoints.measure import (
    BATCH,
    Predictions,
    by_confidence,
    face_table,
    in_originals,
    plain_batches,
    predict,
    score,
)
from keypoints.metrics import NORMS, default_norm, evaluation_metrics, normalized_mean_error
from keypoints.reports import error_figures, figures
from keypoints.reports.evaluation import draw, draw_faces, write_report
from keypoints.reports.page import Picture
from keypoints.runs import RunFolder, find_checkpoint, predicts_the_mean
from keypoints.stress import STRESSES, StressedFaces, changes, stress, tolerances
from keypoints.tables import in_common, tags_of
from keypoints.tasks.base import Task, load_task, usable_device

log = logging.getLogger(__name__)

_PAGE = "report.html"
_STRESS_FILES = ("stress.csv", "stress.png", "stressed_faces.png")
_MOST_VALUES = 60
"""A tag with more values than this tells faces apart, not groups of them."""


class Evaluation(NamedTuple):
    """What an evaluation gave."""

    folder: Path
    result: dict[str, Any]
    """The contents of ``metrics.json``."""


@dataclass(frozen=True)
class _Case:
    """What is evaluated, and how."""

    cfg: DictConfig
    name: str
    folder: Path
    task: Task
    data: FaceDataModule
    norm: str
    mean: Tensor | None
    """The mean of the training targets, (K, 2) ratios: the constant predictor, where there is one."""


def evaluate(cfg: DictConfig, command: str = "") -> Evaluation:
    """Evaluate ``cfg.checkpoint`` on ``cfg.split``.

    Writes ``metrics.json``, ``faces.csv`` (a row a face), ``report.html`` and its figures; with
    ``cfg.stress``, ``stress.csv`` too.

    Args:
        cfg: the configuration of ``conf/evaluate.yaml``.
        command: what was typed, for the page.

    Raises:
        CheckpointError: if the checkpoint cannot be used.
        ConfigError: if a value cannot be used, the data have other landmarks than the checkpoint, or
            the model was trained on the faces and ``cfg.force`` is not set.
        DataError: if the faces cannot be read, or another command writes to the folder.
    """
    check_counts(cfg, "faces", "stress_faces")
    path, run = find_checkpoint(cfg.checkpoint, cfg.which)
    task = load_task(path, flip_test=cfg.flip_test, trust=cfg.trust).to(usable_device(cfg.device))
    norm = cfg.norm or default_norm(task.scheme)
    evaluation_metrics(task.scheme, norm, cfg.threshold)  # a wrong value is said before the faces are read
    data = _data(cfg, run)
    data.adopt(task.scheme, task.crop)
    faces, missed = _in_boxes(cfg, task, _faces(cfg, task, data))
    folder = Path(cfg.output) if cfg.output else _folder(run, path, cfg)
    name = f"{run.name}, {path.stem} epoch" if run else path.stem
    mean = _mean(task, data)
    about = {
        "checkpoint": str(path),
        "data": type(data).__name__,
        "flip_test": bool(cfg.flip_test),
        "boxes": cfg.boxes,
        "not_found": missed,
    }
    with alone(folder), filled(folder, last=_PAGE, own=_STRESS_FILES) as part:
        case = _Case(cfg, f"{name}, {cfg.split}", part, task, data, norm, mean)
        return Evaluation(folder, _measured(case, faces, about, command))


def _measured(case: _Case, faces: Sequence[Face], about: dict[str, Any], command: str) -> dict[str, Any]:
    """Predict the faces, and write what comes of it; return the contents of ``metrics.json``."""
    cfg, folder, task, data, norm, mean = case.cfg, case.folder, case.task, case.data, case.norm, case.mean
    dataset = FaceDataset(faces, data.indices, task.crop, memory=data.memory)
    total = math.ceil(len(dataset) / BATCH)
    batches = track(plain_batches(dataset), "predicting", total, transient=True)
    predictions, constant = predict(task, batches, mean)
    on_photos = face_table(faces, predictions)
    originals = [data.original(face) for face in faces]
    predictions = in_originals(predictions, originals)
    constant = None if constant is None else in_originals(constant, originals)
    table = face_table(faces, predictions, norm, task.scheme.pair)
    on_photos["error_px"] = table["error_px"]
    result = {
        **about,
        **_result(case, predictions, constant, table),
    }
    if missed := about["not_found"]:
        result["notes"].append(f"the detector did not find {missed} of {missed + len(faces)} faces: left out")
    pair = task.scheme.pair
    errors = None if constant is None else normalized_mean_error(*constant[:3], norm=norm, pair=pair)
    lines = task.scheme.skeleton
    pictures = [
        draw_faces(folder, case.name, on_photos, cfg.faces, lines, data.words),
        *draw(folder, case.name, table, result, lines, None if errors is None else errors.double().numpy()),
    ]
    if cfg.stress:
        said, drawn = _stress(case, _spread_over(faces, cfg.stress_faces))
        result["stress"] = said
        pictures += drawn
    write_whole(folder / "faces.csv", table.to_csv(index=False))
    write_whole(folder / "metrics.json", json.dumps(result, indent=2, allow_nan=False) + "\n")
    write_report(folder / _PAGE, f"Evaluation of {case.name}", result, pictures, command)
    return result


def _data(cfg: DictConfig, run: RunFolder | None) -> FaceDataModule:
    """The data that the command names, or else those of the checkpoint's run."""
    if cfg.get("data") is not None:
        if cfg.root is not None:
            cfg.data.root = cfg.root
        return make_data(cfg)
    settings = None if run is None else run.setting("data")
    if settings is None and run is not None:
        raise DataError(f"{run.config}: names no data; say on which: data=imm")
    if settings is None:
        raise ConfigError(f"{cfg.checkpoint}: is not in a run's folder, so say on which data: data=imm")
    plain = OmegaConf.to_container(settings, resolve=True) if isinstance(settings, DictConfig) else None
    if not isinstance(plain, dict):
        raise ConfigError(f"{run.config if run else ''}: its data are no component; say on which: data=imm")
    if cfg.root is not None:
        plain["root"] = cfg.root
    try:
        with trusting(*package_names(cfg.trust)):
            return make_data(OmegaConf.create({"data": plain}), recorded=True)
    except ConfigError as error:
        raise ConfigError(f"{error} (as {'' if run is None else run.config} says)") from error


def _faces(cfg: DictConfig, task: Task, data: FaceDataModule) -> Sequence[Face]:
    """The faces of the split, if anything can be measured on them."""
    if cfg.split not in data.splits:
        raise DataError(f"there is no split {cfg.split!r}; there is {', '.join(data.splits)}")
    faces = data.splits[cfg.split]
    if any(face.points is None for face in faces):
        raise DataError(
            f"the faces of {cfg.split} have no points to measure against; keypoints submit predicts them"
        )
    if (met := _met_in_training(cfg, task, data)) and not cfg.force:
        raise ConfigError(
            f"{cfg.checkpoint}: was trained on {met} of the {len(faces)} faces of {cfg.split}, or others of "
            "their groups, so the result would say nothing of new faces; force=true measures it all the same"
        )
    return faces


def _in_boxes(cfg: DictConfig, task: Task, faces: Sequence[Face]) -> tuple[Sequence[Face], int]:
    """The faces in the boxes that are asked for, and how many have none."""
    if cfg.boxes not in ("given", "detected"):
        raise ConfigError(f"boxes is given or detected, not {cfg.boxes!r}")
    if cfg.boxes == "given":
        return faces, 0
    if task.crop.source != "box":
        raise ConfigError("boxes=detected: this model was trained on whole pictures and looks at no box")
    found, missed = with_found_boxes(track(faces, "looking for faces", transient=True))
    if not found:
        raise DataError(f"the detector finds none of the {len(faces)} faces of {cfg.split}")
    return found, missed


def _met_in_training(cfg: DictConfig, task: Task, data: FaceDataModule) -> int:
    """How many faces of the split the model has met; of its own ``train`` one knows it has."""
    own = cfg.get("data") is None
    if task.trained_on is None or (own and cfg.split == "train"):
        return 0
    return len(data.leaks(task.trained_on, cfg.split))


def _mean(task: Task, data: FaceDataModule) -> Tensor | None:
    """What the constant predictor says, as the checkpoint or else the training faces have it."""
    if task.trained_on is not None:
        return torch.tensor(task.trained_on.mean)
    train = data.splits.get("train")
    return mean_targets(train, data.indices, task.crop) if train else None


def _folder(run: RunFolder | None, path: Path, cfg: DictConfig) -> Path:
    if run is None:
        return Path(cfg.paths.outputs, "evaluations", path.stem, cfg.split)
    best = path.name == run.best_checkpoint.name
    which = "" if best else f"-{path.stem}"
    boxes = "" if cfg.boxes == "given" else f"-{cfg.boxes}"
    flipped = "-flip-test" if cfg.flip_test else ""
    return run.path / "evaluations" / f"{cfg.split}{which}{boxes}{flipped}"


def _result(
    case: _Case, predictions: Predictions, constant: Predictions | None, table: pd.DataFrame
) -> dict[str, Any]:
    """All that is measured, as plain values."""
    scheme, threshold, words = case.task.scheme, case.cfg.threshold, case.data.words

    def measured(chosen: Predictions, points: Sequence[int] | None = None) -> dict[str, float | None]:
        metrics = evaluation_metrics(scheme, case.norm, threshold, points)
        scores = score(metrics, chosen)
        return {name: value if math.isfinite(value) else None for name, value in scores.items()}

    by_tag: dict[str, dict[str, dict[str, float | int | None]]] = {}
    for tag in tags_of(table):
        values = sorted(table[tag].dropna().astype(str).unique())
        if 1 < len(values) <= min(_MOST_VALUES, len(table) // 2):
            places = {value: np.flatnonzero(table[tag].astype(str) == value).tolist() for value in values}
            by_tag[tag] = {
                value: {"faces": len(at), **measured(predictions.of(at))} for value, at in places.items()
            }
    metrics = measured(predictions)
    ratio = metrics["variance_ratio"]
    warning = predicts_the_mean(1.0 if ratio is None else ratio)
    if not bool(predictions.predicted.isfinite().all()):
        warning = "some predictions are no finite numbers: the network's weights are broken"
    notes = [warning] if warning else []
    if met := _met_in_training(case.cfg, case.task, case.data):
        notes.append(f"forced: the model was trained on {met} of these faces, or on others of their groups")
    validated = set(case.task.trained_on.validated) if case.task.trained_on else set()
    chosen = sum(face.group in validated for face in case.data.splits[case.cfg.split])
    if chosen and case.cfg.split != "val":
        notes.append(f"the best epoch was chosen by {chosen} of these faces, or by others of their groups")
    parts = scheme.parts if len(scheme.parts) > 1 else {}
    return {
        "version": __version__,
        "scheme": scheme.name,
        "split": case.cfg.split,
        "faces": len(table),
        "norm": case.norm,
        "threshold": threshold,
        "metrics": metrics,
        "constant": None if constant is None else measured(constant),
        "by_part": {name: measured(predictions, points) for name, points in parts.items()},
        "by_tag": by_tag,
        "by_confidence": by_confidence(predictions, case.norm, scheme.pair),
        "words": {tag: dict(meanings) for tag, meanings in words.items()},
        "worst_faces": in_common(table, words),
        "notes": notes,
    }


def _spread_over(faces: Sequence[Face], most: int) -> list[Face]:
    """At most so many of the faces, spread over all of them."""
    places = np.linspace(0, len(faces) - 1, min(most, len(faces))).round().astype(int)
    return [faces[place] for place in places]


def _stress(case: _Case, faces: Sequence[Face]) -> tuple[list[str], list[Picture]]:
    """Measure, write and draw what spoils the model: sentences and figures."""
    stressed = StressedFaces(faces, case.data.indices, case.task.crop)
    table = stress(
        case.task, stressed, case.mean, case.norm, case.cfg.threshold, lambda steps: track(steps, "stress")
    )
    write_whole(case.folder / "stress.csv", table.to_csv(index=False))
    curves = figures.save(
        error_figures.under_stress(table, NORMS[case.norm], f"{case.name}: what spoils it"),
        case.folder / "stress.png",
    )
    examples = figures.save(
        error_figures.stressed_faces(
            {kind.title: _stressed(case.task, stressed, name) for name, kind in STRESSES.items()},
            f"{case.name}: one face, green: truth, red: prediction",
        ),
        case.folder / "stressed_faces.png",
    )
    return tolerances(table), [
        Picture(
            curves, "What spoils it", f"Errors on {len(faces)} faces against how much worse they are made."
        ),
        Picture(examples, "One face under stress", "The network's input at each level."),
    ]


def _stressed(task: Task, faces: StressedFaces, name: str) -> list[tuple[str, ByteArray]]:
    """One face at each level of a stress, with truth and prediction, and the level."""
    levels = STRESSES[name].levels
    pictures = []
    for level in sorted(levels, reverse=levels[0] == max(levels)):
        batch = next(faces.batches(changes(name, level)[0], [len(faces) // 2]))
        with torch.inference_mode():
            found = task.locate(batch.to(task.device).images).points.cpu().numpy()
        drawn = draw_face(pixels_of(batch)[0], truth=batch.targets[0].numpy(), prediction=found[0])
        pictures.append((f"{level:g}", drawn))
    return pictures
