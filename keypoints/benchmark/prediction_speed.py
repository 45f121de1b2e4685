"""How fast a model predicts: faces cut out of photos and sent through the network, in batches of some sizes.

All batch sizes are measured in turn, round by round, after a warm-up of each. Photos are in memory, and boxes
are given: reading a file and finding its faces is the same for all models.
"""

import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig

from keypoints.data.readers.ibug300w import detector_box
from keypoints.files import alone, filled, write_whole
from keypoints.geometry import Box, ByteArray
from keypoints.inference.predictor import Predictor
from keypoints.runs.checkpoint_files import find_checkpoint
from keypoints.synthetic.portrait import Head, Person, Pose, portrait

_BATCHES = (1, 4, 16, 64)
"""Faces that go through the network together, as far as the model allows."""
_PHOTOS = 4
"""Made-up photos of 640 × 480 pixels, whose faces are predicted in turn."""


class Speed(NamedTuple):
    """What a measurement gave."""

    folder: Path
    result: dict[str, Any]
    """The contents of ``bench.json``."""


class _Took(NamedTuple):
    """What some faces took, each, in seconds."""

    wall: float
    processor: float
    """Of all threads together."""


def bench_prediction(cfg: DictConfig, draw: Callable[[Mapping[str, Any], Path], object]) -> Speed:
    """Measure ``cfg.checkpoint``; writes ``bench.json`` and ``bench.png`` into ``cfg.output``.

    Args:
        cfg: the configuration of ``keypoints bench``.
        draw: draws the result into a file.

    Returns:
        The folder, and by the size of the batch: ``faces_per_second``, and ``wall_ms`` and ``processor_ms``
        of a face, each with median, lowest and highest of the rounds; ``cut_out`` is the cutting alone.

    Raises:
        CheckpointError: if the model cannot be used.
        ConfigError: if a value cannot be used.
        DataError: if another command writes to the folder.
    """
    path, run = find_checkpoint(cfg.checkpoint, cfg.which)
    predictor = Predictor(path, flip_test=cfg.flip_test, trust=cfg.trust)
    cfg.name = run.name if run else path.stem  # output= names a folder by it, unless it is given
    folder = Path(cfg.output)
    parts = _parts(predictor)
    with alone(folder), filled(folder, last="bench.json") as part:
        for work in parts.values():
            work()
        rounds = [
            {name: _timed(work, float(cfg.seconds)) for name, work in parts.items()}
            for _ in range(int(cfg.rounds))
        ]
        result = {
            "name": cfg.name,
            "model": str(path),
            **_settings(predictor),
            "faces_per_second": _spreads(rounds, lambda took: 1 / took.wall),
            "wall_ms": _spreads(rounds, lambda took: 1000 * took.wall),
            "processor_ms": _spreads(rounds, lambda took: 1000 * took.processor),
        }
        write_whole(part / "bench.json", json.dumps(result, indent=2) + "\n")
        draw(result, part / "bench.png")
    return Speed(folder, result)


def _parts(predictor: Predictor) -> dict[str, Callable[[], int]]:
    """What is measured, by name; each says how many faces it did."""
    photos = _photos()

    def cut_out() -> int:
        for pixels, box in photos:
            predictor.prepare(pixels, [box])
        return len(photos)

    def predict(count: int) -> int:
        chosen = [photos[place % len(photos)] for place in range(count)]
        faces = [face for pixels, box in chosen for face in predictor.prepare(pixels, [box])]
        return len(predictor.finish(faces))

    def of(count: int) -> Callable[[], int]:
        return lambda: predict(count)

    sizes = [size for size in _BATCHES if size <= predictor.at_once]
    return {"cut_out": cut_out, **{str(size): of(size) for size in sizes}}


def _photos() -> list[tuple[ByteArray, Box]]:
    """Made-up faces, each with its box."""
    random = np.random.default_rng(0)
    photos = []
    for _ in range(_PHOTOS):
        head = Head(Person.draw(random), Pose((320, 225), random.uniform(50, 75), 0.0))
        photos.append((portrait(head, random), detector_box(head.ibug68())))
    return photos


def _timed(work: Callable[[], int], seconds: float) -> _Took:
    faces, began, used = 0, perf_counter(), process_time()
    while not faces or perf_counter() - began < seconds:
        faces += work()
    return _Took((perf_counter() - began) / faces, (process_time() - used) / faces)


def _spreads(
    rounds: Sequence[dict[str, _Took]], value: Callable[[_Took], float]
) -> dict[str, dict[str, float]]:
    spreads = {}
    for name in rounds[0]:
        found = [value(each[name]) for each in rounds]
        spreads[name] = {"median": statistics.median(found), "lowest": min(found), "highest": max(found)}
    return spreads


def _settings(predictor: Predictor) -> dict[str, Any]:
    crop = predictor.crop
    return {
        "scheme": predictor.scheme.name,
        "input": [crop.channels, crop.height, crop.width],
        "runtime": predictor.runtime,
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
