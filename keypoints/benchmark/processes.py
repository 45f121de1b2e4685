"""Cost of a command that runs in a process of its own. POSIX only."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple


class Ran(NamedTuple):
    """Result of a command."""

    status: int
    """Exit status."""
    seconds: float
    """Seconds by the clock."""
    processor_s: float
    """Processor time of the process and of those that it waited for, in seconds over all threads."""
    memory_mb: float
    """Highest resident memory of one process, in megabytes."""
    last_line: str
    """Last line of its output."""


def run_command(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Ran:
    """Run a command and return its cost.

    Args:
        command: words of the command.
        log: file for its output.
        environment: variables to set besides the present ones.
        folder: folder in which it runs; ``None`` for the present one.
    """
    began = perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env=os.environ | (environment or {}), cwd=folder
        )
        # Only wait4 tells the memory of one child. No memory of this process counts, since it is small.
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return Ran(
        process.returncode,
        perf_counter() - began,
        used.ru_utime + used.ru_stime,
        used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
        lines[-1] if lines else "",
    )
