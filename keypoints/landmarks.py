"""Landmark schemes: the points of a face, their parts, skeleton and mirror permutation.

The schemes themselves are YAML files in ``keypoints/schemes``. Models, augmentation, plots, metrics and
reports all use the scheme. Left and right refer to the picture, not to the person: ``left_eye`` is the
eye nearer to x = 0.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from keypoints.errors import ConfigError
from keypoints.formatting import counted
from keypoints.older_names import SCHEME


@dataclass(frozen=True)
class LandmarkScheme:
    """Named, ordered set of landmarks.

    Args:
        name: the scheme's name in reports and checkpoints.
        parts: disjoint groups of point indices that together contain all points.
        flip_indices: the mirror permutation: after a horizontal flip, point ``i`` is the former point
            ``flip_indices[i]``. It is its own inverse. ``None`` if the points are not closed under mirroring.
        normalizing_points: the two points whose distance normalises NME, or ``None``.
        skeleton: pairs of indices joined by a line in plots.
        selections: further named subsets for :meth:`select`, which may overlap the parts.
        names: names of the points, in order; empty if they have none. Schemes are equal without them: older
            checkpoints have none.

    Raises:
        ConfigError: if parts, permutation, normalising points, skeleton, selections or names contradict each
            other.
    """

    name: str
    parts: Mapping[str, tuple[int, ...]]
    flip_indices: tuple[int, ...] | None
    normalizing_points: tuple[int, int] | None
    skeleton: tuple[tuple[int, int], ...]
    selections: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    names: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        indices = [index for part in self.parts.values() for index in part]
        if not indices or sorted(indices) != list(range(len(indices))):
            raise ConfigError(f"scheme {self.name}: the parts must name each of 0…{len(indices) - 1} once")
        if self.flip_indices is not None and (
            sorted(self.flip_indices) != list(range(len(self)))
            or any(self.flip_indices[self.flip_indices[index]] != index for index in range(len(self)))
        ):
            raise ConfigError(
                f"scheme {self.name}: flip_indices must be a permutation of its points and its own inverse"
            )
        used = [*(self.normalizing_points or ()), *(i for line in self.skeleton for i in line)]
        used += [i for selection in self.selections.values() for i in selection]
        if any(not 0 <= index < len(self) for index in used):
            raise ConfigError(f"scheme {self.name}: an index lies outside its {counted(len(self), 'point')}")
        if self.names and len(self.names) != len(self):
            raise ConfigError(
                f"scheme {self.name}: has {len(self.names)} names for {counted(len(self), 'point')}"
            )
        if twice := [name for name, count in Counter(self.names).items() if count > 1]:
            raise ConfigError(f"scheme {self.name}: the point {twice[0]} is named twice")

    def __len__(self) -> int:
        """Return the number of points."""
        return sum(len(part) for part in self.parts.values())

    def indices(self, name: str) -> tuple[int, ...]:
        """Return the point indices of a part or selection.

        Args:
            name: name of the part or selection.

        Returns:
            Indices into the scheme's points, in order.

        Raises:
            ConfigError: if the name is unknown; the message lists the known ones.
        """
        subsets = {**self.parts, **self.selections}
        if name not in subsets:
            raise ConfigError(f"{self.name} has no landmarks {name!r}; it has {', '.join(sorted(subsets))}")
        return subsets[name]

    @property
    def eye_line(self) -> tuple[int, int] | None:
        """Normalising points of an upright face, the left one in the picture first.

        ``None`` if the scheme has none, or the names of their parts do not tell left from right.
        """
        if self.normalizing_points is None:
            return None
        first, second = (
            next(name for name, part in self.parts.items() if i in part) for i in self.normalizing_points
        )
        if first.startswith("left") and second.startswith("right"):
            return self.normalizing_points
        if first.startswith("right") and second.startswith("left"):
            return self.normalizing_points[::-1]
        return None

    def select(self, name: str) -> "LandmarkScheme":
        """Return the scheme of one part or selection, its points renumbered from 0 in their order.

        A line of the skeleton stays if both ends are selected, the normalising points if both are, and the
        mirror permutation if each point's mirrored point is selected.

        Args:
            name: name of the part or selection.

        Returns:
            A scheme called ``<scheme>-<name>``, with ``name`` as its only part.

        Raises:
            ConfigError: if the name is unknown; the message lists the known ones.
        """
        chosen = self.indices(name)
        new = {old: position for position, old in enumerate(chosen)}
        flip = None
        if self.flip_indices is not None and all(self.flip_indices[old] in new for old in chosen):
            flip = tuple(new[self.flip_indices[old]] for old in chosen)
        pair = None
        if self.normalizing_points is not None and all(old in new for old in self.normalizing_points):
            pair = (new[self.normalizing_points[0]], new[self.normalizing_points[1]])
        return LandmarkScheme(
            name=f"{self.name}-{name}",
            parts={name: tuple(range(len(chosen)))},
            flip_indices=flip,
            normalizing_points=pair,
            skeleton=tuple((new[a], new[b]) for a, b in self.skeleton if a in new and b in new),
            names=tuple(self.names[old] for old in chosen) if self.names else (),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the scheme as plain values for a checkpoint; :meth:`from_dict` reads them."""
        return {
            "name": self.name,
            "parts": {name: list(part) for name, part in self.parts.items()},
            "flip_indices": None if self.flip_indices is None else list(self.flip_indices),
            "normalizing_points": None if self.normalizing_points is None else list(self.normalizing_points),
            "skeleton": [list(line) for line in self.skeleton],
            "selections": {name: list(part) for name, part in self.selections.items()},
            "names": list(self.names),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the scheme that :meth:`to_dict` wrote.

        Args:
            values: the fields of the scheme, by name; older names are read too.

        Returns:
            The scheme.

        Raises:
            ConfigError: if values are missing, of the wrong type, or contradict each other.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"a scheme is a LandmarkScheme, such as data.scheme or keypoints.IBUG68, not {values!r:.60}"
            )
        values = {SCHEME.get(key, key): value for key, value in values.items()}
        try:
            flip, pair = values["flip_indices"], values["normalizing_points"]
            return cls(
                name=str(values["name"]),
                parts={str(name): tuple(map(int, part)) for name, part in values["parts"].items()},
                flip_indices=None if flip is None else tuple(map(int, flip)),
                normalizing_points=None if pair is None else (int(pair[0]), int(pair[1])),
                skeleton=tuple((int(a), int(b)) for a, b in values["skeleton"]),
                selections={
                    str(name): tuple(map(int, part)) for name, part in values.get("selections", {}).items()
                },
                names=tuple(map(str, values.get("names", ()))),
            )
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"not a landmark scheme: {error!r}") from error


def mirror_permutation(names: Sequence[str]) -> tuple[int, ...] | None:
    """Return the mirror permutation of points whose names tell left from right.

    The mirrored point of ``left_eye`` is ``right_eye``; a name without ``left`` or ``right`` is its own.

    Args:
        names: names of the points, in order.

    Returns:
        As :attr:`LandmarkScheme.flip_indices`; ``None`` if no name has a side, or a mirrored name is missing.
    """
    places = {name: place for place, name in enumerate(names)}
    mirrored = [_mirrored_name(name) for name in names]
    if mirrored == list(names) or not set(mirrored) <= set(places):
        return None
    return tuple(places[name] for name in mirrored)


def first_moved(one: LandmarkScheme, other: LandmarkScheme) -> int | None:
    """Return the first point whose name differs between schemes that have the same names in another order.

    Args:
        one: a scheme.
        other: another scheme.

    Returns:
        Index of the point; ``None`` if the names are equal, or are not the same set.
    """
    if one.names == other.names or sorted(one.names) != sorted(other.names):
        return None
    return next(place for place, name in enumerate(one.names) if name != other.names[place])


_SIDES = {
    **{"left": "right", "Left": "Right", "LEFT": "RIGHT"},
    **{"right": "left", "Right": "Left", "RIGHT": "LEFT"},
}
_SIDE = re.compile(r"(?<![a-z])(left|right)(?![a-z])|(Left|Right)(?![a-z])|(?<![A-Z])(LEFT|RIGHT)(?![A-Z])")


def _mirrored_name(name: str) -> str:
    return _SIDE.sub(lambda found: _SIDES[found.group()], name)
