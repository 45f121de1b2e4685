"""Growth of cost: time and memory of a training's start by rows and points, and of a sweep's report by runs.

``python -m keypoints.benchmark.growth <scratch folder> --output growth.csv``. Each case is a command in a
process of its own. The lists name small made-up photos with several faces each; ``--own-photos`` gives each
row a photo of its own. POSIX only.
"""

import argparse
import csv
import io
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from omegaconf import OmegaConf
from PIL import Image

from keypoints.benchmark.processes import Ran, run_command
from keypoints.errors import ConfigError, DataError, KeypointsError
from keypoints.files import write_atomically

ROWS, POINTS, RUNS, WRONG = "rows", "points", "runs", "wrong row"
"""Kinds of cases: trainings by rows and by points, reports by runs, and a list with a wrong row."""

_PHOTOS = 1000
"""Number of different photos, unless a list has fewer rows."""
_PHOTO = (160, 120)
"""Size of a photo, in pixels."""
_BOX = 32.0
"""Side of a face's box, in pixels."""
_USUAL_ROWS, _USUAL_POINTS = 1000, 68
"""Rows of the lists with several numbers of points, and points of the lists with several numbers of rows."""
_SEEDS = 5
"""Most seeds of a setting of a sweep."""
_WRONG = "12.3.4"
"""Cell of a wrong row."""
_TRAINED = ("experiment=null", "data=labelled", "data.memory_mb=200", "trainer=cpu", "name=growth")
_ONE_STEP = ("trainer.max_epochs=1", "+trainer.limit_train_batches=1", "+trainer.limit_val_batches=1")


class Cost(NamedTuple):
    """Cost of a case: a row of ``growth.csv``."""

    kind: str
    """:data:`ROWS`, :data:`POINTS`, :data:`RUNS` or :data:`WRONG`."""
    size: int
    """Number of rows, points or runs; of a wrong row its number."""
    first_s: float
    """Seconds from the start of the process to the end of the first training step; NaN without one."""
    first_processor_s: float
    """Processor time until then, in seconds over all threads; NaN without a step."""
    first_mb: float
    """Highest resident memory until then, in megabytes; NaN without a step."""
    seconds: float
    """Seconds of the command."""
    processor_s: float
    """Processor time of the command."""
    memory_mb: float
    """Highest resident memory of the command."""
    written_mb: float
    """Size of the checkpoint, or of the sweep's page; 0 without one."""
    said: str = ""
    """Error message of a wrong row."""


def run(words: Sequence[str], log: Path) -> Ran:
    """Run a verb of the command line in a process of its own.

    Args:
        words: words after ``keypoints``.
        log: file for its output.
    """
    return run_command([sys.executable, "-m", "keypoints", *words], log)


Run = Callable[[Sequence[str], Path], Ran]
"""Function that runs a command, such as :func:`run`."""


def write_photos(folder: Path, count: int) -> list[str]:
    """Write different small photos.

    Args:
        folder: new folder for them.
        count: number of photos.

    Returns:
        Their names.
    """
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    names = [f"{number:06}.jpg" for number in range(count)]
    for name in names:
        coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        coarse.resize(_PHOTO, Image.Resampling.BICUBIC).save(folder / name)
    return names


def write_list(
    path: Path, rows: int, points: int, *, photos: int = _PHOTOS, own_photos: bool = False, wrong: int = 0
) -> None:
    """Write a list of made-up faces in our CSV, and its photos into a folder beside it.

    Args:
        path: the list.
        rows: number of rows.
        points: number of points of each face.
        photos: number of different photos; the faces of a photo are consecutive rows.
        own_photos: give each row a photo of its own: a link to one of these photos.
        wrong: number of a row with a cell that is no number, from 1 up; 0 for none.
    """
    random = np.random.default_rng(0)
    folder = path.with_suffix("")
    names = write_photos(folder, min(photos, rows))
    if own_photos:
        for number in range(len(names), rows):
            names.append(f"{number:06}.jpg")
            os.link(folder / names[number % photos], folder / names[-1])
    shape = random.uniform(0.1 * _BOX, 0.9 * _BOX, (points, 2))
    columns = [f"{axis}{point}" for point in range(points) for axis in "xy"]
    with path.open("w", encoding="utf-8", newline="") as file:
        write = csv.writer(file, lineterminator="\n").writerow
        write(["image", "left", "top", "width", "height", *columns])
        for number in range(rows):
            corner = random.uniform(0, np.subtract(_PHOTO, _BOX)).round(2)
            cells = [f"{value:.2f}" for value in (shape + corner + random.normal(0, 1, shape.shape)).ravel()]
            if number + 1 == wrong:
                cells[-1] = _WRONG
            name = names[number * len(names) // rows]
            write([f"{folder.name}/{name}", *map(str, corner.tolist()), _BOX, _BOX, *cells])


def start(kind: str, size: int, path: Path, run: Run = run) -> Cost:
    """Return the cost of a training with one step, of a list that :func:`write_list` wrote.

    Args:
        kind: kind of the case.
        size: size of the case.
        path: the list; the run's folder lies beside it.
        run: function that runs the command.

    Raises:
        ConfigError: if the command fails, unless the list has a wrong row.
    """
    folder, noted = path.with_name(f"{path.stem}-run"), path.with_name(f"{path.stem}-first.json")
    callback = f"+callbacks.first_step={{_target_: keypoints.callbacks.first_step.FirstStep, path: {noted}}}"
    words = ["train", *_TRAINED, *_ONE_STEP, callback, f"data.train={path}", f"output={folder}"]
    took = run(words, path.with_suffix(".log"))
    if kind == WRONG:
        if took.status == 0:
            raise ConfigError(f"{path}: its wrong row was read")
        return _without_step(kind, size, took, 0.0)._replace(said=took.last_line)
    _check(took, words)
    first = json.loads(noted.read_text(encoding="utf-8"))
    written = (folder / "checkpoints" / "best.ckpt").stat().st_size / 1e6
    return _without_step(kind, size, took, written)._replace(
        first_s=first["seconds"], first_processor_s=first["processor_s"], first_mb=first["memory_mb"]
    )


def _without_step(kind: str, size: int, took: Ran, written: float) -> Cost:
    """Return the cost of a command that reached no training step."""
    none = math.nan
    return Cost(kind, size, none, none, none, took.seconds, took.processor_s, took.memory_mb, written)


def _check(took: Ran, words: Sequence[str]) -> None:
    if took.status:
        raise ConfigError(f"{' '.join(words)}: exit status {took.status}: {took.last_line}")


def write_sweep(folder: Path, finished: Path, runs: int) -> None:
    """Write a sweep of copies of a finished run, with several learning rates and seeds.

    Args:
        folder: new folder of the sweep.
        finished: folder of the run.
        runs: number of runs.
    """
    seeds = min(_SEEDS, max(runs // 5, 1))
    for number in range(runs):
        setting, seed = divmod(number, seeds)
        varied = {"optimizer.lr": round(0.001 * (setting + 1), 6), "seed": seed}
        overrides = [f"{key}={value}" for key, value in varied.items()]
        run = folder / f"lr-{varied['optimizer.lr']}--seed-{seed}"
        shutil.copytree(finished, run, ignore=shutil.ignore_patterns("*.ckpt", "events.*"))
        configuration = OmegaConf.load(run / "config.yaml")
        for key, value in {**varied, "output": str(run)}.items():
            OmegaConf.update(configuration, key, value)
        write_atomically(run / "config.yaml", OmegaConf.to_yaml(configuration))
        status = json.loads((run / "status.json").read_text(encoding="utf-8"))
        status |= {"job": number, "overrides": [*status["overrides"], *overrides]}
        write_atomically(run / "status.json", json.dumps(status))


def report(folder: Path, runs: int, run: Run = run) -> Cost:
    """Return the cost of the report of a sweep.

    Args:
        folder: folder of the sweep.
        runs: its number of runs.
        run: function that runs the command.

    Raises:
        ConfigError: if the command fails.
    """
    words = ["report", str(folder)]
    took = run(words, folder.with_suffix(".log"))
    _check(took, words)
    written = (folder / "report.html").stat().st_size / 1e6
    return _without_step(RUNS, runs, took, written)


def measure(
    scratch: Path,
    rows: Sequence[int] = (),
    points: Sequence[int] = (),
    runs: Sequence[int] = (),
    wrong: Sequence[int] = (),
    *,
    own_photos: bool = False,
    run: Run = run,
) -> list[Cost]:
    """Return the costs of all cases.

    Args:
        scratch: folder for lists and runs; it is created.
        rows: numbers of rows.
        points: numbers of points.
        runs: numbers of runs of the sweeps.
        wrong: numbers of the wrong rows; their lists have one row more.
        own_photos: give each row a photo of its own.
        run: function that runs a command.

    Raises:
        ConfigError: if a command fails.
        DataError: if the scratch folder holds files.
    """
    if scratch.is_dir() and any(scratch.iterdir()):
        raise DataError(f"{scratch}: holds files already; name a new folder")
    scratch.mkdir(parents=True, exist_ok=True)
    costs: list[Cost] = []

    def add(cost: Cost) -> None:
        costs.append(cost)
        print(cost, flush=True)

    for count in rows:
        path = scratch / f"rows-{count}.csv"
        write_list(path, count, _USUAL_POINTS, own_photos=own_photos)
        add(start(ROWS, count, path, run))
    for place in wrong:
        path = scratch / f"wrong-{place}.csv"
        write_list(path, place + 1, _USUAL_POINTS, own_photos=own_photos, wrong=place)
        add(start(WRONG, place, path, run))
    for count in points:
        path = scratch / f"points-{count}.csv"
        write_list(path, _USUAL_ROWS, count)
        add(start(POINTS, count, path, run))
    if runs:
        finished = _finished_run(scratch, run)
        for count in runs:
            folder = scratch / "sweeps" / f"runs-{count}"
            write_sweep(folder, finished, count)
            add(report(folder, count, run))
    return costs


def _finished_run(scratch: Path, run: Run) -> Path:
    """Train a run whose copies make a sweep; return its folder."""
    path, folder = scratch / "finished.csv", scratch / "finished-run"
    write_list(path, _USUAL_ROWS, _USUAL_POINTS)
    words = ["train", *_TRAINED, "trainer.max_epochs=5", f"data.train={path}", f"output={folder}"]
    _check(run(words, path.with_suffix(".log")), words)
    return folder


def write_costs(path: Path, costs: Sequence[Cost]) -> None:
    """Write costs as a table.

    Args:
        path: the file, ``.csv``.
        costs: the costs.
    """
    text = io.StringIO(newline="")
    rows = [[f"{value:.3f}" if isinstance(value, float) else value for value in cost] for cost in costs]
    csv.writer(text, lineterminator="\n").writerows([Cost._fields, *rows])
    write_atomically(path, text.getvalue())


def read_costs(path: Path) -> list[Cost]:
    """Return the costs in a file of :func:`write_costs`.

    Args:
        path: the file.
    """
    numbers = Cost._fields[2:-1]
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Cost._make([row["kind"], int(row["size"]), *(float(row[name]) for name in numbers), row["said"]])
            for row in csv.DictReader(file)
        ]


def main(words: Sequence[str] | None = None) -> int:
    """Measure all cases and write the table; return the exit status.

    Args:
        words: words of the command line; ``None`` for those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m keypoints.benchmark.growth", description=__doc__)
    parser.add_argument("scratch", type=Path, help="new folder for lists and runs")
    parser.add_argument("--output", type=Path, default=Path("growth.csv"), help="table to write")
    parser.add_argument("--rows", type=int, nargs="*", default=(1000, 10_000, 100_000))
    parser.add_argument("--points", type=int, nargs="*", default=(1, 68, 500))
    parser.add_argument("--runs", type=int, nargs="*", default=(10, 200), help="numbers of runs of sweeps")
    parser.add_argument("--wrong", type=int, nargs="*", default=(99_999,), help="numbers of wrong rows")
    parser.add_argument("--own-photos", action="store_true", help="give each row a photo of its own")
    given = parser.parse_args(words)
    try:
        costs = measure(
            given.scratch.resolve(),
            given.rows,
            given.points,
            given.runs,
            given.wrong,
            own_photos=given.own_photos,
        )
        write_costs(given.output, costs)
    except (KeypointsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
