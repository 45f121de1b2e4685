"""Processes that train one network together; only the first one writes files and logs.

Lightning starts the other processes with the first one's command. Environment variables tell them which run
they join, also if the command is a sweep or resumes a run. A launcher such as torchrun or srun starts all
processes itself; each then follows the command.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_RUN = "KEYPOINTS_RUN"
_RANK = "LOCAL_RANK"
_RECORDED = "KEYPOINTS_RUN_RECORDED"
_LEFT = (_RUN, _RECORDED, _RANK, "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables to restore after a run, so that the next run does not take Lightning's for a launcher's."""


def is_first() -> bool:
    """Return whether this is the only process, or the first of the processes that train together."""
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", 0)) == 0


def run_to_join() -> Path | None:
    """Return the folder of the run that this process was started to join; ``None`` for other processes."""
    folder = os.environ.get(_RUN)
    return Path(folder) if folder is not None and os.environ.get(_RANK, "0") != "0" else None


def is_recorded() -> bool:
    """Return whether the configuration of the run to join was read from a folder; see :func:`others_join`."""
    return os.environ.get(_RECORDED, "1") != "0"


@contextmanager
def others_join(folder: Path, *, recorded: bool, shared: Mapping[str, str]) -> Iterator[None]:
    """Let processes that Lightning starts in the block join the run in ``folder``.

    After the block the process group is destroyed, so that nothing waits for the other processes.

    Args:
        folder: the run's folder.
        recorded: whether its configuration was read from a folder, so that only trusted classes are
            instantiated.
        shared: environment variables for the other processes.
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
