"""The order in which training faces come, whatever the workers, the ranks, and where a run was stopped."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from keypoints.errors import ConfigError

Key = tuple[int, int]
"""Epoch and index: with the seed, all that decides what is drawn."""


class EpochSampler(Sampler[Key]):
    """Yields (epoch, index): the order is a function of the seed and the epoch alone.

    So neither resuming nor the number of workers can change it. Lightning calls :meth:`set_epoch`.

    Args:
        length: of the dataset.
        seed: of the order.
        shuffle: whether the order is drawn anew each epoch.
        rank, ranks: which of how many processes this is. Together they take what one process
            would, batch by batch; the last few faces of a shuffled epoch come again from its
            beginning where the ranks do not divide them, since each has to take as many steps.
    """

    def __init__(self, length: int, *, seed: int, shuffle: bool, rank: int = 0, ranks: int = 1) -> None:
        self._length = length
        self._seed = seed
        self._shuffle = shuffle
        self._rank = rank
        self._ranks = ranks
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Begin ``epoch``."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(range(self._rank, self._padded, self._ranks))

    @property
    def _padded(self) -> int:
        """The length that all ranks together go through."""
        return -(-self._length // self._ranks) * self._ranks if self._shuffle else self._length

    def __iter__(self) -> Iterator[Key]:
        order = np.arange(self._length)
        if self._shuffle:
            np.random.default_rng([self._seed, self._epoch]).shuffle(order)
        own = np.resize(order, self._padded)[self._rank :: self._ranks]
        return ((self._epoch, int(index)) for index in own)


def even_batch_size(length: int, ranks: int, batch_size: int) -> int:
    """The batch size from ``batch_size`` up with which all ranks take as many steps.

    The ranks may have a face more or less, and a step more or less: then they would wait for each
    other for ever.

    Raises:
        ConfigError: if there are fewer faces than ranks.

    >>> even_batch_size(129, ranks=2, batch_size=64)  # 65 and 64 faces
    65
    """
    least, rest = divmod(length, ranks)
    if least == 0:
        raise ConfigError(f"{length} faces are too few for {ranks} processes; take fewer: trainer.devices=…")
    while rest and least % batch_size == 0:
        batch_size += 1
    return batch_size
