"""Landmark schemes: the points of a face, their parts, skeleton and mirror permutation.

Models, augmentation, plots, metrics and reports all use the scheme. Left and right refer to
the picture, not to the person: ``left_eye`` is the eye nearer to x = 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

from keypoints.errors import ConfigError
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

    Raises:
        ConfigError: if parts, permutation, normalising points, skeleton or selections contradict each other.
    """

    name: str
    parts: Mapping[str, tuple[int, ...]]
    flip_indices: tuple[int, ...] | None
    normalizing_points: tuple[int, int] | None
    skeleton: tuple[tuple[int, int], ...]
    selections: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

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
            raise ConfigError(f"scheme {self.name}: an index lies outside its {len(self)} points")

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
            )
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"not a landmark scheme: {error!r}") from error


def _span(first: int, last: int) -> tuple[int, ...]:
    """Return the indices from ``first`` to ``last``, both included, in either direction."""
    step = 1 if last >= first else -1
    return tuple(range(first, last + step, step))


def _lines(points: Sequence[int], *, closed: bool = False) -> tuple[tuple[int, int], ...]:
    lines = tuple(pairwise(points))
    return (*lines, (points[-1], points[0])) if closed else lines


def _scheme(
    name: str,
    parts: Mapping[str, tuple[int, ...]],
    *,
    closed: Sequence[str],
    flip_indices: tuple[int, ...],
    normalizing_points: tuple[int, int],
    selections: Mapping[str, tuple[int, ...]],
) -> LandmarkScheme:
    """Return a scheme whose skeleton joins the points of each part in order; ``closed`` parts form a loop."""
    skeleton = tuple(line for part in parts for line in _lines(parts[part], closed=part in closed))
    return LandmarkScheme(name, parts, flip_indices, normalizing_points, skeleton, selections)


IMM58 = _scheme(
    "imm58",
    {
        "jaw": _span(0, 12),
        "right_eye": _span(13, 20),
        "left_eye": _span(21, 28),
        "right_brow": _span(29, 33),
        "left_brow": _span(34, 38),
        "mouth": _span(39, 46),
        "nose": _span(47, 57),
    },
    closed=("right_eye", "left_eye", "mouth"),
    flip_indices=(
        *_span(12, 0),
        *_span(21, 28),
        *_span(13, 20),
        *_span(34, 38),
        *_span(29, 33),
        *_span(43, 39),
        *_span(46, 44),
        *_span(57, 47),
    ),
    normalizing_points=(13, 21),
    selections={"nose_tip": (52,)},
)
"""The IMM Face Database's 58 points (Nordstrøm et al., 2004).

``nose_tip`` is the course's (UC Berkeley CS 194-26, project 5) nose point, index -6; it lies at the base of
the nose. ``normalizing_points`` are the outer eye corners.
"""

IBUG68 = _scheme(
    "ibug68",
    {
        "jaw": _span(0, 16),
        "left_brow": _span(17, 21),
        "right_brow": _span(22, 26),
        "nose_bridge": _span(27, 30),
        "lower_nose": _span(31, 35),
        "left_eye": _span(36, 41),
        "right_eye": _span(42, 47),
        "outer_lip": _span(48, 59),
        "inner_lip": _span(60, 67),
    },
    closed=("left_eye", "right_eye", "outer_lip", "inner_lip"),
    flip_indices=(
        *_span(16, 0),
        *_span(26, 17),
        *_span(27, 30),
        *_span(35, 31),
        *(45, 44, 43, 42, 47, 46),
        *(39, 38, 37, 36, 41, 40),
        *_span(54, 48),
        *_span(59, 55),
        *_span(64, 60),
        *_span(67, 65),
    ),
    normalizing_points=(36, 45),
    selections={"nose_tip": (30,)},
)
"""300-W's 68 points (Sagonas et al., 2013); ``normalizing_points`` are the outer eye corners."""

SCHEMES: Mapping[str, LandmarkScheme] = {scheme.name: scheme for scheme in (IMM58, IBUG68)}
"""Complete schemes, by name."""


def scheme_named(name: str) -> LandmarkScheme:
    """Return the scheme with a given name.

    Raises:
        ConfigError: if the name is unknown; the message lists the known ones.
    """
    if name not in SCHEMES:
        raise ConfigError(f"there is no landmark scheme {name!r}; there are {', '.join(SCHEMES)}")
    return SCHEMES[name]
