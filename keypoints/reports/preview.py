"""Preview of the network's input: training faces with and without augmentation, and their statistics."""

import json
import logging
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich.progress import track
from torch.utils.data import default_collate

from keypoints.data.dataset import Batch, FaceDataset, pixels_of
from keypoints.datamodules.base import FaceDataModule
from keypoints.files import atomic_folder, locked, write_atomically
from keypoints.formatting import shown
from keypoints.instantiate import make_data
from keypoints.reports import face_figures, figures

log = logging.getLogger(__name__)

_SHEET = "samples.png"
_MEASURED = 512
"""Number of samples that are measured."""
_FLAT = 0.02
"""Standard deviation below which pixels are nearly constant, for example after two divisions by 255."""


def preview(cfg: DictConfig) -> Path:
    """Plot and measure the training samples of a configuration.

    Writes ``samples.png``, a contact sheet; ``input.png``, the histogram of the pixels; and ``input.json``,
    the range, mean and standard deviation of the pixels and the share of points outside the input.

    Args:
        cfg: configuration of ``keypoints data preview``.

    Returns:
        The path of ``samples.png``.

    Raises:
        KeypointsError: if the data or the augmentation cannot be used.
    """
    data = make_data(cfg)
    data.setup("fit")
    folder = Path(cfg.output)
    with locked(folder), atomic_folder(folder, last="input.json") as part:
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
            f"{cfg.name}: training faces without augmentation, and {cfg.draws} samples of each",
            {name: batch.hidden_points for name, batch in rows.items()},
        ),
        folder / _SHEET,
    )
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


def measure(batch: Batch) -> dict[str, float]:
    """Return the range, mean and standard deviation of the pixels, and two shares, each from 0 to 1.

    ``points_outside`` is the share of points outside the input, ``without_exact_map`` the share of samples
    without an affine map back to the photo.
    """
    images, outside = batch.to_images(), ((batch.targets < 0) | (batch.targets > 1)).any(dim=-1)
    return {
        "samples": len(images),
        "minimum": float(images.min()),
        "maximum": float(images.max()),
        "mean": float(images.mean()),
        "standard_deviation": float(images.std()),
        "points_outside": float(outside.float().mean()),
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
