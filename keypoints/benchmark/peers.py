"""Our speed beside peers: a bare loop and a Lightning template in training, dlib and mediapipe in prediction.

``python -m keypoints.benchmark.peers train|predict``. After a warm-up, each round measures all ways in turn,
beginning with another one; results are medians over the rounds, in elapsed time and in processor time. Each
way runs in a process of its own, and only one of them works at a time. Both tasks write into one file.
"""

import argparse
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

import numpy as np

from keypoints.benchmark import peer_prediction, peer_training
from keypoints.benchmark.detection import Picture, portraits, upright
from keypoints.benchmark.peer_prediction import LIBRARIES, PHOTO, SMALL
from keypoints.benchmark.peer_training import WAYS
from keypoints.benchmark.spread import Spread
from keypoints.config.quoting import quoted
from keypoints.data.dataset_folders import IBUG_FOLDER
from keypoints.data.readers.ibug300w import read_annotated, split_official
from keypoints.errors import DataError, KeypointsError
from keypoints.files import write_atomically
from keypoints.threads import THREADS, allowed_cores

log = logging.getLogger(__name__)

OURS = "keypoints"
"""Name of our own way."""

EXPERIMENTS = ("nose_tip", "full_face")
"""Trainings that are measured."""

EPOCH, STEPS, START_UP = "epoch", "steps of an epoch", "start-up"
"""Parts of a training: an epoch with its validation; its steps alone; from the process's start to them."""

_OTHER_EPOCHS = 2
"""Epochs that are not timed: the first, which is a warm-up, and the last, which has the training's end."""


class Times(NamedTuple):
    """Elapsed time and processor time, in seconds for a training and in milliseconds for a face."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Row:
    """Result of one way: a row of ``peers.json``.

    Args:
        work: an experiment of a training, or ``face`` for a prediction.
        part: ``epoch``, ``steps of an epoch`` or ``start-up``; of a prediction, what is given: see
            :mod:`keypoints.benchmark.peer_prediction`.
        threads: number of threads; of a prediction, number of cores too.
        way: name of the way.
        unit: ``s`` or ``ms``.
        wall: elapsed time over the rounds.
        processor: processor time over the rounds, summed over all threads.
        ours_over_wall: our elapsed time divided by this one, in the same round; ``None`` if we have none.
        ours_over_processor: our processor time divided by this one.
        faces: faces in which the way found points; ``None`` for a training.
    """

    work: str
    part: str
    threads: int
    way: str
    unit: str
    wall: Spread
    processor: Spread
    ours_over_wall: Spread | None
    ours_over_processor: Spread | None
    faces: int | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return a row of ``peers.json``.

        Args:
            values: fields of the row, by name.
        """
        spreads: dict[str, Any] = {
            name: Spread(**value) if isinstance(value, Mapping) else value for name, value in values.items()
        }
        return cls(**spreads)


Measure = Callable[[], Mapping[str, Times]]
"""Function that measures a way once: its times by part."""


def alternated(ways: Mapping[str, Measure], rounds: int) -> list[dict[str, Mapping[str, Times]]]:
    """Measure ways in turn; return the times of each round, by way.

    Args:
        ways: the ways, by name.
        rounds: number of rounds; each begins with another way.
    """
    names, results = list(ways), []
    for number in range(rounds):
        start = number % len(names)
        measured = {name: ways[name]() for name in (*names[start:], *names[:start])}
        results.append({name: measured[name] for name in names})
        log.info("round %d of %d", number + 1, rounds)
    return results


def summarised(
    rounds: Sequence[Mapping[str, Mapping[str, Times]]],
    work: str,
    threads: int,
    unit: str,
    faces: Mapping[str, Mapping[str, int]] | None = None,
    counterparts: Mapping[str, str] | None = None,
) -> list[Row]:
    """Return a row for each way and part.

    Args:
        rounds: result of :func:`alternated`, with our own way.
        work: name of the work.
        threads: number of threads.
        unit: unit of the times.
        faces: number of faces with points, by way and part.
        counterparts: names of our parts with which parts of other names are compared.
    """
    rows = []
    for way, parts in rounds[0].items():
        for part in parts:
            own = (counterparts or {}).get(part, part)
            its = [each[way][part] for each in rounds]
            ours = [each[OURS][own] for each in rounds if own in each[OURS]]
            over = [
                Times(mine.wall / other.wall, mine.processor / other.processor)
                for mine, other in zip(ours, its, strict=False)
                if min(other) > 0
            ]
            wall, processor = _spreads(its)
            wall_ratio, processor_ratio = _spreads(over) if over else (None, None)
            found = None if faces is None else faces[way][part]
            rows.append(
                Row(work, part, threads, way, unit, wall, processor, wall_ratio, processor_ratio, found)
            )
    return rows


def _spreads(times: Sequence[Times]) -> tuple[Spread, Spread]:
    return Spread.of([each.wall for each in times]), Spread.of([each.processor for each in times])


Start = Callable[[Sequence[str], int], None]
"""Function that runs Python with words of a command line and a number of threads, until it ends."""


def start_python(words: Sequence[str], threads: int) -> None:
    """Run this interpreter in a process of its own.

    Args:
        words: its words.
        threads: number of threads of the libraries.

    Raises:
        DataError: if it fails; the message has the end of what it printed.
    """
    done = subprocess.run(
        [sys.executable, *words], env=_environment(threads), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DataError(f"{' '.join(words[:3])} failed: {' '.join(done.stderr.split()[-40:])}")


def _environment(threads: int) -> dict[str, str]:
    return {**os.environ, THREADS: str(threads)}


def measure_training(
    experiment: str,
    threads: int,
    epochs: int,
    rounds: int,
    overrides: Sequence[str] = (),
    start: Start = start_python,
) -> list[Row]:
    """Return the times of an experiment's training, in our way and in the peers' ways.

    Args:
        experiment: name of the experiment.
        threads: number of threads.
        epochs: epochs to time in each round.
        rounds: number of rounds.
        overrides: further overrides of the experiment.
        start: function that runs Python.

    Raises:
        DataError: if a training fails.
    """
    number = epochs + _OTHER_EPOCHS
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        runs, file = (folder / f"run-{run}" for run in count()), folder / "times.json"

        def ours(length: int) -> Mapping[str, Times]:
            given = [f"experiment={experiment}", "trainer=cpu", *overrides, f"trainer.max_epochs={length}"]
            clock = "+callbacks.epoch_clock"
            named = [
                f"{clock}._target_={peer_training.__name__}.{peer_training.EpochClock.__name__}",
                f"{clock}.file={quoted(str(file))}",
            ]
            where = [f"threads={threads}", f"output={next(runs)}"]
            start(["-m", "keypoints", "train", *given, *where, *named], threads)
            return _times(file)

        def peer(way: str) -> Measure:
            words = [
                "-m",
                peer_training.__name__,
                way,
                str(folder / "run-0"),
                str(number),
                str(threads),
                str(file),
            ]

            def measure() -> Mapping[str, Times]:
                start(words, threads)
                return _times(file)

            return measure

        ours(_OTHER_EPOCHS + 1)  # a warm-up, whose configuration the peers read
        ways = {OURS: lambda: ours(number), **{way: peer(way) for way in WAYS}}
        measured = alternated(ways, rounds)
    return summarised(measured, experiment, threads, "s", counterparts={STEPS: EPOCH})


def _times(file: Path) -> dict[str, Times]:
    """Return the times in a file of :class:`~keypoints.benchmark.peer_training.Clock`, and remove it."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()
    found = {START_UP: Times(*kept["start_up"]), EPOCH: _mean(kept["epochs"])}
    return {**found, STEPS: _mean(kept["steps"])} if "steps" in kept else found


def _mean(epochs: Sequence[Sequence[float]]) -> Times:
    """Return the mean time of the epochs, without the first and the last."""
    return Times(*(statistics.mean(times) for times in zip(*epochs[1:-1], strict=True)))


class Library:
    """Library that predicts in a process of its own, see :mod:`keypoints.benchmark.peer_prediction`.

    Args:
        name: name of the library.
        command: command of its process.
        threads: number of threads.

    Attributes:
        name: name of the library.
        ways: names of its ways; empty if it is not installed.
        faces: number of faces in which each way found points, in its last round.
    """

    def __init__(self, name: str, command: Sequence[str], threads: int) -> None:
        self.name = name
        self.faces: dict[str, int] = {}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(threads),
            text=True,
        )
        answer = self._answer()
        self.ways: list[str] = answer.get("ways", [])
        if not self.ways:
            log.warning("%s is not measured: %s", name, answer.get("missing", "its process has failed"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its input, upon which it ends

    def measure(self) -> dict[str, Times]:
        """Return the medians over the faces in which points were found, in milliseconds, by way.

        Raises:
            DataError: if the process has failed, or points were found in no face.
        """
        return {way: self._measure(way) for way in self.ways}

    def _measure(self, way: str) -> Times:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{way}\n")
        self._process.stdin.flush()
        times = self._answer()
        if not times.get("wall"):
            raise DataError(f"{self.name}: no face has points ({way})")
        self.faces[way] = len(times["wall"])
        return Times(*(statistics.median(times[kind]) for kind in Times._fields))

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {}


FACE = "face"
"""Work of a prediction, whose parts are the ways of a library."""


def commands(model: Path, folder: Path, threads: int, peers: Path | None) -> dict[str, list[str]]:
    """Return the command of each library's process.

    Args:
        model: our ONNX file.
        folder: folder of the photos.
        threads: number of threads.
        peers: interpreter of the peers' environment; ``None`` for our own alone.
    """
    words = [str(folder), str(threads)]
    own = [sys.executable, "-m", peer_prediction.__name__, OURS, *words, str(model)]
    # -I keeps our own folders out of the peers' imports.
    its = [] if peers is None else [str(peers), "-I", str(peer_prediction.__file__)]
    return {OURS: own, **{name: [*its, name, *words] for name in LIBRARIES if its and name != OURS}}


def measure_prediction(
    pictures: Iterable[Picture], model: Path, threads: int, rounds: int, peers: Path | None
) -> list[Row]:
    """Return the times of predicting faces, in our way and in the peers' ways.

    Args:
        pictures: photos, with the box of a face each.
        model: our ONNX file.
        threads: number of threads.
        rounds: number of rounds.
        peers: interpreter of the peers' environment; ``None`` for our own alone.

    Raises:
        DataError: if a library fails.
    """
    with TemporaryDirectory() as scratch, ExitStack() as opened:
        folder = Path(scratch)
        write_photos(folder, pictures)
        libraries = [
            opened.enter_context(Library(name, command, threads))
            for name, command in commands(model, folder, threads, peers).items()
        ]
        if not libraries[0].ways:
            raise DataError(f"{model}: cannot be measured; see `keypoints predict`")
        measured = alternated({each.name: each.measure for each in libraries if each.ways}, rounds)
        faces = {each.name: each.faces for each in libraries}
    return summarised(measured, FACE, threads, "ms", faces, {SMALL: PHOTO})


def write_photos(folder: Path, pictures: Iterable[Picture]) -> None:
    """Write photos for the libraries' processes.

    Args:
        folder: folder for the photos.
        pictures: photos, with the box of a face each.
    """
    boxes = []
    for number, picture in enumerate(pictures):
        np.save(folder / f"{number:03}.npy", np.ascontiguousarray(picture.pixels))
        box = picture.boxes[0]
        boxes.append((box.left, box.top, box.width, box.height))
    write_atomically(folder / "boxes.json", json.dumps(boxes) + "\n")


def some_pictures(data: Path | None, number: int) -> Iterable[Picture]:
    """Return photos of 300-W's common set, evenly selected, or made-up portraits.

    Args:
        data: folder of the data sets; ``None`` for portraits.
        number: number of photos.

    Raises:
        DataError: if the faces cannot be read.
    """
    if data is None or not (data / IBUG_FOLDER).is_dir():
        log.info("made-up portraits, because 300-W is not in %s", data or "KEYPOINTS_DATA")
        return portraits(number)
    faces = split_official(read_annotated(data / IBUG_FOLDER).faces).common
    places = np.linspace(0, len(faces) - 1, min(number, len(faces))).round().astype(int)
    return upright([faces[place] for place in places])


def write_rows(path: Path, task: str, rows: Sequence[Row]) -> None:
    """Write the rows of a task; the file keeps the rows of the other task.

    Args:
        path: the file, ``peers.json``.
        task: ``train`` or ``predict``.
        rows: its rows.
    """
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    kept[task] = {
        "processor": platform.processor() or platform.machine(),
        "cores": allowed_cores(),
        "rows": [asdict(row) for row in rows],
    }
    write_atomically(path, json.dumps(kept, indent=1) + "\n")


def read_rows(path: Path) -> dict[str, list[Row]]:
    """Return the rows of each task in a file of :func:`write_rows`.

    Args:
        path: the file.
    """
    kept = json.loads(path.read_text(encoding="utf-8"))
    return {task: [Row.from_dict(row) for row in part["rows"]] for task, part in kept.items()}


def main(words: Sequence[str] | None = None) -> int:
    """Measure training or prediction beside peers; return the exit status.

    Args:
        words: words of the command line; ``None`` for those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m keypoints.benchmark.peers", description=__doc__)
    parser.add_argument("task", choices=("train", "predict"))
    parser.add_argument("--output", type=Path, default=Path("peers.json"), help="file for the results")
    parser.add_argument("--rounds", type=int, default=7, help="number of rounds")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads")
    parser.add_argument("--epochs", type=int, default=10, help="train: epochs to time in a round")
    parser.add_argument("--experiments", nargs="+", default=EXPERIMENTS, help="train: the experiments")
    parser.add_argument("--model", type=Path, default=Path("results/ibug300w_best/model.onnx"))
    parser.add_argument("--photos", type=int, default=200, help="predict: number of photos")
    parser.add_argument("--peers", type=Path, help="predict: Python of the peers' environment")
    given = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if min(given.rounds, given.epochs, given.photos, *given.threads) < 1:
        parser.error("numbers are from 1 up")
    try:
        write_rows(given.output, given.task, [row for each in given.threads for row in _rows(given, each)])
    except KeypointsError as error:
        log.error("error: %s", error)  # noqa: TRY400
        return 1
    return 0


def _rows(given: argparse.Namespace, threads: int) -> list[Row]:
    if given.task == "train":
        return [
            row
            for experiment in given.experiments
            for row in measure_training(experiment, threads, given.epochs, given.rounds)
        ]
    data = os.environ.get("KEYPOINTS_DATA")
    pictures = some_pictures(Path(data) if data else None, given.photos)
    return measure_prediction(pictures, given.model, threads, given.rounds, given.peers)


if __name__ == "__main__":
    raise SystemExit(main())
