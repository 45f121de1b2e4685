"""Loader of batches for training."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader

from keypoints.data.dataset import Batch

_FACES = 64
"""Number of faces that are prepared together, if a batch is not larger."""


class BatchLoader(DataLoader[Batch]):
    """Loader that, without worker processes, prepares several batches at once.

    Preparing a face directly after a training step takes twice as long, because the step has evicted the
    code and data for it from the processor's caches.
    """

    @property
    def at_once(self) -> int:
        """Number of batches that are prepared together."""
        return 1 if self.num_workers else max(1, _FACES // (self.batch_size or _FACES))

    def __iter__(self) -> Any:
        """Return an iterator over the batches of an epoch."""
        batches = super().__iter__()
        return batches if self.num_workers else _several_at_once(batches, self.at_once)


def _several_at_once(batches: Iterable[Batch], number: int) -> Iterator[Batch]:
    coming = iter(batches)
    while ready := list(islice(coming, number)):
        yield from ready
