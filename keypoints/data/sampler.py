"""Order of the training faces, independent of workers, ranks and resuming."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from keypoints.errors import ConfigError
from keypoints.formatting import counted, pluralised

Key = tuple[int, int]
"""Epoch and index, which together with the seed determine all random numbers of a sample."""


class EpochSampler(Sampler[Key]):
    """Sampler of (epoch, index), whose order is a function of the seed and the epoch alone.

    Resuming and the number of workers do not change the order. Lightning calls :meth:`set_epoch`.

    Args:
        length: number of faces in the dataset.
        seed: seed of the order.
        shuffle: whether to shuffle each epoch; if not, the dataset's order is kept.
        rank: index of this process.
        ranks: number of processes. Together they take the same batches as one process. All ranks take the
            same number of steps, so a shuffled epoch is padded with faces from its beginning.
    """

    def __init__(self, length: int, *, seed: int, shuffle: bool, rank: int = 0, ranks: int = 1) -> None:
        self._length = length
        self._seed = seed
        self._shuffle = shuffle
        self._rank = rank
        self._ranks = ranks
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(range(self._rank, self._padded, self._ranks))

    @property
    def _padded(self) -> int:
        """Number of faces that all ranks together process in an epoch."""
        return -(-self._length // self._ranks) * self._ranks if self._shuffle else self._length

    def __iter__(self) -> Iterator[Key]:
        order = np.arange(self._length)
        if self._shuffle:
            np.random.default_rng([self._seed, self._epoch]).shuffle(order)
        own = np.resize(order, self._padded)[self._rank :: self._ranks]
        return ((self._epoch, int(index)) for index in own)


def even_batch_size(length: int, ranks: int, batch_size: int) -> int:
    """Return the smallest batch size from ``batch_size`` up with which all ranks take equally many steps.

    Ranks may differ by one face. If they differed by one step, they would wait for each other forever.

    Raises:
        ConfigError: if there are fewer faces than ranks.

    >>> even_batch_size(129, ranks=2, batch_size=64)  # 65 and 64 faces
    65
    """
    least, rest = divmod(length, ranks)
    if least == 0:
        raise ConfigError(
            f"{counted(length, 'face')} {pluralised(length, 'is', 'are')} too few for "
            f"{counted(ranks, 'process', 'processes')}; take fewer: trainer.devices=…"
        )
    while rest and least % batch_size == 0:
        batch_size += 1
    return batch_size
