"""Splits of faces that keep groups together."""

from collections.abc import Sequence

import numpy as np

from keypoints.data.face import Face
from keypoints.data.photo_facts import is_of_photo
from keypoints.errors import ConfigError, DataError


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
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"the seed of a split is a whole number from 0 up, not {seed!r}")
    if not isinstance(fraction, int | float) or not 0 < fraction < 1:
        raise ConfigError(f"the fraction to split off lies between 0 and 1, not {fraction!r}")
    groups = united_groups(faces)
    names = sorted(set(groups))
    if len(names) < 2:
        raise DataError(f"{len(names)} group of faces cannot be split; two or more can")
    sizes = dict.fromkeys(names, 0)
    for group in groups:
        sizes[group] += 1
    shuffled = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    reached = np.cumsum([sizes[name] for name in shuffled])
    # The number of groups that comes nearest to the fraction, with at least one group in each part.
    count = int(np.abs(reached[:-1] - fraction * len(faces)).argmin()) + 1
    chosen = set(shuffled[:count])
    return (
        [face for face, group in zip(faces, groups, strict=True) if group not in chosen],
        [face for face, group in zip(faces, groups, strict=True) if group in chosen],
    )


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
