"""Time of commands on idle cores and beside busy processes, with our threads and with actively waiting ones.

``python -m keypoints.benchmark.busy <table> --input <photos>``. Each round runs every command in every state
once, in alternating order, so that a change of the machine's speed meets all states alike. A busy process is
an endless loop of Python. Processor time is that of the command with all its processes.
"""

import argparse
import csv
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

from keypoints.errors import ConfigError, KeypointsError
from keypoints.files import write_atomically
from keypoints.threads import THREADS, allowed_cores

TRAININGS = {
    "nose_tip": ("experiment=nose_tip", "trainer.max_epochs=6"),
    "full_face": ("experiment=full_face", "trainer.max_epochs=2"),
    "ibug300w": ("experiment=ibug300w", "trainer.max_epochs=1", "trainer.limit_train_batches=4"),
}
"""Measured trainings by name: their overrides."""

PREDICT = "predict"
"""Name of the measured prediction."""

OURS, ACTIVE = "ours", "active"
"""Names of the ways in which threads are chosen: ours, and as many as cores that wait actively."""


class Took(NamedTuple):
    """Time of a command."""

    command: str
    threads: str
    """:data:`OURS` or :data:`ACTIVE`."""
    busy: int
    """Number of busy processes beside it."""
    wall_s: float
    processor_s: float


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep processes busy during the block.

    Args:
        count: number of processes.
    """
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def commands(scratch: Path, names: Sequence[str], model: Path, photos: str | None) -> dict[str, list[str]]:
    """Return the measured commands by name; each call needs another scratch folder.

    Args:
        scratch: folder for their output.
        names: names in :data:`TRAININGS`, or :data:`PREDICT`.
        model: model of the prediction.
        photos: photos of the prediction.

    Raises:
        ConfigError: if a name is not known, or there are no photos to predict.
    """
    known = (*TRAININGS, PREDICT)
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"{unknown[0]}: is none of {', '.join(known)}")
    if PREDICT in names and photos is None:
        raise ConfigError("predict needs photos: --input <folder>")
    keypoints = [sys.executable, "-m", "keypoints"]
    made = {
        name: [*keypoints, "train", *overrides, "trainer=cpu", f"output={scratch / name}"]
        for name, overrides in TRAININGS.items()
    }
    made[PREDICT] = [*keypoints, "predict", str(model), f"input={photos}", f"output={scratch / PREDICT}"]
    return {name: made[name] for name in names}


def timed(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Run a command; return its seconds by the clock and of the processor.

    Args:
        command: words of the command.
        environment: variables to set besides the present ones.

    Raises:
        ConfigError: if it fails.
    """
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    wall, after = perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise ConfigError(f"{' '.join(command[2:])}: exit status {done.returncode}: {''.join(last)}")
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(
    names: Sequence[str], rounds: int, model: Path, photos: str | None, busy: Sequence[int] = (0, 1)
) -> list[Took]:
    """Return the times of all commands in all states and rounds.

    Args:
        names: names of the commands, see :func:`commands`.
        rounds: number of rounds.
        model: model of the prediction.
        photos: photos of the prediction.
        busy: numbers of busy processes.

    Raises:
        ConfigError: as :func:`commands` and :func:`timed`.
    """
    ways = {OURS: {}, ACTIVE: {"OMP_WAIT_POLICY": "ACTIVE", THREADS: str(allowed_cores())}}
    states = [(way, count) for count in busy for way in ways]
    took = []
    for number in range(rounds):
        for name in names:
            for way, count in states if number % 2 else states[::-1]:
                with TemporaryDirectory() as scratch, busy_processes(count):
                    (command,) = commands(Path(scratch), [name], model, photos).values()
                    took.append(Took(name, way, count, *timed(command, ways[way])))
                print(took[-1], flush=True)
    return took


def summary(took: Sequence[Took]) -> str:
    """Return a table in Markdown: medians by command and state, and the ratios of busy to idle time.

    Args:
        took: the times.
    """
    lines = ["| command | threads | idle: wall, processor s | busy: wall, processor s | busy / idle |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for name, way in dict.fromkeys((each.command, each.threads) for each in took):
        idle, busy = (
            [each for each in took if (each.command, each.threads, bool(each.busy)) == (name, way, state)]
            for state in (False, True)
        )
        shown = [
            f"{statistics.median(each.wall_s for each in some):.1f}, "
            f"{statistics.median(each.processor_s for each in some):.1f}"
            if some
            else "–"
            for some in (idle, busy)
        ]
        ratios = [one.wall_s / other.wall_s for one, other in zip(busy, idle, strict=False)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})" if ratios else "–"
        lines.append(f"| `{name}` | {way} | {shown[0]} | {shown[1]} | {ratio} |")
    return "\n".join(lines)


def write_times(path: Path, took: Sequence[Took]) -> None:
    """Write the times as CSV.

    Args:
        path: file to write.
        took: the times.
    """
    rows = [",".join(Took._fields)]
    rows += [
        f"{each.command},{each.threads},{each.busy},{each.wall_s:.2f},{each.processor_s:.2f}" for each in took
    ]
    write_atomically(path, "\n".join(rows) + "\n")


def read_times(path: Path) -> list[Took]:
    """Return the times of a table.

    Args:
        path: file of :func:`write_times`.
    """
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Took(
                row["command"],
                row["threads"],
                int(row["busy"]),
                float(row["wall_s"]),
                float(row["processor_s"]),
            )
            for row in csv.DictReader(file)
        ]


def main(words: Sequence[str] | None = None) -> int:
    """Measure, write the table and print the summary; return the exit status.

    Args:
        words: words of the command line; ``None`` for those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m keypoints.benchmark.busy", description=__doc__)
    parser.add_argument("table", type=Path, help="table to write")
    parser.add_argument(
        "--command", action="append", help=f"one of {', '.join((*TRAININGS, PREDICT))}; all by default"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--busy", type=int, default=1, help="number of busy processes")
    parser.add_argument("--model", type=Path, default=Path("results/ibug300w_best/model.onnx"))
    parser.add_argument("--input", help="photos to predict")
    given = parser.parse_args(words)
    try:
        took = measure(
            given.command or [*TRAININGS, PREDICT], given.rounds, given.model, given.input, (0, given.busy)
        )
        write_times(given.table, took)
    except (KeypointsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(summary(took))
    return 0


if __name__ == "__main__":
    sys.exit(main())
