"""Worker processes: they end when the process that started them is gone, and are ended with its work."""

import multiprocessing
import os
import signal
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from time import sleep

from keypoints.process import configure_libraries

_PAUSE = 1.0
"""Seconds between two looks at the parent."""
_PATIENCE = 10.0
"""Seconds to wait for processes that were killed."""


def end_with(parent: int) -> None:
    """Let this process end within a second or two of its parent, whatever ends that.

    In the parent itself nothing happens, nor in a process that was started otherwise, such as by a cluster.

    Args:
        parent: the number of the process that started this one.
    """
    if os.getpid() != parent and multiprocessing.current_process().name != "MainProcess":
        _watch(parent, os.getpid())


def serve(parent: int) -> None:
    """Begin as a worker: end with the parent, leave Ctrl-C to it, and configure the libraries.

    Args:
        parent: as of :func:`end_with`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent)
    configure_libraries()


@lru_cache(maxsize=1)
def _watch(parent: int, process: int) -> None:  # noqa: ARG001  a fork starts its own
    """Start the thread that watches; once a process."""
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: int) -> None:
    import psutil

    while os.getppid() == parent and psutil.pid_exists(parent):  # Windows keeps the number of a dead parent
        sleep(_PAUSE)
    os._exit(1)


def end_workers() -> None:
    """Kill the processes in which ``launch=cores`` trains, if there are any, and those that they started."""
    if "joblib" not in sys.modules:
        return
    import psutil

    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has ended meanwhile
            if "LokyProcess" in " ".join(child.cmdline()):
                found += [child, *child.children(recursive=True)]
    for process in found:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=_PATIENCE)
