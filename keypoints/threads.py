"""Threads of torch, onnxruntime, OpenCV and the detectors: how many there are, and how they wait.

The number follows from the size of the work and from the cores that this process may use, never from the
momentary load: the last digits of a training depend on it. The user's own ``OMP_NUM_THREADS`` decides where
it is set.
"""

import math
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

OPERATIONS_PER_THREAD = 5e8
"""Floating-point operations of the forward pass of a batch that are worth a thread.

Threads meet several times in each layer. With less work between the meetings a second thread gains nothing on
idle cores, and loses much on busy ones; see ``results/bench``.
"""

THREADS = "OMP_NUM_THREADS"
"""The user's variable for the number of threads, which many libraries read."""

_SLURM = "SLURM_CPUS_PER_TASK"
_WAITING = "OMP_WAIT_POLICY"
_ALSO_WAITING = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Further variables by which a user says how threads wait."""

_TOGETHER = 16
"""Most items that a thread of :func:`mapped_in_threads` takes at a time."""

_SYSTEM = Path("/")
_ours: str | None = None  # value of OMP_NUM_THREADS that is not the user's


def allowed_cores(system: Path = _SYSTEM) -> int:
    """Return the number of cores that this process may use: by affinity, cgroup and SLURM.

    Args:
        system: root of the file system with the control groups.
    """
    cores = _bound_cores() or os.cpu_count() or 1
    if (task := os.environ.get(_SLURM, "")).isdecimal() and int(task):
        cores = min(cores, int(task))
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(system))]))


def _bound_cores() -> int | None:
    """Return the number of cores to which this process is bound; ``None`` where the system binds none."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else None


def _quotas(system: Path) -> Iterator[float]:
    """Yield the cores of each limit on processor time of this process's control groups, versions 1 and 2."""
    with suppress(OSError, ValueError):
        for line in (system / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            mounted = system / "sys/fs/cgroup" / ("cpu" if controllers else "")
            own = Path(group.lstrip("/"))
            for each in (own, *own.parents):
                if (quota := _quota(mounted / each)) is not None:
                    yield quota


def _quota(group: Path) -> float | None:
    """Return the cores that a control group may use on average; ``None`` without a limit."""
    with suppress(OSError, ValueError):
        if (file := group / "cpu.max").is_file():
            quota, period = file.read_text(encoding="utf-8").split()
        else:
            quota, period = (
                (group / f"cpu.cfs_{name}_us").read_text(encoding="utf-8").strip()
                for name in ("quota", "period")
            )
        if quota != "max" and int(quota) > 0 and int(period) > 0:
            return int(quota) / int(period)
    return None


def given_threads() -> int | None:
    """Return the user's number of threads, ``OMP_NUM_THREADS``; ``None`` if it is not set."""
    value = os.environ.get(THREADS, "")
    first = value.partition(",")[0].strip()  # further numbers are for nested threads
    if value == _ours:
        return None
    return int(first) if first.isdecimal() and int(first) else None


def threads_of_process() -> int:
    """Return how many threads may work at once in this process."""
    return given_threads() or allowed_cores()


def mapped_in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield the results of a function for all items, in their order, computed in as many threads as may work.

    Each thread takes some items at a time, because a task for each takes longer than reading a small file.

    Args:
        function: function that waits for files, or computes outside the interpreter's lock.
        items: its arguments.
    """
    from concurrent.futures import ThreadPoolExecutor

    count = threads_of_process()
    size = max(1, min(_TOGETHER, len(items) // (4 * count)))  # few large files are shared evenly

    def together(start: int) -> list[Result]:
        return [function(item) for item in items[start : start + size]]

    with ThreadPoolExecutor(count) as threads:
        for some in threads.map(together, range(0, len(items), size)):
            yield from some


def threads_for(operations: float | None, processes: int = 1) -> int:
    """Return the number of threads for work that is repeated in one process, such as a training.

    In a run of ``launch=cores``, ``OMP_NUM_THREADS`` is its share of the cores and therefore the most.

    Args:
        operations: floating-point operations of a forward pass; ``None`` if they are not known, then all
            cores are worth it.
        processes: processes that share the cores.
    """
    given = given_threads()
    if given is not None and multiprocessing.parent_process() is None:
        return given
    most = given or max(1, allowed_cores() // processes)
    return most if operations is None else max(1, min(most, int(operations / OPERATIONS_PER_THREAD)))


def limit_libraries() -> None:
    """Let libraries that are loaded later use only the allowed cores, where they would not know them.

    Libraries know the affinity, but not the limits of control groups and SLURM. Processes that are started
    take over the variable.
    """
    global _ours  # noqa: PLW0603  the variable is the whole process's, too
    bound = _bound_cores()
    if given_threads() is None and bound is not None and (cores := allowed_cores()) < bound:
        _ours = os.environ[THREADS] = str(cores)


def wait_passively() -> None:
    """Let threads that wait give their core to others, unless the user's variables say how they wait.

    A library reads the variable when it is loaded, so this comes before the import of torch. Threads that
    wait actively take a busy core from the work for which they wait.
    """
    if not any(name in os.environ for name in _ALSO_WAITING):
        os.environ.setdefault(_WAITING, "PASSIVE")


@contextmanager
def waiting_passively() -> Iterator[None]:
    """As :func:`wait_passively`, for libraries that are loaded in the block."""
    before = os.environ.get(_WAITING)
    wait_passively()
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_WAITING, None)
