"""What the network really gets: training faces as they are and as they are drawn, and their numbers."""

import json
import logging
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich.progress import track
from torch.utils.data import default_collate

from keypoints.data.dataset import Batch, FaceDataset, pixels_of
from keypoints.datamodules.base import FaceDataModule
from keypoints.files import alone, filled, write_whole
from keypoints.formatting import shown
from keypoints.instantiate import make_data
from keypoints.reports import figures

log = logging.getLogger(__name__)

_SHEET = "samples.png"
_MEASURED = 512
"""Of a large data set, that many samples are measured."""
_FLAT = 0.02
"""Pixels that spread less than this show hardly anything: a picture divided by 255 twice, say."""


def preview(cfg: DictConfig) -> Path:
    """Draw and measure the training samples of ``cfg``; gives the picture.

    Writes ``samples.png``, the contact sheet, ``input.png``, the histogram of the pixels, and
    ``input.json``, their range, mean and spread, and where the points lie.

    Raises:
        KeypointsError: if the data or the augmentation cannot be used.
    """
    data = make_data(cfg)
    data.setup("fit")
    folder = Path(cfg.output)
    with alone(folder), filled(folder, last="input.json") as part:
        numbers, batch = _draw(cfg, data, part)
    _tell(numbers, cfg, batch)
    return folder / _SHEET


def _draw(cfg: DictConfig, data: FaceDataModule, folder: Path) -> tuple[dict[str, float], Batch]:
    """Write all files; return what was measured, and on which samples."""
    dataset = data.dataset("train")
    indices = np.linspace(0, len(dataset) - 1, min(cfg.faces, len(dataset))).round().astype(int).tolist()
    rows = {dataset.faces[index].name: _draws(dataset, index, cfg.draws) for index in indices}
    figures.save(
        figures.samples(
            {name: pixels_of(batch) for name, batch in rows.items()},
            {name: batch.targets.numpy() for name, batch in rows.items()},
            data.scheme.skeleton,
            f"{cfg.name}: training faces as they are, and {cfg.draws} draws of each",
        ),
        folder / _SHEET,
    )
    places = np.linspace(0, len(dataset) - 1, _MEASURED).round().astype(int).tolist()
    keys = [(draw, index) for draw, index in enumerate(places)]
    batch: Batch = default_collate([dataset[key] for key in track(keys, "measuring", transient=True)])
    numbers = measure(batch)
    figures.save(
        figures.histogram(batch.to_images().numpy(), f"{cfg.name}: what {len(keys)} inputs are made of"),
        folder / "input.png",
    )
    write_whole(folder / "input.json", json.dumps(numbers, indent=2) + "\n")
    return numbers, batch


def _draws(dataset: FaceDataset, index: int, draws: int) -> Batch:
    """A face as it is, then as it is drawn in the first epochs."""
    batch: Batch = default_collate([dataset.plain(index), *(dataset[epoch, index] for epoch in range(draws))])
    return batch


def measure(batch: Batch) -> dict[str, float]:
    """Range, mean and spread of the pixels; how many points lie outside; how many maps are not exact."""
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


def _tell(numbers: dict[str, float], cfg: DictConfig, batch: Batch) -> None:
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
            "pixels should fill much of -0.5…0.5; these do not: look at %s", Path(cfg.output) / "input.png"
        )
    if numbers["without_exact_map"]:
        share = 100 * numbers["without_exact_map"]
        log.info("%.0f %% of the samples were bent: no affine leads back to the photo", share)
