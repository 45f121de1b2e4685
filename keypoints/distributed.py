"""Several processes that train one network together: only the first writes files and speaks.

Lightning starts the others with the first one's own command. They find in the environment which run
they belong to, and take part in it: whatever the command was, a sweep or a resumed run too. A launcher
such as torchrun or srun starts all of them by itself, and then the command says what they do.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_RUN = "KEYPOINTS_RUN"
_RANK = "LOCAL_RANK"
_RECORDED = "KEYPOINTS_RUN_RECORDED"
_LEFT = (_RUN, _RECORDED, _RANK, "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What Lightning leaves in the environment: the next run of a sweep would take it for a launcher's."""


def is_first() -> bool:
    """Whether this is the only process, or the first of those that train together."""
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", 0)) == 0


def run_to_join() -> Path | None:
    """The folder of the run that this process was started to take part in, if it was."""
    folder = os.environ.get(_RUN)
    return Path(folder) if folder is not None and os.environ.get(_RANK, "0") != "0" else None


def is_recorded() -> bool:
    """Return whether the run to join is built from a folder of anybody's; see :func:`others_join`."""
    return os.environ.get(_RECORDED, "1") != "0"


@contextmanager
def others_join(folder: Path, *, recorded: bool, shared: Mapping[str, str]) -> Iterator[None]:
    """Let processes that Lightning starts in the block take part in the run in ``folder``.

    At its end this process is alone again: nothing that follows waits for the others.

    Args:
        folder: the run's.
        recorded: whether its configuration was read from a folder, so that only trusted classes are built.
        shared: variables of the environment that the other processes get.
    """
    import torch.distributed

    before = {name: os.environ.get(name) for name in (*_LEFT, *shared)}
    if run_to_join() is None:
        os.environ[_RUN] = str(folder.resolve())
        os.environ[_RECORDED] = str(int(recorded))
        os.environ.update(shared)
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
