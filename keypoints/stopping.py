"""Being stopped by a signal: Ctrl-C, SIGTERM of a cluster or a container, a terminal that is closed."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""The last one is not known to every platform."""


class Stopped(KeyboardInterrupt):
    """A signal that asks the process to end; libraries treat it as Ctrl-C.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        name = signal.Signals(number).name
        super().__init__("stopped by Ctrl-C" if name == "SIGINT" else f"stopped by {name}")


def stop_of(error: KeyboardInterrupt) -> Stopped:
    """Return ``error`` with its signal: Ctrl-C, if Python itself raised it."""
    return error if isinstance(error, Stopped) else Stopped(signal.SIGINT)


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise :class:`Stopped` where a signal asks the process to end in the block.

    A signal that is ignored, as of commands in the background, stays ignored. Outside of the main thread,
    where Python takes no handlers, nothing changes.
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
