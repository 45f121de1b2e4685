"""Measurement of the time until the end of the first training step, for :mod:`keypoints.benchmark.growth`."""

import json
import resource
import sys
from pathlib import Path
from time import process_time, time
from typing import Any

import psutil
import pytorch_lightning as pl

from keypoints.files import write_atomically


class FirstStep(pl.Callback):
    """Writer of the cost of a training's start: from the start of the process to the end of the first step.

    The file is JSON: ``seconds`` by the clock, ``processor_s`` over all threads, and ``memory_mb``, the
    highest resident memory so far.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._is_written = False

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Write the file after the first batch."""
        if self._is_written:
            return
        self._is_written = True
        took = {
            "seconds": time() - psutil.Process().create_time(),
            "processor_s": process_time(),
            "memory_mb": peak_memory() / 1e6,
        }
        write_atomically(self._path, json.dumps(took) + "\n")


def peak_memory() -> int:
    """Return the highest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
