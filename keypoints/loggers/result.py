"""Result of a run for its loggers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Values = Mapping[str, int | float | str]


@dataclass(frozen=True)
class Result:
    """Hyper-parameters and final metrics of a run.

    Args:
        values: hyper-parameters by dotted name.
        metrics: metrics of the best and the last epoch, by name, such as ``best/mse``.
        varied: names of the values that vary in the run's sweep, or that the user gave for a single run.
        step: number of the last optimizer step of the best epoch, if it is known.
    """

    values: Values
    metrics: Mapping[str, float]
    varied: Sequence[str] = ()
    step: int | None = None


def preformatted(text: str) -> str:
    """Return Markdown that shows ``text`` verbatim."""
    return "\n".join(f"    {line}" for line in text.splitlines())
