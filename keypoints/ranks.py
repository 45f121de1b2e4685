"""Several processes that train one network together: only the first writes files and speaks.

Lightning starts the others with the first one's own command. They find in the environment which run
they belong to, and take part in it: whatever the command was, a sweep or a resumed run too. A launcher
such as torchrun or srun starts all of them by itself, and then the command says what they do.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RUN = "KEYPOINTS_RUN"
_RANK = "LOCAL_RANK"
_LEFT = (_RUN, _RANK, "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What Lightning leaves in the environment: the next run of a sweep would take it for a launcher's."""


def is_first() -> bool:
    """Whether this is the only process, or the first of those that train together."""
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", 0)) == 0


def run_to_join() -> Path | None:
    """The folder of the run that this process was started to take part in, if it was."""
    folder = os.environ.get(_RUN)
    return Path(folder) if folder is not None and os.environ.get(_RANK, "0") != "0" else None


@contextmanager
def others_join(folder: Path) -> Iterator[None]:
    """Processes that Lightning starts in the block take part in the run in ``folder``.

    At its end this process is alone again: nothing that follows waits for the others.
    """
    import torch.distributed

    before = {name: os.environ.get(name) for name in _LEFT}
    if run_to_join() is None:
        os.environ[_RUN] = str(folder.resolve())
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
