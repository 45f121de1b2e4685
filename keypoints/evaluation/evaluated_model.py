"""Evaluation of a model: its predictions on the faces of a split, also under stress."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from omegaconf import DictConfig
from rich.progress import track
from torch import Tensor

from keypoints.data.dataset import Batch, FaceDataset, mean_targets, pixels_of
from keypoints.data.face import Face
from keypoints.data.readers.labelled import read_labelled
from keypoints.datamodules.base import FaceDataModule
from keypoints.drawing import draw_face
from keypoints.errors import ConfigError, DataError
from keypoints.evaluation.angles import AtAngles, at_angles
from keypoints.evaluation.boxes_from_points import with_boxes_from_points
from keypoints.evaluation.chosen_data import chosen_data, chosen_split, faces_to_measure
from keypoints.evaluation.per_face import BATCH, Locate, plain_batches, predict
from keypoints.evaluation.result import Case, EvaluationResult, ModelSource, PredictedFaces, Stressed
from keypoints.evaluation.seen_in_training import training_notes
from keypoints.formatting import counted
from keypoints.geometry import Affine, ByteArray, FloatArray
from keypoints.inference.detection import FaceDetector, with_found_boxes
from keypoints.inference.detectors import AUTO, open_detector
from keypoints.inference.model import Model, load_model
from keypoints.inference.ready_models import find_model
from keypoints.inference.refinement import CroppedFace, Refinement, refine_of, second_pass_is_possible
from keypoints.library_versions import opencv_changed
from keypoints.runs.run_folder import RunFolder
from keypoints.tasks.metrics import default_norm, evaluation_metrics

if TYPE_CHECKING:
    from keypoints.evaluation.robustness import StressedFaces

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluatedModel:
    """Model and the faces that it is evaluated on.

    Args:
        case: data, landmarks and norm of the evaluation.
        folder: folder for the results.
        model: model from a checkpoint or an ONNX file.
        faces: faces of the split, with the chosen boxes (given, detected, or from points).
        mean: prediction of the mean-shape baseline, (K, 2) ratios of the input; ``None`` if it is unknown.
        source: description of the model for ``metrics.json``.
        notes: warnings about its training data.
    """

    case: Case
    folder: Path
    model: Model
    faces: Sequence[Face]
    mean: Tensor | None
    source: ModelSource
    notes: Sequence[str]

    def predict(self) -> PredictedFaces:
        """Return the predictions for all faces; a progress bar is shown."""
        dataset = self._dataset()
        total = math.ceil(len(dataset) / BATCH)
        batches = track(plain_batches(dataset), "predicting", total, transient=True)
        predictions, constant = predict(self.model, batches, self.mean, self._second_pass())
        return PredictedFaces(self.faces, predictions, constant, self.source, self.notes)

    def _second_pass(self) -> Locate | None:
        """Return the prediction in two passes; ``None`` if each face is predicted once."""
        if self.source.refine is False:
            return None
        refinement = Refinement(self.model, self.source.refine)
        channels = self.model.crop.channels

        def locate(batch: Batch) -> tuple[Tensor, Tensor | None]:
            crops = batch.pixels.permute(0, 2, 3, 1).numpy()
            maps = batch.to_photo.double().numpy()
            photos = [self.faces[place].photo for place in batch.indices.tolist()]
            found = refinement(
                [
                    CroppedFace(crop, Affine(own).inverse(), partial(photo.decode, channels))
                    for crop, own, photo in zip(crops, maps, photos, strict=True)
                ]
            )
            sure = [seen.confidence for seen in found if seen.confidence is not None]
            confidence = torch.from_numpy(np.stack(sure)).float() if sure else None
            return torch.from_numpy(np.stack([seen.in_photo() for seen in found])).float(), confidence

        return locate

    def _dataset(self) -> FaceDataset:
        data = self.case.data
        return FaceDataset(self.faces, data.indices, self.model.crop, memory=data.memory)

    def further_notes(self, result: EvaluationResult) -> list[str]:  # noqa: ARG002
        """Return further notes about the result: none for a model.

        Args:
            result: metrics of the model.
        """
        return []

    def at_angles(self, most: int) -> AtAngles:
        """Measure the errors again on turned photos, in one pass and, if the model allows it, in two.

        Args:
            most: largest number of faces, evenly selected from all.
        """
        case, faces, refine = self.case, _spread_over(self.faces, most), self.source.refine
        if refine is False and second_pass_is_possible(self.model):
            refine = True
        return at_angles(
            *(self.model, faces, case.data.indices, case.norm, case.threshold, refine),
            lambda angles: track(angles, "angles", transient=True),
        )

    def under_stress(self, most: int) -> Stressed:
        """Measure the errors again on worse inputs.

        Args:
            most: largest number of faces, evenly selected from all.
        """
        from keypoints.evaluation.robustness import STRESSES, StressedFaces, stress, tolerances

        case, faces = self.case, _spread_over(self.faces, most)
        stressed = StressedFaces(faces, case.data.indices, self.model.crop)
        table = stress(
            self.model, stressed, self.mean, case.norm, case.threshold, lambda steps: track(steps, "stress")
        )
        examples = {
            kind.title: _stress_examples(self.model, stressed, name) for name, kind in STRESSES.items()
        }
        shown = faces[_place_of_example(len(faces))].hidden()[list(case.data.indices)]
        return Stressed(table, len(faces), examples, tolerances(table), bool(shown.any()))


def evaluated_model(cfg: DictConfig) -> EvaluatedModel:
    """Return the model ``cfg.checkpoint`` with the faces of ``cfg.split``.

    Args:
        cfg: the configuration of ``keypoints evaluate``.

    Raises:
        CheckpointError: if the model cannot be used.
        ConfigError: if a value cannot be used, the data have other landmarks than the model, or the model was
            trained on the faces and ``cfg.force`` is not set.
        DataError: if the faces cannot be read.
    """
    path, run = find_model(cfg.checkpoint, cfg.which)
    model = load_model(
        path, run, flip_test=cfg.flip_test, trust=cfg.trust, device=cfg.device, provider=cfg.provider
    )
    Refinement(model, refine_of(cfg.refine))  # reports that it is not possible before the faces are read
    if changed := opencv_changed(model.versions):
        # Only stress changes pictures by OpenCV; photos are cropped by Pillow.
        log.log(logging.WARNING if cfg.stress else logging.INFO, "%s: %s", cfg.checkpoint, changed)
    norm = cfg.norm or default_norm(model.scheme)
    evaluation_metrics(model.scheme, norm, cfg.threshold)  # reports a wrong value before the faces are read
    log.info("reading the faces")
    trained_in = None if model.trained_on is None else model.trained_on.data
    data = chosen_data(cfg, run, str(cfg.checkpoint), folder=trained_in)
    boxless = cfg.boxes != "given"  # the faces then need no boxes of their own
    data.adopt(model.scheme, replace(model.crop, source="image") if boxless else model.crop)
    split = chosen_split(cfg, data)
    faces = faces_to_measure(data, split)
    own_data = cfg.get("data") is None
    notes = training_notes(
        str(cfg.checkpoint), model.trained_on, data, split, own_data=own_data, force=cfg.force
    )
    detector = open_detector(cfg.detector) if cfg.boxes == "detected" else None
    faces, missed = _with_chosen_boxes(cfg, model, faces, data, split, detector)
    if cfg.boxes == "points":
        notes.append("boxes are placed around the true points, so a face is never missed or off its box")
    if missed and detector is not None:
        notes.append(
            f"the detector ({detector.name}) did not find {missed} of "
            f"{counted(missed + len(faces), 'face')}: left out"
        )
    log.info("measuring %s of %s", counted(len(faces), "face"), split)
    source = ModelSource(
        str(path),
        type(data).__name__,
        bool(cfg.flip_test),
        cfg.boxes,
        missed,
        refine_of(cfg.refine),
        None if detector is None else detector.name,
    )
    name = f"{run.name}, {path.stem} epoch" if run else path.stem
    case = Case(f"{name}, {split}", data, split, model.scheme, norm, cfg.threshold, cfg.faces)
    folder = Path(cfg.output) if cfg.output else _folder(run, path, cfg, split)
    return EvaluatedModel(case, folder, model, faces, _mean(model, data), source, notes)


def _with_chosen_boxes(
    cfg: DictConfig,
    model: Model,
    faces: Sequence[Face],
    data: FaceDataModule,
    split: str,
    detector: FaceDetector | None,
) -> tuple[Sequence[Face], int]:
    """Return the faces with the chosen boxes, and the number of faces that the detector missed."""
    if cfg.boxes_like is not None and cfg.boxes != "points":
        raise ConfigError("boxes_like: applies to boxes=points only")
    if cfg.detector != AUTO and cfg.boxes != "detected":
        raise ConfigError("detector: applies to boxes=detected only")
    if cfg.boxes == "given":
        return faces, 0
    if model.crop.source != "box":
        raise ConfigError(f"boxes={cfg.boxes}: this model was trained on full images and uses no boxes")
    if detector is None:
        return with_boxes_from_points(faces, data.indices, _boxed_shape(cfg, model), model.crop), 0
    found, missed = with_found_boxes(track(faces, "detecting faces", transient=True), detector)
    if not found:
        raise DataError(f"{detector.name} finds none of the {counted(len(faces), 'face')} of {split}")
    return found, missed


def _boxed_shape(cfg: DictConfig, model: Model) -> FloatArray:
    """Return the mean shape of faces whose boxes are placed as the model expects them, (K, 2) ratios."""
    if cfg.boxes_like is not None:
        listed = read_labelled(Path(cfg.boxes_like), scheme=model.scheme, strict=False).faces
        faces = [face for face in listed if face.box is not None]
        if not faces:
            raise DataError(
                f"{cfg.boxes_like}: none of its {counted(len(listed), 'face')} has a box; name another list"
            )
        return mean_targets(faces, range(len(model.scheme)), model.crop).double().numpy()
    if model.mean_shape is None:
        raise ConfigError(
            f"{cfg.checkpoint}: does not say how its training boxes are placed; name a list of faces "
            "whose boxes are: boxes_like=<list>"
        )
    return model.mean_shape


def _mean(model: Model, data: FaceDataModule) -> Tensor | None:
    """Return the prediction of the mean-shape baseline, from the model's file or else the training faces."""
    if model.mean_shape is not None:
        return torch.from_numpy(model.mean_shape).float()
    train = data.splits.get("train")
    boxless = model.crop.source == "box" and any(face.box is None for face in train or ())
    return mean_targets(train, data.indices, model.crop) if train and not boxless else None


def _folder(run: RunFolder | None, path: Path, cfg: DictConfig, split: str) -> Path:
    if run is None:
        return Path(cfg.paths.outputs, "evaluations", path.stem, split)
    best = path.name == run.best_checkpoint.name
    which = "" if best else f"-{path.stem}"
    boxes = "" if cfg.boxes == "given" else f"-{cfg.boxes}"
    flipped = "-flip-test" if cfg.flip_test else ""
    flipped += "" if refine_of(cfg.refine) is False else f"-refine-{cfg.refine.lower()}"
    return run.path / "evaluations" / f"{split}{which}{boxes}{flipped}"


def _spread_over(faces: Sequence[Face], most: int) -> list[Face]:
    """Return at most ``most`` of the faces, evenly selected."""
    places = np.linspace(0, len(faces) - 1, min(most, len(faces))).round().astype(int)
    return [faces[place] for place in places]


def _place_of_example(faces: int) -> int:
    return faces // 2


def _stress_examples(model: Model, faces: "StressedFaces", name: str) -> list[tuple[str, ByteArray]]:
    """Return pictures of one face with truth and prediction, for each level of a stress: level, picture."""
    from keypoints.evaluation.robustness import STRESSES, changes

    levels = STRESSES[name].levels
    pictures = []
    for level in sorted(levels, reverse=levels[0] == max(levels)):
        batch = next(faces.batches(changes(name, level)[0], [_place_of_example(len(faces))]))
        (found,) = model(batch.to_images().numpy()).points
        hidden = None if batch.hidden_points is None else batch.hidden_points[0]
        truth = batch.targets[0].numpy()
        drawn = draw_face(pixels_of(batch)[0], truth=truth, prediction=found, hidden=hidden)
        pictures.append((f"{level:g}", drawn))
    return pictures
