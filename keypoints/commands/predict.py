"""``keypoints predict``: prediction of the landmarks of the user's own photos and clips."""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import MISSING, DictConfig

from keypoints.commands.verb import (
    CHECKPOINT,
    PLAIN,
    Choosing,
    Detecting,
    Flipping,
    Providing,
    Refining,
    Verb,
)
from keypoints.config.settings import FilePath, Names, OutputFolder, defaults_list, setting
from keypoints.config.values import one_or_more
from keypoints.errors import ConfigError, DataError, some_of
from keypoints.files import as_text, atomic_folder, locked, remove_leftovers
from keypoints.formatting import counted, pluralised

if TYPE_CHECKING:
    from rich.progress import Progress

    from keypoints.inference.clips import PredictedClip
    from keypoints.inference.label_list import LabelList
    from keypoints.inference.photo_inputs import PhotoInputs
    from keypoints.inference.predict import DonePhoto
    from keypoints.inference.prediction_files import PredictedPhoto, PredictionFiles
    from keypoints.inference.predictor import Predictor

log = logging.getLogger(__name__)


@dataclass
class OfClips:
    """Settings of the prediction of clips."""

    detect_every: float = setting(
        0.25,
        "Seconds of a clip between two detections; between them, the last points give a face's box. "
        "0: each frame.",
        at_least=0,
    )
    smooth: bool = setting(False, "Smooth the points of a clip over time, with the One-Euro filter.")
    smooth_cutoff: float = setting(
        1.0, "Cutoff frequency of the filter for a point at rest, in Hz: lower is smoother.", above=0
    )
    smooth_speed: float = setting(
        32.0,
        "Added to smooth_cutoff, in Hz, at a speed of one side of the face's box a second: higher lags less.",
        at_least=0,
    )


@dataclass
class Predict(OfClips, Flipping, Refining, Detecting, Providing, Choosing):
    """Settings of ``keypoints predict``."""

    defaults: list[Any] = defaults_list(*PLAIN)
    checkpoint: Names = setting(
        MISSING,
        f"{CHECKPOINT} Or several of them, whose mean is predicted; the column spread of the table says how "
        "far they are apart. model=[A,B,C] means the same.",
    )
    input: FilePath = setting(
        MISSING, "Photo, clip, folder, pattern (photos/*.jpg), or list (.csv, .xml), which may have boxes."
    )
    output: OutputFolder = setting(MISSING, "Folder for the results; it must not hold predictions yet.")
    root: FilePath | None = setting(
        None, "Folder that a list's photo names are relative to; null: the list's own folder."
    )
    report: bool = setting(False, "Also write report.html: each photo with the measurements of its faces.")
    format: str | None = setting(
        None, "Also write labels.json in this format, to be corrected by hand.", choices=("coco",)
    )
    visible_from: float = setting(
        0.5,
        "Confidence from which a point in labels.json is visible (v = 2), not hidden (v = 1).",
        at_least=0,
        at_most=1,
    )
    order: str = setting(
        "input",
        "Order of labels.json: as the input, or the least confident faces first.",
        choices=("input", "worst"),
    )


_NAMED = 5
"""Largest number of photos that the warning about low confidences names."""


class Predicted(NamedTuple):
    """Folder and counts of a prediction."""

    folder: Path
    photos: int
    faces: int
    with_problems: int
    """Number of photos and clips that cannot be read in full, show no face, or have an unusable box."""
    page: Path | None
    """The report, if one was asked for."""
    clips: int = 0
    """Number of clips, each of whose tracks counts as one face."""


def run(cfg: DictConfig) -> None:
    """Predict the landmarks of photos, and print the numbers of faces and photos.

    Args:
        cfg: the configuration of ``keypoints predict``.

    Raises:
        DataError: if a photo or clip has no face, or not all of its faces could be predicted.
        KeypointsError: as :func:`predict`.
    """
    done = predict(cfg)
    log.info(
        "%s of %s %s in %s",
        *(counted(done.faces, "face"), _inputs(done.photos, done.clips)),
        *(pluralised(done.faces, "is", "are"), done.folder),
    )
    if done.page is not None:
        log.info("look at it: %s", done.page)
    if done.with_problems:
        what = "could not be predicted in full" if done.clips else "a face without a prediction"
        noun = "photo" if not done.clips else "input" if done.photos else "clip"
        raise DataError(
            f"{counted(f'{done.with_problems} of {done.photos + done.clips}', noun)} "
            f"{pluralised(done.with_problems, 'has', 'have')} no face, or {what}; see above"
        )


def _inputs(photos: int, clips: int) -> str:
    """Return the numbers of photos and clips as text; a kind of which there is none is left out."""
    kinds = [(photos, "photo"), (clips, "clip")]
    return " and ".join(counted(number, noun) for number, noun in kinds if number)


def predict(cfg: DictConfig) -> Predicted:
    """Predict the faces of ``cfg.input``, photos and clips, with ``cfg.checkpoint``; write ``cfg.output``.

    A photo that cannot be used is reported and recorded, and the others are predicted. The files appear only
    when all photos are done, the table last: if it is missing, the command was stopped, and can be given
    again.

    Args:
        cfg: the configuration of ``keypoints predict``.

    Raises:
        CheckpointError: if the checkpoint cannot be used.
        ConfigError: if a value cannot be used, or faces have to be detected and the detector is
            not installed.
        DataError: if there is no photo, the list cannot be read, the folder holds predictions already, or
            another command writes to it.
    """
    from keypoints.confidence import UNCALIBRATED
    from keypoints.inference.label_list import LABELS
    from keypoints.inference.photo_inputs import find_photos
    from keypoints.inference.predict import check_boxes
    from keypoints.inference.prediction_files import PAGE, TABLE
    from keypoints.inference.predictor import Predictor
    from keypoints.inference.refinement import refine_of

    folder, root = Path(str(cfg.output)), None if cfg.root is None else Path(str(cfg.root))
    if cfg.format is None and cfg.order != "input":
        raise ConfigError(f"order={cfg.order} is the order of a list to correct; add format=coco")
    _check_free(folder)
    inputs = find_photos(str(cfg.input), root, without=folder, clips=True)
    _check_clips(inputs, cfg)
    predictor = Predictor(
        one_or_more(cfg.checkpoint),
        cfg.which,
        flip_test=cfg.flip_test,
        refine=refine_of(cfg.refine),
        detector=cfg.detector,
        trust=cfg.trust,
        provider=cfg.provider,
        threads=1 if len(inputs.photos) > 1 else None,  # several photos are predicted in parallel
    )
    check_boxes(predictor, inputs)
    log.info("predicting %s", _inputs(len(inputs.photos), len(inputs.clips)))
    with locked(folder):
        _check_free(folder)  # another command may have ended meanwhile
        with atomic_folder(folder, last=TABLE) as part:
            photos, clips = _write(predictor, inputs, part, cfg)
    problems = [each.problems for each in photos] + [each.problems for each in clips]
    for problem in (problem for own in problems for problem in own):
        log.warning("%s", as_text(problem))
    if unsure := sum(photo.unsure for photo in photos):
        log.warning(
            "the confidence of %s is low, see column note of %s: %s",
            *(counted(unsure, "face"), folder / TABLE),
            some_of([as_text(photo.name) for photo in photos if photo.unsure], _NAMED),
        )
    if predictor.confidence_calibration is None and any(photo.with_confidence for photo in photos):
        log.warning("%s: no confidence is noted. %s", as_text(str(predictor.path)), UNCALIBRATED)
    for clip in clips:
        if clip.unsure:
            log.warning(
                "%s: the confidence is low in %s, see column note of %s",
                *(as_text(clip.name), counted(f"{clip.unsure} of {clip.frames}", "frame"), folder / TABLE),
            )
    if cfg.format is not None and any(photo.faces for photo in photos):
        full = " data.source=image" if predictor.crop.source == "image" else ""
        log.info(
            "correct the labels, then: keypoints train data=labelled data.train=%s data.root=%s%s",
            *(folder / LABELS, inputs.root, full),
        )
    return Predicted(
        folder,
        len(photos),
        sum(photo.faces for photo in photos) + sum(clip.tracks for clip in clips),
        sum(map(bool, problems)),
        folder / PAGE if cfg.report else None,
        len(clips),
    )


def _check_clips(inputs: "PhotoInputs", cfg: DictConfig) -> None:
    """Check that clips can be read, and that nothing is asked for that the inputs do not have.

    Without PyAV, the photos among clips are still predicted.

    Raises:
        ConfigError: if there are only clips, and they cannot be predicted so; or points are to be smoothed
            without a clip, or the smoothing is set without being asked for.
    """
    from keypoints.inference.video import check_installed

    usual = OfClips()
    for key in ("smooth_cutoff", "smooth_speed"):
        if not cfg.smooth and cfg[key] != getattr(usual, key):
            raise ConfigError(f"{key}={cfg[key]} is a setting of the filter; add smooth=true")
    if cfg.smooth and not inputs.clips:
        raise ConfigError(f"smooth=true is for clips, and {cfg.input} has only photos; leave it out")
    if inputs.photos or not inputs.clips:
        return
    for key, none in (("report", False), ("format", None)):
        if cfg[key] != none:
            raise ConfigError(f"{key}={cfg[key]} is for photos, and {cfg.input} has only clips; leave it out")
    check_installed()


class _Counted(NamedTuple):
    """Numbers of faces of a photo, and its problems."""

    faces: int
    problems: list[str]
    name: str
    unsure: int
    """Number of faces of low confidence."""
    with_confidence: bool
    """True if a face has a confidence."""


def _count(photo: "PredictedPhoto") -> _Counted:
    return _Counted(
        len(photo.faces),
        photo.problems,
        photo.name,
        sum(bool(face.note) for face in photo.faces),
        any(face.confidence is not None for face in photo.faces),
    )


def _check_free(folder: Path) -> None:
    """Check that a folder holds no predictions.

    Raises:
        DataError: if it does, or is a file.
    """
    from keypoints.inference.prediction_files import TABLE

    if (folder / TABLE).exists():
        remove_leftovers(folder)
        raise DataError(f"{folder}: holds predictions already; name another folder: output=<folder>")
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; name a folder: output=<folder>")


def _write(
    predictor: "Predictor", inputs: "PhotoInputs", folder: Path, cfg: DictConfig
) -> tuple[list[_Counted], list["PredictedClip"]]:
    """Predict all photos and clips and write their files into ``folder``, with progress in a terminal."""
    from rich.progress import Progress

    from keypoints.inference.label_list import LABELS
    from keypoints.inference.overlays import OVERLAYS, write_overlay
    from keypoints.inference.predict import needs_detector, predicted_photos
    from keypoints.inference.prediction_files import prediction_files
    from keypoints.reports.photos import PhotoReport

    page = PhotoReport(folder, predictor) if cfg.report else None
    labels = None if cfg.format is None else _label_list(predictor, inputs, cfg)
    about = {"model": str(predictor.path), "crop": predictor.crop.to_dict()}
    if needs_detector(predictor, inputs):
        about["detector"] = predictor.detector.name
    if inputs.clips:
        about["clips"] = {key: cfg[key] for key in OfClips.__dataclass_fields__}
    photos: list[_Counted] = []

    def draw(done: "DonePhoto") -> None:
        overlay = write_overlay(folder, done.photo, done.pixels, predictor.scheme.skeleton)
        if page is not None:
            page.add(done.number, done.photo, done.pixels, overlay)

    (folder / OVERLAYS).mkdir()
    with (
        prediction_files(folder, predictor.scheme, about, clips=bool(inputs.clips)) as files,
        predicted_photos(predictor, inputs, draw) as batches,
        Progress(transient=True, disable=not sys.stdout.isatty()) as progress,
    ):
        bar = progress.add_task("predicting", total=len(inputs.photos), visible=bool(inputs.photos))
        for batch in batches:
            for photo in batch:
                files.add(photo)
                if labels is not None:
                    labels.add(photo)
                photos.append(_count(photo))
            progress.advance(bar, len(batch))
        clips = [_write_clip(predictor, inputs, clip, files, folder, cfg, progress) for clip in inputs.clips]
        if page is not None:
            page.write()
    if labels is not None:
        labels.write(folder)
        if not labels.has_confidences:
            log.info("this model gives no confidence: all points are visible (v = 2) in %s", LABELS)
    return photos, clips


def _write_clip(
    predictor: "Predictor",
    inputs: "PhotoInputs",
    clip: Path,
    files: "PredictionFiles",
    folder: Path,
    cfg: DictConfig,
    progress: "Progress",
) -> "PredictedClip":
    """Predict a clip and write its files, with progress."""
    from rich.markup import escape

    from keypoints.inference.clips import ClipSettings, predict_clip
    from keypoints.inference.one_euro import OneEuro

    name = inputs.name(clip)
    bar = progress.add_task(escape(as_text(name)), total=None)
    smooth = OneEuro(cfg.smooth_cutoff, cfg.smooth_speed) if cfg.smooth else None
    return predict_clip(
        predictor,
        clip,
        name,
        ClipSettings(cfg.detect_every, smooth),
        files,
        folder,
        lambda done, total: progress.update(bar, completed=done, total=total),
    )


def _label_list(predictor: "Predictor", inputs: "PhotoInputs", cfg: DictConfig) -> "LabelList":
    from keypoints.inference.label_list import LabelList

    worst = cfg.order == "worst"
    return LabelList(inputs.root, predictor.scheme, visible_from=cfg.visible_from, worst_first=worst)


VERB = Verb(
    name="predict",
    what="predict the landmarks of your own photos and clips",
    doing="predicting",
    schema=Predict,
    run=run,
    positional="checkpoint",
    takes_words=True,
    synonyms={"model": "checkpoint"},
    examples=(
        "predict outputs/mine/2026-01-31_12-00-00 input=photos output=results",
        "predict model.onnx 'input=photos/*.jpg' output=results report=true",
        "predict best.ckpt input=photos output=results format=coco",
    ),
    writes="output/overlays/ (photos and clips with points), output/predictions.csv and predictions.json; "
    "with report=true also output/report.html; with format=coco also output/labels.json",
    subjects=("input",),
)
