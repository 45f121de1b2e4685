"""Median and range of measurements."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest value of a quantity over the rounds."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of some values.

        Args:
            values: one value per round; not empty.
        """
        return cls(statistics.median(values), min(values), max(values))
