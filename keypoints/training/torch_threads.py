"""Threads of torch in a training: their number, by the network and the size of a batch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from omegaconf import DictConfig

from keypoints.models.inspection import Cost
from keypoints.threads import threads_for


def choose_threads(
    cfg: DictConfig, cost: Cost | None, batch_size: int, processes: int = 1, recorded: int | None = None
) -> int:
    """Return the number of threads of torch in each process of a training.

    Args:
        cfg: configuration of ``keypoints train``, whose ``threads`` decides if it is set.
        cost: cost of the network for one face; ``None`` if it is not known.
        batch_size: number of faces in a batch of one process.
        processes: number of the training's processes on this machine.
        recorded: number of threads of the run so far, if it is resumed: the last digits depend on it.
    """
    operations = None if cost is None else float(cost.flops) * batch_size
    return int(cfg.get("threads") or recorded or threads_for(operations, processes))


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use a number of threads in the block.

    Args:
        count: number of threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
