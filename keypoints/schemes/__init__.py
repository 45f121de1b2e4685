"""Landmark schemes, a YAML file each: names of the points, parts, skeleton, mirror permutation.

A scheme of your own is one such file; ``kaggle15.yaml`` is a short example. Points are given by name or
number, ``0-16`` stands for the points 0 to 16. COCO's categories describe points too, without parts and
normalising points.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from keypoints.errors import ConfigError, DataError, one_line, some_of
from keypoints.formatting import counted
from keypoints.input_files import MISSING, MOST_LIST, read_unpacked_text, why_not_regular
from keypoints.landmarks import LandmarkScheme, mirror_permutation
from keypoints.schemes.coco_category import category_name, category_points, is_point_name
from keypoints.structured_files import read_plain_yaml

log = logging.getLogger(__name__)

_FOLDER = Path(__file__).parent
_MOST_POINTS = 10_000
"""Largest number of points of a scheme; a mistyped number would fill the memory."""
_SPAN = re.compile(r"(\d+)-(\d+)")
_KEYS = ("name", "source", "points", "parts", "skeleton", "flip_indices", "normalizing_points", "selections")


def known_schemes() -> list[str]:
    """Return the names of the schemes of this package."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def scheme_named(name: str | Path) -> LandmarkScheme:
    """Return a scheme by its name, or read it from a YAML file or from a COCO list.

    Args:
        name: name of a scheme of this package, such as ``"ibug68"``, or path of a YAML file, or of a COCO
            list (``.json``), whose category describes the points.

    Raises:
        ConfigError: if there is no such scheme or file; the message lists the known ones.
        DataError: if the file is no scheme; the message names the file and the key.
    """
    if str(name) in known_schemes():
        return _known(str(name))
    path = Path(name)
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise ConfigError(
            f"there is no landmark scheme {str(name)!r}; there are {', '.join(known_schemes())}, or give the "
            "path of a YAML file, or of a COCO list (.json)"
        )
    if why_not_regular(path) == MISSING:
        raise ConfigError(f"{path}: there is no such landmark scheme file")
    if path.suffix != ".json":
        return read_scheme(path)
    scheme = _scheme_of_coco(path)
    tell_flips(scheme)
    return scheme


def scheme_with_names(names: Collection[str]) -> LandmarkScheme | None:
    """Return the scheme of this package whose points have these names, in any order; ``None`` if none has.

    Args:
        names: names of points.
    """
    return next((each for each in map(_known, known_schemes()) if {*each.names} == {*names}), None)


def scheme_of_category(category: Mapping[str, Any], path: Path) -> LandmarkScheme | None:
    """Return the scheme that a COCO category describes.

    It is a scheme of this package if the names are the same. Else all points are one part, and the mirror
    permutation is derived from ``left`` and ``right`` in the names. Names that only count the points of
    parts, as :func:`point_names` makes them, do not tell which points of two parts are mirrored.

    Args:
        category: entry of ``categories``.
        path: the list, for messages.

    Returns:
        The scheme, called as the category; ``None`` if the category neither names its points nor joins them.

    Raises:
        DataError: if the description cannot be used; the message names list and category.
    """
    name = category_name(category)
    try:
        points = category_points(category)
    except ValueError as error:
        raise DataError(f"{path}: category {name}: {error}") from error
    if not points.names and not points.skeleton:
        return None
    all_known = map(_known, known_schemes())
    known = next((each for each in all_known if points.names in (each.names, _names_by_part(each))), None)
    return known or LandmarkScheme(
        name=name,
        parts={"points": tuple(range(points.number))},
        flip_indices=None if _count_within_parts(points.names) else mirror_permutation(points.names),
        normalizing_points=None,
        skeleton=points.skeleton,
        names=points.names,
    )


def point_names(scheme: LandmarkScheme) -> tuple[str, ...]:
    """Return a name for each point: the scheme's own, or else parts and numbers, such as ``jaw_0``.

    Older checkpoints have no names; a scheme of this package has its names there too.

    Args:
        scheme: landmarks with or without names.
    """
    known = next((each for each in map(_known, known_schemes()) if each == scheme), scheme)
    return scheme.names or known.names or _names_by_part(scheme)


def _names_by_part(scheme: LandmarkScheme) -> tuple[str, ...]:
    names = {
        index: f"{part}_{place}"
        for part, indices in scheme.parts.items()
        for place, index in enumerate(indices)
    }
    return tuple(names[index] for index in range(len(scheme)))


def _count_within_parts(names: Sequence[str]) -> bool:
    """Return whether names are made of parts and numbers from 0, with several points in a part."""
    found = [name.rpartition("_") for name in names]
    counts = Counter(part for part, _, _ in found)
    numbers = {part: [place for each, _, place in found if each == part] for part in counts}
    counted = all(own == list(map(str, range(len(own)))) for own in numbers.values())
    return counted and len(counts) < len(names)


def _scheme_of_coco(path: Path) -> LandmarkScheme:
    try:
        whole = json.loads(read_unpacked_text(path, MOST_LIST))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({one_line(error)})") from error
    given = whole.get("categories") if isinstance(whole, dict) else None
    listed = given if isinstance(given, list) else []
    categories = [each for each in listed if isinstance(each, dict) and each.get("keypoints")]
    if len(categories) != 1:
        found = some_of([category_name(each) for each in categories], 3) if categories else "none"
        raise DataError(
            f"{path}: a landmark scheme needs a COCO list with one category whose keypoints have names; it "
            f"has {found}"
        )
    scheme = scheme_of_category(categories[0], path)
    if scheme is None:
        raise DataError(f"{path}: category {category_name(categories[0])}: its keypoints have no names")
    return scheme


@lru_cache
def _known(name: str) -> LandmarkScheme:
    return read_scheme(_FOLDER / f"{name}.yaml", quiet=True)


def read_scheme(path: Path, *, quiet: bool = False) -> LandmarkScheme:
    """Return the scheme in a YAML file.

    Only ``points`` is required: the names of the points, or their number. Without ``flip_indices`` the mirror
    permutation is derived from ``left`` and ``right`` in the names, which the log tells.

    Args:
        path: the file.
        quiet: log nothing.

    Raises:
        FileNotFoundError: if the file does not exist.
        DataError: if it is no scheme; the message names the file and the key.
    """
    values = read_plain_yaml(path)
    if unknown := [key for key in values if key not in _KEYS]:
        raise DataError(f"{path}: has an unknown key {unknown[0]}; the keys are {', '.join(_KEYS)}")
    try:
        scheme = _scheme(values, str(values.get("name") or path.stem))
    except (ConfigError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
    if not quiet and "flip_indices" not in values:
        tell_flips(scheme)
    return scheme


def _scheme(values: Mapping[str, Any], name: str) -> LandmarkScheme:
    points = values.get("points")
    if isinstance(points, int) and not isinstance(points, bool) and 0 < points <= _MOST_POINTS:
        names: tuple[str, ...] = ()
        count = points
    elif isinstance(points, list) and 0 < len(points) <= _MOST_POINTS and all(map(is_point_name, points)):
        names, count = tuple(points), len(points)
    else:
        raise ValueError(f"points is the list of the points' names, or their number, up to {_MOST_POINTS:,}")
    if twice := [each for place, each in enumerate(names) if each in names[:place]]:
        raise ValueError(f"points: {twice[0]} is named twice")

    def numbers(key: str, given: object) -> tuple[int, ...]:
        return tuple(_numbers(key, given, names, count))

    flip = values.get("flip_indices")
    chains = values.get("skeleton") or []
    pair = None
    if (given := values.get("normalizing_points")) is not None:
        pair = numbers("normalizing_points", given)
        if len(pair) != 2 or pair[0] == pair[1]:
            raise ValueError("normalizing_points is two points, whose distance divides the errors")
    if not isinstance(chains, list):
        raise ValueError("skeleton is a list of chains of points")  # noqa: TRY004  caught with the others
    lines = [numbers("skeleton", chain) for chain in chains]
    if single := [chain for chain, line in zip(chains, lines, strict=True) if len(line) < 2]:
        raise ValueError(
            f"skeleton: {single[0]!r} joins nothing; it is a list of chains of two points or more, such as "
            "[[0, 1, 2], 3-4]"
        )
    parts = _groups("parts", values.get("parts"), numbers) or {"points": tuple(range(count))}
    if (contained := sum(map(len, parts.values()))) != count:
        raise ValueError(
            f"parts: contain {counted(contained, 'point')}; each of the {count} belongs to one part"
        )
    return LandmarkScheme(
        name=name,
        parts=parts,
        flip_indices=mirror_permutation(names) if flip is None else numbers("flip_indices", flip),
        normalizing_points=None if pair is None else (pair[0], pair[1]),
        skeleton=tuple(line for chain in lines for line in pairwise(chain)),
        selections=_groups("selections", values.get("selections"), numbers),
        names=names,
    )


def _groups(
    key: str, given: object, numbers: Callable[[str, object], tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ValueError(f"{key} is a mapping of names to points")  # noqa: TRY004  caught with the others
    groups = {str(name): numbers(f"{key}.{name}", points) for name, points in given.items()}
    if empty := [name for name, points in groups.items() if not points]:
        raise ValueError(f"{key}.{empty[0]} contains no point")
    return groups


def _numbers(key: str, given: object, names: Sequence[str], count: int) -> Iterator[int]:
    """Yield the points that a value of a scheme's file stands for."""
    if isinstance(given, list):
        for each in given:
            yield from _numbers(key, each, names, count)
        return
    span = _SPAN.fullmatch(given) if isinstance(given, str) else None
    if isinstance(given, str) and given in names:
        yield names.index(given)
    elif isinstance(given, int) and not isinstance(given, bool) and 0 <= given < count:
        yield given
    elif span is not None and int(span[1]) <= int(span[2]) < count:
        yield from range(int(span[1]), int(span[2]) + 1)
    else:
        raise ValueError(f"{key}: {given!r} is none of the {counted(count, 'point')}")


def tell_flips(scheme: LandmarkScheme) -> None:
    """Log which points a mirrored copy exchanges, as derived from the names.

    Args:
        scheme: scheme whose mirror permutation is derived.
    """
    if scheme.flip_indices is None:
        log.warning(
            "%s: its points have no mirrored copies, so nothing is flipped: give flip_indices, or name the "
            "points by left and right",
            scheme.name,
        )
        return
    pairs = [
        f"{scheme.names[place]} ↔ {scheme.names[other]}"
        for place, other in enumerate(scheme.flip_indices)
        if place < other
    ]
    log.info("%s: flip_indices derived from the names: %s", scheme.name, some_of(pairs, 5))


IMM58 = scheme_named("imm58")
"""The IMM Face Database's 58 points. ``nose_tip`` is the course's nose point, index -6."""

IBUG68 = scheme_named("ibug68")
"""300-W's 68 points; ``normalizing_points`` are the outer eye corners."""
