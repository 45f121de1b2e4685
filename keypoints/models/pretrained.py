"""Switch that decides if networks load their pretrained weights when they are built."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_blank = ContextVar("blank", default=False)


@contextmanager
def blank() -> Iterator[None]:
    """Build networks in the block without their pretrained weights, because a checkpoint replaces them.

    A checkpoint is then enough to load a network, even if the pretrained weights are no longer available.
    """
    token = _blank.set(True)
    try:
        yield
    finally:
        _blank.reset(token)


def is_blank() -> bool:
    """Return True inside :func:`blank`: networks are built without their pretrained weights."""
    return _blank.get()
