"""Comparison of settings by their errors on the same faces, with a bootstrap over groups and seeds.

Faces of one person or photo are alike, and so are all faces of one seed: none is an independent measurement.
So groups and seeds are resampled, not faces (A. B. Owen, The pigeonhole bootstrap, Annals of Applied
Statistics 1, 2007). Imports no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from keypoints.formatting import counted
from keypoints.geometry import FloatArray

FEWEST_GROUPS = 6
"""Smallest number of groups with which an interval is honest."""

FEWEST_SEEDS = 2
"""Smallest number of seeds of each setting with which an interval is honest."""

LEVEL = 0.05
"""Probability with which settings of the same law are called different, over all comparisons together."""

_DRAWS = 2000
"""Number of bootstrap samples."""


@dataclass(frozen=True)
class Contrast:
    """Weighted sum of the settings' mean errors, such as the difference of two.

    Args:
        value: the sum, in units of the errors.
        deviation: its standard deviation over other groups and seeds, in the same units.
        freedom: degrees of freedom of the deviation, after F. E. Satterthwaite, Biometrics Bulletin 2, 1946.
    """

    value: float
    deviation: float
    freedom: float

    @property
    def p(self) -> float:
        """Probability of a value as far from 0 as this, if the settings were equal."""
        if self.deviation == 0:
            return float(self.value == 0)
        return float(2 * stats.t.sf(abs(self.value) / self.deviation, self.freedom))

    @property
    def interval(self) -> tuple[float, float]:
        """Interval that contains the true value with a probability of 95 %."""
        half = float(stats.t.ppf(1 - LEVEL / 2, self.freedom)) * self.deviation
        return self.value - half, self.value + half


@dataclass(frozen=True)
class Difference:
    """Mean error of a setting minus that of a reference on the same faces.

    Args:
        setting: name of the setting.
        reference: name of the setting that it is compared with.
        contrast: the difference.
        p: probability of such a difference between equal settings, after S. Holm's correction for all
            comparisons (A simple sequentially rejective multiple test procedure, 1979).
    """

    setting: str
    reference: str
    contrast: Contrast
    p: float

    @property
    def is_certain(self) -> bool:
        """Flag: the settings are different, at the level of 5 % for all comparisons together."""
        return self.p < LEVEL


class Errors:
    """Errors of several settings on the same faces, and bootstrap samples of their means.

    Args:
        by_setting: (S, N) errors of S seeds on N faces, by the setting's name; S may differ.
        groups: group of each face, such as the person or the photo.
        seed: seed of the random samples.
    """

    def __init__(self, by_setting: Mapping[str, FloatArray], groups: Sequence[str], seed: int = 0) -> None:
        self.by_setting = dict(by_setting)
        self._labels, places = np.unique(np.asarray(groups), return_inverse=True)
        self.means = {name: float(errors.mean()) for name, errors in self.by_setting.items()}
        random = np.random.default_rng(seed)
        count = len(self._labels)
        times = random.multinomial(count, np.full(count, 1 / count), _DRAWS).astype(np.float64)
        sizes = times @ np.bincount(places).astype(np.float64)
        self._over_groups = {
            name: times @ np.bincount(places, errors.mean(axis=0)) / sizes
            for name, errors in self.by_setting.items()
        }
        self._over_seeds = {
            name: _resampled(errors.mean(axis=1), random) for name, errors in self.by_setting.items()
        }

    @property
    def faces(self) -> int:
        """Number of faces."""
        return int(next(iter(self.by_setting.values())).shape[1])

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self._labels)

    @property
    def doubt(self) -> str:
        """Reason why no interval is honest; empty if there is none."""
        if len(self._labels) < FEWEST_GROUPS:
            groups = counted(len(self._labels), "group")
            return f"the faces are of {groups} (persons or photos), fewer than {FEWEST_GROUPS}"
        single = [name for name, errors in self.by_setting.items() if len(errors) < FEWEST_SEEDS]
        return f"{single[0]} has one seed" if single else ""

    def contrast(self, weights: Mapping[str, float]) -> Contrast:
        """Return a weighted sum of the settings' mean errors.

        Its variance is that over resampled groups plus that over resampled seeds, each corrected for the
        size of the sample; a percentile interval of three seeds would be too narrow.

        Args:
            weights: weights by the settings' names.
        """
        groups = len(self._labels)
        summed = sum(weight * self._over_groups[name] for name, weight in weights.items())
        parts = [(float(np.var(summed)) * groups / max(groups - 1, 1), groups - 1)]
        for name, weight in weights.items():
            seeds = len(self.by_setting[name])
            variance = float(np.var(self._over_seeds[name])) * seeds / max(seeds - 1, 1)
            parts.append((weight**2 * variance, seeds - 1))
        total = sum(variance for variance, _ in parts)
        spread = sum(variance**2 / freedom for variance, freedom in parts if freedom > 0)
        return Contrast(
            sum(weight * self.means[name] for name, weight in weights.items()),
            total**0.5,
            max(1.0, total**2 // spread) if spread > 0 else 1.0,
        )


def _resampled(values: FloatArray, random: np.random.Generator) -> FloatArray:
    count = len(values)
    return np.asarray(random.multinomial(count, np.full(count, 1 / count), _DRAWS) @ values / count)


def compare(
    errors: Errors, reference: str | None = None, averages: Mapping[str, Sequence[str]] | None = None
) -> list[Difference]:
    """Return the difference of each setting to a reference, in the order of the settings.

    The best setting is chosen by the same faces, so that comparisons with it are corrected for those of all
    pairs; comparisons with a named reference only for each other.

    Args:
        errors: errors of the settings.
        reference: name of a setting; ``None`` for the one with the smallest mean error.
        averages: settings whose means are compared, by the name of the average; ``None`` to compare the
            settings themselves.
    """
    members = {name: [name] for name in errors.means} if averages is None else averages
    means = {name: float(np.mean([errors.means[each] for each in own])) for name, own in members.items()}
    chosen = min(means, key=means.__getitem__) if reference is None else reference
    names = list(members)
    pairs = (
        combinations(names, 2) if reference is None else ((name, chosen) for name in names if name != chosen)
    )

    def difference(name: str, other: str) -> Contrast:
        weights = dict.fromkeys(members[name], 1 / len(members[name]))
        for each in members[other]:
            weights[each] = weights.get(each, 0.0) - 1 / len(members[other])
        return errors.contrast(weights)

    contrasts = {frozenset(pair): difference(*pair) for pair in pairs}
    adjusted = dict(zip(contrasts, _holm([each.p for each in contrasts.values()]), strict=True))
    return [
        Difference(name, chosen, difference(name, chosen), adjusted[frozenset((name, chosen))])
        for name in names
        if name != chosen
    ]


def _holm(p: Sequence[float]) -> list[float]:
    """Return the probabilities after Holm's correction, in the same order."""
    adjusted, largest = [0.0] * len(p), 0.0
    for place, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - place) * p[index]))
        adjusted[index] = largest
    return adjusted
