"""Median and range of what was measured in several rounds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest of the rounds."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of some values.

        Args:
            values: one a round, at least one.
        """
        return cls(statistics.median(values), min(values), max(values))
