"""Speed of ``keypoints predict`` on a folder of photos: each stage alone, and the whole command's work.

Each round measures the whole first, then each stage alone: with the same photos, in as many threads, some
photos at a time, so that they fit in memory. No program that uses each core for each stage could be faster
than the bound: the larger of the slowest stage's time alone, and the processor time of all stages divided by
the number of threads.
"""

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import psutil

from keypoints.benchmark.spread import Spread
from keypoints.errors import DataError
from keypoints.files import part_folder
from keypoints.inference.overlays import OVERLAYS, write_overlay
from keypoints.inference.photo_inputs import PhotoInputs
from keypoints.inference.predict import (
    DonePhoto,
    PhotoStages,
    check_boxes,
    needs_detector,
    photo_threads,
    predicted_photos,
)
from keypoints.inference.prediction_files import PredictedPhoto, PredictionFiles, prediction_files
from keypoints.inference.predictor import Predictor
from keypoints.inference.stages import Each, Stage, Together, overlapped
from keypoints.threads import threads_of_process

WHOLE = "whole"
"""Key of the whole, beside the stages' keys."""

_QUARTER = "after a quarter"
_END = "at the end"


@dataclass(frozen=True)
class FolderSpeed:
    """Speed of the prediction of a folder: contents of ``bench.json``.

    The fields of stages have a key for each stage, and ``whole``.

    Args:
        name: name of the model.
        model: file of the model.
        input: the photos, as the user named them.
        photos: number of photos.
        megapixels: mean size of the photos that can be read, in millions of pixels.
        faces: number of predicted faces.
        runtime: library that runs the network.
        detector: name of the detector; ``None`` if no face has to be detected.
        processor: name of the processor.
        threads: number of threads: one per core that the process may use.
        photos_per_second: photos per second of elapsed time.
        wall_ms: elapsed time per photo, in milliseconds.
        processor_ms: processor time per photo, summed over all cores, in milliseconds.
        ratio: speed of the whole divided by the speed of the slowest stage alone, and by the bound.
        memory_mb: memory of the process during the first whole: after a quarter of the photos, at the end,
            and the highest, in megabytes.
    """

    name: str
    model: str
    input: str
    photos: int
    megapixels: float
    faces: int
    runtime: str
    detector: str | None
    processor: str
    threads: int
    photos_per_second: Mapping[str, Spread]
    wall_ms: Mapping[str, Spread]
    processor_ms: Mapping[str, Spread]
    ratio: Mapping[str, Spread]
    memory_mb: Mapping[str, float]


class _Took(NamedTuple):
    """Time that was used, in seconds."""

    wall: float = 0.0
    """Elapsed time."""
    processor: float = 0.0
    """Processor time, summed over all threads."""


def measure_folder(
    predictor: Predictor,
    inputs: PhotoInputs,
    name: str,
    given: str,
    scratch: Path,
    rounds: Iterator[int],
    threads: int | None = None,
) -> FolderSpeed:
    """Return the speed of the prediction of photos.

    Args:
        predictor: model to measure, with one thread for its network.
        inputs: the photos.
        name: name of the model, for titles.
        given: the photos, as the user named them.
        scratch: path of the temporary folders for the files of the predictions.
        rounds: numbers of the rounds, of which there is at least one.
        threads: number of threads; ``None`` for one per allowed core, or ``OMP_NUM_THREADS``.

    Raises:
        DataError: if no photo can be read.
        KeypointsError: as the prediction.
    """
    check_boxes(predictor, inputs)
    threads = threads_of_process() if threads is None else threads
    measured = _Measurement(predictor, inputs, given, scratch, threads)
    took = [measured.round() for _ in rounds]
    ratios = [_ratios(each, measured.threads) for each in took]
    count = len(inputs.photos)
    return FolderSpeed(
        name=name,
        model=str(predictor.path),
        input=given,
        photos=count,
        megapixels=measured.pixels / 1e6,
        faces=measured.faces,
        runtime=predictor.runtime,
        detector=predictor.detector.name if needs_detector(predictor, inputs) else None,
        processor=platform.processor() or platform.machine(),
        threads=measured.threads,
        photos_per_second=_spreads(took, lambda each: count / each.wall),
        wall_ms=_spreads(took, lambda each: 1000 * each.wall / count),
        processor_ms=_spreads(took, lambda each: 1000 * each.processor / count),
        ratio={key: Spread.of([each[key] for each in ratios]) for key in ratios[0]},
        memory_mb={key: value / 1e6 for key, value in measured.memory.items()},
    )


class _Measurement:
    """Measurement of one model and its photos, in several rounds."""

    def __init__(
        self, predictor: Predictor, inputs: PhotoInputs, given: str, scratch: Path, threads: int
    ) -> None:
        self.threads = threads
        self.faces = 0
        self.pixels = 0.0
        self.memory: dict[str, int] = {}
        self._predictor = predictor
        self._inputs = inputs
        self._given = given
        self._scratch = scratch
        self._stages = PhotoStages(predictor, inputs)
        self._process = psutil.Process()

    def round(self) -> dict[str, _Took]:
        """Return the time of each stage alone, and of the whole, measured once.

        Raises:
            DataError: if no photo can be read.
        """
        with self._files() as (folder, files):
            before = _now()
            self._whole(folder, files)
            whole = _since(before)
        return {**self._alone(), WHOLE: whole}

    @contextmanager
    def _files(self) -> Iterator[tuple[Path, PredictionFiles]]:
        with ExitStack() as stack:
            folder = stack.enter_context(part_folder(self._scratch))
            (folder / OVERLAYS).mkdir()
            yield folder, stack.enter_context(prediction_files(folder, self._predictor.scheme, {}))

    def _draw(self, folder: Path, done: DonePhoto) -> PredictedPhoto:
        write_overlay(folder, done.photo, done.pixels, self._predictor.scheme.skeleton)
        return done.photo

    def _whole(self, folder: Path, files: PredictionFiles) -> None:
        memory: list[int] = []
        sizes, faces = [], 0

        def draw(done: DonePhoto) -> None:
            self._draw(folder, done)

        with predicted_photos(self._predictor, self._inputs, draw, self.threads) as batches:
            for batch in batches:
                for photo in batch:
                    files.add(photo)
                    faces += len(photo.faces)
                    sizes += [] if photo.size is None else [photo.size[0] * photo.size[1]]
                memory.append(self._process.memory_info().rss)
        if not sizes:
            raise DataError(f"{self._given}: holds no photo that can be read; there is nothing to time")
        self.faces, self.pixels = faces, sum(sizes) / len(sizes)
        if not self.memory:
            quarter = memory[(len(memory) - 1) // 4]
            self.memory = {_QUARTER: quarter, _END: memory[-1], "highest": max(memory)}

    def _alone(self) -> dict[str, _Took]:
        """Return the time of each stage alone, some batches at a time."""
        stages = self._stages
        batches = stages.batches()
        at_once = 2 * self.threads
        with self._files() as (folder, files), photo_threads(self.threads) as threads:
            alone: dict[str, Stage] = {
                "decode": Each(stages.decode),
                "detect": Each(stages.locate),
                "network": Together(stages.predict),
                "draw": Each(partial(self._draw, folder)),
            }
            took = dict.fromkeys([*alone, "table"], _Took())
            while some := [list[Any](batch) for batch in islice(batches, at_once)]:
                for key, stage in alone.items():
                    before = _now()
                    some = list(overlapped(some, [stage], threads, at_once))
                    took[key] = _sum(took[key], _since(before))
                before = _now()
                for batch in some:
                    for photo in batch:
                        files.add(photo)
                took["table"] = _sum(took["table"], _since(before))
        return took


def _ratios(took: Mapping[str, _Took], threads: int) -> dict[str, float]:
    """Return the speed of the whole over the slowest stage's, and over the bound."""
    alone = [each for key, each in took.items() if key != WHOLE]
    slowest = max(each.wall for each in alone)
    bound = max(slowest, sum(each.processor for each in alone) / threads)
    return {"to_slowest_stage": slowest / took[WHOLE].wall, "to_bound": bound / took[WHOLE].wall}


def _now() -> _Took:
    return _Took(perf_counter(), process_time())


def _since(before: _Took) -> _Took:
    now = _now()
    return _Took(now.wall - before.wall, now.processor - before.processor)


def _sum(one: _Took, other: _Took) -> _Took:
    return _Took(one.wall + other.wall, one.processor + other.processor)


def _spreads(rounds: Sequence[Mapping[str, _Took]], value: Callable[[_Took], float]) -> dict[str, Spread]:
    return {key: Spread.of([value(each[key]) for each in rounds]) for key in rounds[0]}
