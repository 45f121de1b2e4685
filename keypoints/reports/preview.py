"""Preview of the network's input: training faces with and without augmentation, and their statistics."""

import json
import logging
import math
from pathlib import Path

import albumentations
import numpy as np
from omegaconf import DictConfig
from rich.progress import track
from torch import Tensor
from torch.utils.data import default_collate

from keypoints.data.augmentation import Augmentation
from keypoints.data.dataset import Batch, FaceDataset, pixels_of
from keypoints.datamodules.base import FaceDataModule
from keypoints.files import atomic_folder, locked, write_atomically
from keypoints.formatting import counted, shown
from keypoints.geometry import ratio_to_pixels
from keypoints.instantiate import make_data
from keypoints.landmarks import LandmarkScheme, mirror_permutation
from keypoints.reports import face_figures, figures

log = logging.getLogger(__name__)

_SHEET = "samples.png"
_MIRRORED = "mirrored.png"
_FEW = 8
"""Largest number of points that are plotted with their names; more points have numbers."""
_MEASURED = 512
"""Number of samples that are measured."""
_FLAT = 0.02
"""Standard deviation below which pixels are nearly constant, for example after two divisions by 255."""


def preview(cfg: DictConfig) -> Path:
    """Plot and measure the training samples of a configuration.

    Writes ``samples.png``, a contact sheet; ``mirrored.png``, a face and its mirrored copy, if the landmarks
    have a mirror permutation; ``input.png``, the histogram of the pixels; and ``input.json``, the range, mean
    and standard deviation of the pixels and the share of points outside the input.

    Args:
        cfg: configuration of ``keypoints data preview``.

    Returns:
        The path of ``samples.png``.

    Raises:
        KeypointsError: if the data or the augmentation cannot be used.
    """
    data = make_data(cfg)
    data.dataset("train")  # an error in the faces is reported before the folder is locked
    folder = Path(cfg.output)
    with locked(folder), atomic_folder(folder, last="input.json", own=[_MIRRORED]) as part:
        numbers, batch = _draw(cfg, data, part)
    _log(numbers, cfg, batch)
    return folder / _SHEET


def _draw(cfg: DictConfig, data: FaceDataModule, folder: Path) -> tuple[dict[str, float], Batch]:
    """Write all files; return the measured numbers, and the samples on which they were measured."""
    dataset = data.dataset("train")
    indices = np.linspace(0, len(dataset) - 1, min(cfg.faces, len(dataset))).round().astype(int).tolist()
    rows = {dataset.faces[index].name: _samples(dataset, index, cfg.draws) for index in indices}
    figures.save(
        face_figures.samples(
            {name: pixels_of(batch) for name, batch in rows.items()},
            {name: batch.targets.numpy() for name, batch in rows.items()},
            data.scheme.skeleton,
            f"{cfg.name}: training faces without augmentation, and {counted(cfg.draws, 'sample')} of each",
            {name: batch.hidden_points for name, batch in rows.items()},
        ),
        folder / _SHEET,
    )
    _draw_mirrored(cfg, dataset, data.scheme, folder)
    places = np.linspace(0, len(dataset) - 1, _MEASURED).round().astype(int).tolist()
    keys = [(draw, index) for draw, index in enumerate(places)]
    batch: Batch = default_collate([dataset[key] for key in track(keys, "measuring", transient=True)])
    numbers = measure(batch)
    figures.save(
        face_figures.histogram(batch.to_images().numpy(), f"{cfg.name}: pixels of {len(keys)} inputs"),
        folder / "input.png",
    )
    write_atomically(folder / "input.json", json.dumps(numbers, indent=2) + "\n")
    return numbers, batch


def _samples(dataset: FaceDataset, index: int, draws: int) -> Batch:
    """Return a face without augmentation, followed by its samples in the first ``draws`` epochs."""
    batch: Batch = default_collate([dataset.plain(index), *(dataset[epoch, index] for epoch in range(draws))])
    return batch


def _draw_mirrored(cfg: DictConfig, dataset: FaceDataset, scheme: LandmarkScheme, folder: Path) -> None:
    """Plot a face beside its mirrored copy, if the landmarks have a mirror permutation."""
    if scheme.flip_indices is None:
        log.info("%s: has no flip_indices, so no mirrored copy is plotted", scheme.name)
        return
    if not bool(dataset.targets.isfinite().any()):
        log.info("%s: no point is labelled, so no mirrored copy is plotted", scheme.name)
        return
    index = _most_typical(dataset.targets)
    flip = Augmentation({"flip": albumentations.HorizontalFlip(p=1)})
    both: Batch = default_collate([dataset.plain(index), dataset.augmented_by(flip)[0, index]])
    face = dataset.faces[index].name
    named = bool(scheme.names) and len(scheme) <= _FEW
    figure = face_figures.mirrored(
        dict(zip((face, f"{face}, mirrored"), _numbered_faces(both), strict=True)),
        scheme.names if named else [str(place) for place in range(len(scheme))],
        f"{cfg.name}: each {'name' if named else 'number'} belongs on the same part and side of both faces",
        f"{scheme.name}: flip_indices {flip_origin(scheme)}",
    )
    figures.save(figure, folder / _MIRRORED)
    log.info("flip_indices %s; see %s", flip_origin(scheme), Path(cfg.output) / _MIRRORED)


def _most_typical(targets: Tensor) -> int:
    """Return the index of the face nearest to the mean, of the faces with the most labelled points.

    Args:
        targets: (N, K, 2) ratios of the input; NaN without a label.
    """
    labelled = targets.isfinite().sum(dim=(1, 2))
    distances = (targets - targets.nanmean(dim=0)).square().nansum(dim=(1, 2))
    return int(distances.where(labelled == labelled.max(), math.inf).argmin())


def _numbered_faces(batch: Batch) -> list[face_figures.NumberedFace]:
    pixels, hidden = pixels_of(batch), batch.hidden_points
    hidden = np.zeros(batch.targets.shape[:2], bool) if hidden is None else hidden
    size = batch.pixels.shape[3], batch.pixels.shape[2]
    points = ratio_to_pixels(batch.targets.numpy(), size)
    return [face_figures.NumberedFace(*each) for each in zip(pixels, points, hidden, strict=True)]


def flip_origin(scheme: LandmarkScheme) -> str:
    """Return how a mirror permutation relates to the names of its points, after the word ``flip_indices``."""
    derived = mirror_permutation(scheme.names)
    if derived is None:
        return "given by the scheme; names do not tell left from right"
    if derived == scheme.flip_indices:
        return "agree with left and right in the names"
    return "differ from left and right in the names; correct them or the names"


def measure(batch: Batch) -> dict[str, float]:
    """Return the range, mean and standard deviation of the pixels, and two shares, each from 0 to 1.

    ``points_outside`` is the share of the labelled points that lie outside the input, ``without_exact_map``
    the share of samples without an affine map back to the photo.
    """
    images, outside = batch.to_images(), ((batch.targets < 0) | (batch.targets > 1)).any(dim=-1)
    labelled = batch.targets.isfinite().all(dim=-1)
    return {
        "samples": len(images),
        "minimum": float(images.min()),
        "maximum": float(images.max()),
        "mean": float(images.mean()),
        "standard_deviation": float(images.std()),
        "points_outside": float(outside.sum() / labelled.sum().clamp(min=1)),
        "without_exact_map": float(batch.to_photo.isnan().any(dim=2).any(dim=1).float().mean()),
    }


def _log(numbers: dict[str, float], cfg: DictConfig, batch: Batch) -> None:
    channels, height, width = batch.pixels.shape[1:]
    log.info(
        "input: %d × %d, %s; pixels from %s to %s, mean %s, standard deviation %s",
        width,
        height,
        "grey" if channels == 1 else "colour",
        *(shown(numbers[name]) for name in ("minimum", "maximum", "mean", "standard_deviation")),
    )
    log.info("points outside the input: %.2f %%", 100 * numbers["points_outside"])
    if numbers["standard_deviation"] < _FLAT or not -0.5 <= numbers["minimum"] < numbers["maximum"] <= 0.5:
        log.warning(
            "pixels should fill much of -0.5…0.5, but these do not; see %s", Path(cfg.output) / "input.png"
        )
    if numbers["without_exact_map"]:
        share = 100 * numbers["without_exact_map"]
        log.info("%.0f %% of the samples were bent: no affine map leads back to the photo", share)
