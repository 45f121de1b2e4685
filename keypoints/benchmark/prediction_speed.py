"""How fast a model predicts: faces cut out of photos and sent through the network, in batches of some sizes.

All batch sizes are measured in turn, round by round, after a warm-up of each. Photos are in memory, and boxes
are given: reading a file and finding its faces is the same for all models.
"""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import NamedTuple

import numpy as np

from keypoints.benchmark.spread import Spread
from keypoints.data.readers.ibug300w import detector_box
from keypoints.geometry import Box, ByteArray
from keypoints.inference.predictor import Predictor
from keypoints.synthetic.portrait import Head, Person, Pose, portrait

_BATCHES = (1, 4, 16, 64)
"""Faces that go through the network together, as far as the model allows."""
_PHOTOS = 4
"""Made-up photos of 640 × 480 pixels, whose faces are predicted in turn."""


@dataclass(frozen=True)
class PredictionSpeed:
    """Speed of a model's prediction: contents of ``bench.json``.

    The three last are by the size of the batch; ``cut_out`` is the cutting alone.

    Args:
        name: of the model.
        model: its file.
        scheme: name of its landmark scheme.
        input: channels, height and width of the network's input.
        runtime: library that runs the network.
        processor: its name.
        cores: of the machine.
        faces_per_second: by the clock.
        wall_ms: milliseconds a face, by the clock.
        processor_ms: milliseconds a face, of all cores together.
    """

    name: str
    model: str
    scheme: str
    input: Sequence[int]
    runtime: str
    processor: str
    cores: int | None
    faces_per_second: Mapping[str, Spread]
    wall_ms: Mapping[str, Spread]
    processor_ms: Mapping[str, Spread]


class _Took(NamedTuple):
    """What some faces took, each, in seconds."""

    wall: float
    processor: float
    """Of all threads together."""


def measure_prediction(predictor: Predictor, name: str, rounds: int, seconds: float) -> PredictionSpeed:
    """Return how fast a model predicts.

    Args:
        predictor: the model.
        name: of the model, for titles.
        rounds: number of rounds; each measures all batch sizes.
        seconds: least time that each batch size is measured in a round.
    """
    parts = _parts(predictor)
    for work in parts.values():
        work()
    times = [{part: _timed(work, seconds) for part, work in parts.items()} for _ in range(rounds)]
    crop = predictor.crop
    return PredictionSpeed(
        name=name,
        model=str(predictor.path),
        scheme=predictor.scheme.name,
        input=[crop.channels, crop.height, crop.width],
        runtime=predictor.runtime,
        processor=platform.processor() or platform.machine(),
        cores=os.cpu_count(),
        faces_per_second=_spreads(times, lambda took: 1 / took.wall),
        wall_ms=_spreads(times, lambda took: 1000 * took.wall),
        processor_ms=_spreads(times, lambda took: 1000 * took.processor),
    )


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


def _spreads(rounds: Sequence[Mapping[str, _Took]], value: Callable[[_Took], float]) -> dict[str, Spread]:
    return {name: Spread.of([value(each[name]) for each in rounds]) for name in rounds[0]}
