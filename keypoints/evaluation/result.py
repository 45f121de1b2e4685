"""What an evaluation gives, whoever predicted: metrics, tables, figures and a page."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from keypoints._version import __version__
from keypoints.components import package_names, trusting
from keypoints.config.compose import option
from keypoints.data.face import Face
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import ConfigError, DataError
from keypoints.evaluation.face_tables import in_common, tags_of
from keypoints.evaluation.per_face import Predictions, by_confidence, face_table, in_originals, score
from keypoints.files import write_whole
from keypoints.geometry import ByteArray, FloatArray
from keypoints.instantiate import make_data
from keypoints.landmarks import LandmarkScheme
from keypoints.mean_face import predicts_the_mean
from keypoints.runs.run_folder import RunFolder
from keypoints.tasks.metrics import evaluation_metrics, normalized_mean_error

PAGE = "report.html"
_MOST_VALUES = 60
"""A tag with more values than this tells faces apart, not groups of them."""


class Evaluation(NamedTuple):
    """What an evaluation gave."""

    folder: Path
    result: dict[str, Any]
    """The contents of ``metrics.json``."""


@dataclass(frozen=True)
class Case:
    """What is evaluated, and how.

    Args:
        name: of what predicted, and the split, for titles.
        data: the faces' datamodule.
        split: whose faces they are.
        scheme: the landmarks that are measured.
        norm, threshold: as :func:`keypoints.tasks.metrics.evaluation_metrics`.
        shown: that many best and worst faces are drawn.
    """

    name: str
    data: FaceDataModule
    split: str
    scheme: LandmarkScheme
    norm: str
    threshold: float
    shown: int


@dataclass(frozen=True)
class Measured:
    """What was predicted for some faces, in pixels of their photos, and what is known of it.

    Args:
        faces: that were predicted.
        predictions: of them.
        constant: what the constant predictor says of them, where there is one.
        about: what ``metrics.json`` says first: who predicted, and how.
        notes: warnings.
    """

    faces: Sequence[Face]
    predictions: Predictions
    constant: Predictions | None
    about: Mapping[str, Any]
    notes: Sequence[str] = field(default_factory=tuple)


def chosen_data(
    cfg: DictConfig, run: RunFolder | None, what: str, source: str | None = None
) -> FaceDataModule:
    """Return the data that a command names, or else those of the run.

    ``data.<key>=<value>`` without a choice of ``data`` changes the run's settings; with ``data.test`` and
    another kind of data, or no run, it is meant for ``data=labelled``.

    Args:
        cfg: the configuration of ``keypoints evaluate``.
        run: whose data are meant where the command names none.
        what: is evaluated, for messages.
        source: what is cut out of labelled photos, ``"box"`` or ``"image"``, if the command decides.

    Raises:
        ConfigError: if no data are named, or a value cannot be used.
        DataError: if they cannot be read.
    """
    given = cfg.get("data")
    if given is not None and "_target_" in given:
        return make_data(_with_data(cfg, {}, given, source))
    changes = {} if given is None else dict(given)
    settings = None if run is None else run.setting("data")
    own = isinstance(settings, DictConfig) and ("train" in settings or "test" not in changes)
    if changes.get("test") is not None and not own:
        return make_data(_with_data(cfg, option("data", "labelled"), changes, source))
    if settings is None and run is not None:
        raise DataError(f"{run.config}: names no data; say on which: data=imm")
    if settings is None:
        raise ConfigError(f"{what}: is not in a run's folder, so say on which data: data=imm")
    plain = OmegaConf.to_container(settings, resolve=True) if isinstance(settings, DictConfig) else None
    if not isinstance(plain, dict):
        raise ConfigError(f"{run.config if run else ''}: its data are no component; say on which: data=imm")
    recorded = _with_data(cfg, plain, changes, source)
    try:
        with trusting(*package_names(cfg.trust)):
            return make_data(OmegaConf.create({"data": OmegaConf.to_container(recorded.data)}), recorded=True)
    except ConfigError as error:
        raise ConfigError(f"{error} (as {'' if run is None else run.config} says)") from error


def _with_data(cfg: DictConfig, settings: Any, changes: Mapping[str, Any], source: str | None) -> DictConfig:
    """Return the configuration with these settings of the data and the changes of them."""
    whole: Any = OmegaConf.merge(cfg, {})
    OmegaConf.set_struct(whole, value=False)
    whole.data = OmegaConf.merge(settings, changes)
    if cfg.root is not None:
        whole.data.root = cfg.root
    if source is not None and "source" in whole.data:
        whole.data.source = source
    return whole  # type: ignore[no-any-return]


def chosen_split(cfg: DictConfig, data: FaceDataModule) -> str:
    """Return the split that is meant: ``val`` unless the command names another, or a test list alone.

    Raises:
        DataError: if there is no such split.
    """
    given = cfg.get("data") or {}
    test_alone = given.get("test") is not None and given.get("train") is None
    split = str(cfg.split or ("test" if test_alone else "val"))
    if split not in data.splits:
        raise DataError(f"there is no split {split!r}; there is {', '.join(data.splits)}")
    return split


def faces_to_measure(data: FaceDataModule, split: str) -> Sequence[Face]:
    """Return the faces of a split, if anything can be measured on them.

    Raises:
        DataError: if not.
    """
    faces = data.splits[split]
    if any(face.points is None for face in faces):
        raise DataError(
            f"the faces of {split} have no points to measure against; keypoints submit predicts them"
        )
    return faces


class Tables(NamedTuple):
    """What was measured face by face, for figures."""

    on_photos: pd.DataFrame
    """A row a face, in pixels of its photo as the figures draw it."""
    in_originals: pd.DataFrame
    """The same in pixels of the originals, with ``nme``."""
    constant: FloatArray | None
    """The mean-shape baseline's normalised errors of the faces."""


class Stressed(NamedTuple):
    """What a model predicts under stress, for figures."""

    table: pd.DataFrame
    """A row a stress and level."""
    faces: int
    """How many were measured."""
    examples: Mapping[str, Sequence[tuple[str, ByteArray]]]
    """One face by stress: at each level, the level and the picture with truth and prediction."""
    tolerances: Sequence[str]
    """What the model stands, in sentences."""


def write_metrics(case: Case, measured: Measured, folder: Path) -> tuple[dict[str, Any], Tables]:
    """Measure what was predicted; write ``faces.csv``.

    Args:
        case: what is measured.
        measured: what was predicted.
        folder: where the table is written; it is there.

    Returns:
        What ``metrics.json`` is to hold, and what the figures show.
    """
    faces, pair = measured.faces, case.scheme.normalizing_points
    on_photos = face_table(faces, measured.predictions)
    originals = [case.data.original(face) for face in faces]
    predictions = in_originals(measured.predictions, originals)
    constant = None if measured.constant is None else in_originals(measured.constant, originals)
    table = face_table(faces, predictions, case.norm, pair)
    on_photos["error_px"] = table["error_px"]
    result = {**measured.about, **_result(case, predictions, constant, table)}
    result["notes"] += measured.notes
    errors = None if constant is None else normalized_mean_error(*constant[:3], norm=case.norm, pair=pair)
    write_whole(folder / "faces.csv", table.to_csv(index=False))
    return result, Tables(on_photos, table, None if errors is None else errors.double().numpy())


def write_result(result: Mapping[str, Any], folder: Path) -> None:
    """Write ``metrics.json``."""
    write_whole(folder / "metrics.json", json.dumps(result, indent=2, allow_nan=False) + "\n")


def _result(
    case: Case, predictions: Predictions, constant: Predictions | None, table: pd.DataFrame
) -> dict[str, Any]:
    """All that is measured, as plain values."""
    scheme, words = case.scheme, case.data.words

    def measured(chosen: Predictions, points: Sequence[int] | None = None) -> dict[str, float | None]:
        metrics = evaluation_metrics(scheme, case.norm, case.threshold, points)
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
    parts = scheme.parts if len(scheme.parts) > 1 else {}
    return {
        "version": __version__,
        "scheme": scheme.name,
        "split": case.split,
        "faces": len(table),
        "norm": case.norm,
        "threshold": case.threshold,
        "metrics": metrics,
        "constant": None if constant is None else measured(constant),
        "by_part": {name: measured(predictions, points) for name, points in parts.items()},
        "by_tag": by_tag,
        "by_confidence": by_confidence(predictions, case.norm, scheme.normalizing_points),
        "words": {tag: dict(meanings) for tag, meanings in words.items()},
        "worst_faces": in_common(table, words),
        "notes": [warning] if warning else [],
    }
