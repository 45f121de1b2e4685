"""What hands a datamodule's batches to a training."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader

from keypoints.data.dataset import Batch

_FACES = 64
"""So many, or one batch of more, are prepared at once."""


class BatchLoader(DataLoader[Batch]):
    """torch's loader, which without processes of its own prepares several batches at once.

    What prepares a face takes twice as long where a training step has run in between, which leaves nothing
    of it in the processor's caches.
    """

    @property
    def at_once(self) -> int:
        """How many batches are prepared at once."""
        return 1 if self.num_workers else max(1, _FACES // (self.batch_size or _FACES))

    def __iter__(self) -> Any:
        """The batches of an epoch."""
        batches = super().__iter__()
        return batches if self.num_workers else _several_at_once(batches, self.at_once)


def _several_at_once(batches: Iterable[Batch], number: int) -> Iterator[Batch]:
    coming = iter(batches)
    while ready := list(islice(coming, number)):
        yield from ready
