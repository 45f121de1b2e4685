"""Splitting faces without tearing groups apart."""

from collections.abc import Sequence

import numpy as np

from keypoints.data.face import Face
from keypoints.data.photo_facts import is_of_photo
from keypoints.errors import ConfigError, DataError


def split_by_group(faces: Sequence[Face], fraction: float, seed: int) -> tuple[list[Face], list[Face]]:
    """Carve about ``fraction`` of the faces off, by whole groups: what remains, and what is carved.

    Which groups is decided by the seed and the groups' names, whatever the order of the faces. Both
    parts keep that order. Groups that share a photo are one.

    Raises:
        ConfigError: if the fraction is not between 0 and 1, or the seed is no whole number from 0 up.
        DataError: if there are not two groups.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"the seed of a split is a whole number from 0 up, not {seed!r}")
    if not isinstance(fraction, int | float) or not 0 < fraction < 1:
        raise ConfigError(f"the fraction to carve off lies between 0 and 1, not {fraction!r}")
    groups = united_groups(faces)
    names = sorted(set(groups))
    if len(names) < 2:
        raise DataError(f"{len(names)} group of faces cannot be split; two or more can")
    sizes = dict.fromkeys(names, 0)
    for group in groups:
        sizes[group] += 1
    drawn = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    reached = np.cumsum([sizes[name] for name in drawn])
    # As many groups as come nearest to the fraction; at least one stays on either side.
    count = int(np.abs(reached[:-1] - fraction * len(faces)).argmin()) + 1
    carved = set(drawn[:count])
    return (
        [face for face, group in zip(faces, groups, strict=True) if group not in carved],
        [face for face, group in zip(faces, groups, strict=True) if group in carved],
    )


def united_groups(faces: Sequence[Face]) -> list[str]:
    """Return the group of each face; groups that share a photo have the name of the first of them.

    Args:
        faces: in any order.
    """
    first: dict[str, str] = {}

    def find(tie: str) -> str:
        while first.setdefault(tie, tie) != tie:
            first[tie] = first[first[tie]]
            tie = first[tie]
        return tie

    for face in faces:
        one, other = find(face.group), find(face.photo_id or face.group)
        # The smaller name stands for both, so that the order of the faces does not matter; a list's own
        # group stands before a photo.
        kept, joined = sorted((one, other), key=lambda tie: (is_of_photo(tie), tie))
        first[joined] = kept
    return [find(face.group) for face in faces]
