"""Whether networks fetch the weights that they start from as they are made."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_blank = ContextVar("blank", default=False)


@contextmanager
def blank() -> Iterator[None]:
    """Networks that are made in the block do not fetch weights: those of a checkpoint follow.

    So a checkpoint is enough to load a network, wherever the weights that it began with are by then.
    """
    token = _blank.set(True)
    try:
        yield
    finally:
        _blank.reset(token)


def is_blank() -> bool:
    """Whether a network that is made now is to leave its weights as they come."""
    return _blank.get()
