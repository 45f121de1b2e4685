"""Worker processes: they end when their parent process ends, and are killed when its work is done."""

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
"""Seconds between two checks of the parent."""
_PATIENCE = 10.0
"""Seconds to wait for killed processes."""


def end_with(parent: int) -> None:
    """End this process within two seconds after its parent ends for any reason.

    Nothing happens in the parent itself, or in a process that was started otherwise, such as by a cluster.

    Args:
        parent: id of the process that started this one.
    """
    if os.getpid() != parent and multiprocessing.current_process().name != "MainProcess":
        _watch(parent, os.getpid())


def serve(parent: int) -> None:
    """Initialise a worker: end with the parent, ignore Ctrl-C, and configure the libraries.

    Args:
        parent: id of the process that started this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent)
    configure_libraries()


@lru_cache(maxsize=1)
def _watch(parent: int, process: int) -> None:  # noqa: ARG001  a fork has its own cache entry
    """Start the thread that watches the parent, once per process."""
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: int) -> None:
    import psutil

    while os.getppid() == parent and psutil.pid_exists(
        parent
    ):  # on Windows getppid still returns a dead parent
        sleep(_PAUSE)
    os._exit(1)


def end_workers() -> None:
    """Kill the processes in which ``launch=cores`` trains, if there are any, and their children."""
    if "joblib" not in sys.modules:
        return
    import psutil

    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # the process has ended meanwhile
            if "LokyProcess" in " ".join(child.cmdline()):
                found += [child, *child.children(recursive=True)]
    for process in found:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=_PATIENCE)
