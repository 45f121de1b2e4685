"""Time of commands on idle cores and beside busy processes, beside an earlier version or active waiting.

``python -m keypoints.benchmark.busy <table> --input <photos>``. Each round runs every command in every state
once, in alternating order, so that a change of the machine's speed meets all states alike. A busy process is
an endless loop of Python. Processor time is that of the command with all its processes. ``--before`` names a
checkout of an earlier version; without it, ours is compared with as many threads as cores that wait actively.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from keypoints.benchmark.processes import run_command
from keypoints.benchmark.spread import Spread
from keypoints.errors import ConfigError, KeypointsError
from keypoints.files import write_atomically
from keypoints.threads import THREADS, allowed_cores

TRAININGS = {
    "nose_tip": ("experiment=nose_tip", "trainer.max_epochs=6"),
    "full_face": ("experiment=full_face", "trainer.max_epochs=2"),
    "ibug300w": (
        *("experiment=ibug300w", "data.width=128", "data.height=128"),
        *("trainer.max_epochs=1", "trainer.limit_train_batches=16"),
    ),
}
"""Measured trainings by name: their overrides."""

PREDICT = "predict"
"""Name of the measured prediction."""

OURS, ACTIVE, BEFORE = "ours", "active", "before"
"""Names of the ways: ours, as many threads as cores that wait actively, and an earlier version."""


class Took(NamedTuple):
    """Time of a command."""

    command: str
    way: str
    """:data:`OURS`, :data:`ACTIVE` or :data:`BEFORE`."""
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


def check_names(names: Iterable[str], photos: str | None) -> None:
    """Check the names of commands.

    Args:
        names: names in :data:`TRAININGS`, or :data:`PREDICT`.
        photos: photos of the prediction.

    Raises:
        ConfigError: if a name is not known, or there are no photos to predict.
    """
    known = (*TRAININGS, PREDICT)
    for name in names:
        if name not in known:
            raise ConfigError(f"{name}: is none of {', '.join(known)}")
    if PREDICT in names and photos is None:
        raise ConfigError("predict needs photos: --input <folder>")


def command_of(name: str, output: Path, model: Path, photos: str | None) -> list[str]:
    """Return the words of a command.

    Args:
        name: name in :data:`TRAININGS`, or :data:`PREDICT`.
        output: new folder for its output.
        model: model of the prediction.
        photos: photos of the prediction.
    """
    keypoints = [sys.executable, "-m", "keypoints"]
    if name == PREDICT:
        return [*keypoints, PREDICT, str(model), f"input={photos}", f"output={output}"]
    return [*keypoints, "train", *TRAININGS[name], "trainer=cpu", f"output={output}"]


def timed(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> tuple[float, float]:
    """Run a command; return its seconds by the clock and of the processor.

    Args:
        command: words of the command.
        environment: variables to set besides the present ones.
        folder: folder in which it runs.

    Raises:
        ConfigError: if it fails.
    """
    ran = run_command(command, folder / "output.log", environment, folder)
    if ran.status:
        raise ConfigError(f"{' '.join(command[2:])}: exit status {ran.status}: {ran.last_line}")
    return ran.seconds, ran.processor_s


def ways_of(before: Path | None) -> dict[str, dict[str, str]]:
    """Return the variables of the ways, by name.

    Args:
        before: checkout of an earlier version; ``None`` compares with threads that wait actively.

    Raises:
        ConfigError: if the checkout holds no such package.
    """
    ours = Path(__file__).resolve().parents[2]
    data = {"KEYPOINTS_DATA": str(Path(os.environ.get("KEYPOINTS_DATA", "data")).resolve())}
    ways = {OURS: data | {"PYTHONPATH": str(ours)}}
    if before is None:
        return ways | {ACTIVE: ways[OURS] | {"OMP_WAIT_POLICY": "ACTIVE", THREADS: str(allowed_cores())}}
    if not (before / "keypoints" / "__main__.py").is_file():
        raise ConfigError(f"{before}: is no checkout of keypoints")
    return ways | {BEFORE: data | {"PYTHONPATH": str(before.resolve())}}


def measure(
    names: Sequence[str],
    rounds: int,
    model: Path,
    photos: str | None,
    busy: Sequence[int] = (0, 1),
    before: Path | None = None,
) -> list[Took]:
    """Return the times of all commands in all states and rounds.

    Args:
        names: names of the commands, see :func:`check_names`.
        rounds: number of rounds.
        model: model of the prediction.
        photos: photos of the prediction.
        busy: numbers of busy processes.
        before: see :func:`ways_of`.

    Raises:
        ConfigError: as :func:`check_names`, :func:`ways_of` and :func:`timed`.
    """
    check_names(names, photos)
    ways = ways_of(before)
    states = [(way, count) for count in busy for way in ways]
    took = []
    for number in range(rounds):
        for name in names:
            for way, count in states if number % 2 else states[::-1]:
                with TemporaryDirectory() as scratch, busy_processes(count):
                    folder = Path(scratch)
                    command = command_of(name, folder / name, model, photos)
                    took.append(Took(name, way, count, *timed(command, ways[way], folder)))
                print(took[-1], flush=True)
    return took


def summary(took: Sequence[Took]) -> str:
    """Return a table in Markdown: medians by command and way, and ratios of the same round.

    Args:
        took: the times.
    """
    lines = [
        "| command | way | idle: wall, processor s | busy: wall, processor s | busy / idle | ours / it |"
    ]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for name, way in dict.fromkeys((each.command, each.way) for each in took):
        ours, idle, busy = (
            [each for each in took if (each.command, each.way, bool(each.busy)) == state]
            for state in ((name, OURS, False), (name, way, False), (name, way, True))
        )
        cells = [f"`{name}`", way, _medians(idle), _medians(busy), _ratio(busy, idle)]
        cells.append("1" if way == OURS else _ratio(ours, idle))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _medians(took: Sequence[Took]) -> str:
    """Return the medians of elapsed and processor time, as text."""
    if not took:
        return "–"
    wall, processor = (statistics.median(times) for times in zip(*(each[-2:] for each in took), strict=True))
    return f"{wall:.1f}, {processor:.1f}"


def _ratio(took: Sequence[Took], others: Sequence[Took]) -> str:
    """Return the ratio of elapsed times round by round, as text: its median, lowest and highest."""
    ratios = [one.wall_s / other.wall_s for one, other in zip(took, others, strict=False)]
    if not ratios:
        return "–"
    spread = Spread.of(ratios)
    return f"{spread.median:.2f} ({spread.lowest:.2f} – {spread.highest:.2f})"


def write_times(path: Path, took: Sequence[Took]) -> None:
    """Write the times as CSV.

    Args:
        path: file to write.
        took: the times.
    """
    rows = [",".join(Took._fields)]
    rows += [
        f"{each.command},{each.way},{each.busy},{each.wall_s:.2f},{each.processor_s:.2f}" for each in took
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
                row["way"],
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
    parser.add_argument("--before", type=Path, help="checkout of an earlier version to compare with")
    given = parser.parse_args(words)
    photos = given.input and str(Path(given.input).resolve())
    try:
        took = measure(
            given.command or [*TRAININGS, PREDICT],
            given.rounds,
            given.model.resolve(),
            photos,
            (0, given.busy),
            given.before,
        )
        write_times(given.table, took)
    except (KeypointsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(summary(took))
    return 0


if __name__ == "__main__":
    sys.exit(main())
