"""Splits of faces that keep groups together."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from keypoints.data.face import Face
from keypoints.data.photo_facts import is_of_photo
from keypoints.errors import ConfigError, DataError
from keypoints.formatting import counted


def split_by_group(faces: Sequence[Face], fraction: float, seed: int) -> tuple[list[Face], list[Face]]:
    """Split off about a fraction of the faces, by complete groups.

    The choice of groups depends on the seed and the groups' names, not on the order of the faces. Both parts
    keep that order. Groups that share a photo count as one.

    Args:
        faces: faces in any order.
        fraction: fraction of the faces to split off, between 0 and 1.
        seed: seed of the choice, an integer from 0 up.

    Returns:
        The remaining faces, and the faces that were split off.

    Raises:
        ConfigError: if the fraction or the seed is out of range.
        DataError: if there are fewer than two groups.
    """
    if not isinstance(fraction, int | float) or not 0 < fraction < 1:
        raise ConfigError(f"the fraction to split off lies between 0 and 1, not {fraction!r}")
    groups = united_groups(faces)
    sizes = Counter(groups)
    if len(sizes) < 2:
        raise DataError(f"{len(sizes)} group of faces cannot be split; two or more can")
    shuffled = _shuffled(sizes, seed)
    reached = np.cumsum([sizes[name] for name in shuffled])
    # The number of groups that comes nearest to the fraction, with at least one group in each part.
    count = int(np.abs(reached[:-1] - fraction * len(faces)).argmin()) + 1
    chosen = set(shuffled[:count])
    return split_off(faces, [group in chosen for group in groups])


def split_off(faces: Sequence[Face], flags: Iterable[bool]) -> tuple[list[Face], list[Face]]:
    """Return the faces whose flag is not set, and those whose flag is set, in their order.

    Args:
        faces: faces in any order.
        flags: a flag for each face.
    """
    parts: tuple[list[Face], list[Face]] = [], []
    for face, flag in zip(faces, flags, strict=True):
        parts[flag].append(face)
    return parts


def split_into_folds(faces: Sequence[Face], folds: int, seed: int) -> list[int]:
    """Divide faces into folds of about equal size, by complete groups.

    The largest groups are assigned first, each to the fold that has the fewest faces so far. The numbers of
    faces of two folds therefore differ at most by the size of the largest group; without groups of several
    faces, at most by one. The folds depend on the seed and the groups' names, not on the order of the faces.
    Groups that share a photo count as one.

    Args:
        faces: faces in any order.
        folds: number of folds, from 2 up.
        seed: seed of the choice among groups of equal size, an integer from 0 up.

    Returns:
        The number of each face's fold, from 0 up. No fold is empty.

    Raises:
        ConfigError: if the number of folds or the seed is out of range.
        DataError: if there are fewer groups than folds.
    """
    check_fold(folds, None)
    groups = united_groups(faces)
    sizes = Counter(groups)
    if len(sizes) < folds:
        raise DataError(
            f"{counted(len(sizes), 'group')} of faces cannot be divided into {counted(folds, 'fold')}; "
            "take fewer: data.folds"
        )
    reached = [0] * folds
    chosen: dict[str, int] = {}
    for name in sorted(_shuffled(sizes, seed), key=lambda name: -sizes[name]):
        fold = reached.index(min(reached))
        chosen[name] = fold
        reached[fold] += sizes[name]
    return [chosen[group] for group in groups]


def check_fold(folds: int | None, fold: int | None) -> None:
    """Check the settings of a cross-validation.

    Args:
        folds: number of folds; ``None`` if it is not given.
        fold: number of the fold that validates, from 0 up; ``None`` for no cross-validation.

    Raises:
        ConfigError: if a number is out of range, or a fold is given without the number of folds.
    """
    if folds is not None and (not _is_whole(folds) or folds < 2):
        raise ConfigError(f"folds is a number from 2 up, or null, not {folds!r}")
    if fold is not None and folds is None:
        raise ConfigError(f"fold {fold!r} needs the number of folds: data.folds=5, for example")
    if fold is not None and folds is not None and (not _is_whole(fold) or not 0 <= fold < folds):
        raise ConfigError(
            f"fold is a number from 0 to {folds - 1}, or null for no cross-validation, not {fold!r}"
        )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shuffled(names: Iterable[str], seed: int) -> list[str]:
    """Return names in an order that depends on the seed, but not on the order given.

    Raises:
        ConfigError: if the seed is out of range.
    """
    if not _is_whole(seed) or seed < 0:
        raise ConfigError(f"the seed of a split is a whole number from 0 up, not {seed!r}")
    ordered = sorted(names)
    return [ordered[index] for index in np.random.default_rng(seed).permutation(len(ordered))]


def united_groups(faces: Sequence[Face]) -> list[str]:
    """Return the group of each face; groups that share a photo are united under one name.

    Args:
        faces: faces in any order.
    """
    first: dict[str, str] = {}

    def find(tie: str) -> str:
        while first.setdefault(tie, tie) != tie:
            first[tie] = first[first[tie]]
            tie = first[tie]
        return tie

    for face in faces:
        one, other = find(face.group), find(face.photo_id or face.group)
        # The alphabetically first name is kept, so that the order of the faces does not matter; a list's own
        # group takes precedence over a photo.
        kept, joined = sorted((one, other), key=lambda tie: (is_of_photo(tie), tie))
        first[joined] = kept
    return [find(face.group) for face in faces]
