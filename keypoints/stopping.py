"""Stopping by a signal: Ctrl-C, SIGTERM from a cluster or a container, or a closed terminal.

Here a signal becomes an exception. A stopped training is summarised by
:func:`keypoints.training.summary.summarised`, gets the status ``interrupted`` by
:func:`keypoints.runs.status.record` and its report by :mod:`keypoints.commands.train`; the command line
prints what was kept.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that stop a command; not every platform has the last one."""


class Stopped(KeyboardInterrupt):
    """A signal that asks the process to end; libraries treat it as Ctrl-C.

    Args:
        number: number of the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        name = signal.Signals(number).name
        super().__init__("stopped by Ctrl-C" if name == "SIGINT" else f"stopped by {name}")


def stop_of(error: KeyboardInterrupt) -> Stopped:
    """Return the error with its signal; an error that Python itself raised is Ctrl-C."""
    return error if isinstance(error, Stopped) else Stopped(signal.SIGINT)


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise :class:`Stopped` if a signal asks the process to end during the block.

    An ignored signal, as for background commands, stays ignored. Outside of the main thread, where Python
    allows no signal handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
            before[number] = signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)
