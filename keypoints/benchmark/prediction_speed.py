"""Prediction speed of a model: cropping of faces and forward passes of the network, for several batch sizes.

After a warm-up, each round measures all batch sizes. Photos are in memory and boxes are given, because
reading files and detecting faces take the same time for all models.
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
"""Batch sizes; those above the model's largest batch are left out."""
_PHOTOS = 4
"""Number of synthetic photos of 640 × 480 pixels, whose faces are predicted in turn."""


@dataclass(frozen=True)
class PredictionSpeed:
    """Prediction speed of a model: contents of ``bench.json``.

    The last three fields have a key for each batch size, and ``cut_out`` for the cropping alone.

    Args:
        name: name of the model.
        model: file of the model.
        scheme: name of the model's landmark scheme.
        input: channels, height and width of the network's input.
        runtime: library that runs the network.
        processor: name of the processor.
        cores: number of cores of the machine.
        faces_per_second: faces per second of elapsed time.
        wall_ms: elapsed time per face, in milliseconds.
        processor_ms: processor time per face, summed over all cores, in milliseconds.
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


class _TimePerFace(NamedTuple):
    """Mean time per face, in seconds."""

    wall: float
    """Elapsed time."""
    processor: float
    """Processor time, summed over all threads."""


def measure_prediction(predictor: Predictor, name: str, rounds: int, seconds: float) -> PredictionSpeed:
    """Return the prediction speed of a model.

    Args:
        predictor: model to measure.
        name: name of the model, for titles.
        rounds: number of rounds; each measures all batch sizes.
        seconds: shortest time to measure each batch size in a round.
    """
    parts = _parts(predictor)
    for work in parts.values():
        work()
    times = [{part: _time_per_face(work, seconds) for part, work in parts.items()} for _ in range(rounds)]
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
    """Return the functions to measure, by name; each returns its number of faces."""
    photos = _photos()

    def cut_out() -> int:
        for pixels, box in photos:
            predictor.prepare(pixels, [box])
        return len(photos)

    def predict(count: int) -> int:
        chosen = [photos[place % len(photos)] for place in range(count)]
        faces = [face for pixels, box in chosen for face in predictor.prepare(pixels, [box])]
        return len(predictor.finish(faces))

    def predicting(count: int) -> Callable[[], int]:
        return lambda: predict(count)

    sizes = [size for size in _BATCHES if size <= predictor.at_once]
    return {"cut_out": cut_out, **{str(size): predicting(size) for size in sizes}}


def _photos() -> list[tuple[ByteArray, Box]]:
    """Return synthetic photos of faces, each with the face's box."""
    random = np.random.default_rng(0)
    photos = []
    for _ in range(_PHOTOS):
        head = Head(Person.draw(random), Pose((320, 225), random.uniform(50, 75), 0.0))
        photos.append((portrait(head, random), detector_box(head.ibug68())))
    return photos


def _time_per_face(work: Callable[[], int], seconds: float) -> _TimePerFace:
    faces, began, used = 0, perf_counter(), process_time()
    while not faces or perf_counter() - began < seconds:
        faces += work()
    return _TimePerFace((perf_counter() - began) / faces, (process_time() - used) / faces)


def _spreads(
    rounds: Sequence[Mapping[str, _TimePerFace]], value: Callable[[_TimePerFace], float]
) -> dict[str, Spread]:
    return {name: Spread.of([value(each[name]) for each in rounds]) for name in rounds[0]}
