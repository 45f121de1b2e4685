"""Sizes and identities of photos, read without decoding them."""

import hashlib
from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from keypoints.data.photo_names import composed
from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.input_files import MOST_PHOTO, read_bytes
from keypoints.threads import mapped_in_threads


class Facts(NamedTuple):
    """Size and identity of a photo that has not been decoded."""

    size: tuple[int, int] | None
    """Width and height of the upright picture; ``None`` if the file is no picture."""
    group: str
    """Identity of the photo and its mirrored copy, independent of the list that names it and its folder."""
    photo_id: str
    """Identity of the photo by name and contents alone, also for a photo in 300-W's folders."""


class Naming(NamedTuple):
    """Naming convention of a data set, which relates file names to originals and groups."""

    original: Callable[[Path], Path]
    """Function from a file to the photo that it is a mirrored copy of, or to the file itself."""
    group: Callable[[Path], str | None]
    """Function from a photo to its group in the data set's own lists; ``None`` for other photos."""


PLAIN = Naming(original=lambda path: path, group=lambda _: None)
"""No convention: file names carry no information."""


def read_photo_facts(paths: Iterable[Path], naming: Naming = PLAIN) -> dict[Path, Facts | DataError]:
    """Return the sizes and identities of photos; no photo is decoded.

    A photo that the naming convention recognises has the same group as in its data set's own lists. Any
    other photo is a group of its own, identified by its file name and a digest of its contents.

    Args:
        paths: regular files, or links to some.
        naming: naming convention of the data set whose photos may be among the files.

    Returns:
        The facts about each photo, or the error that prevents reading it.
    """
    distinct = list(dict.fromkeys(paths))
    originals = {path: naming.original(path) for path in distinct}
    files = list(dict.fromkeys(chain(distinct, originals.values())))
    seen = dict(zip(files, mapped_in_threads(partial(_read_facts, naming), files), strict=True))
    return {path: _with_original(seen[path], seen[originals[path]]) for path in distinct}


def _with_original(own: Facts | DataError, original: Facts | DataError) -> Facts | DataError:
    if isinstance(own, DataError) or isinstance(original, DataError):
        return own
    return own._replace(group=original.group, photo_id=original.photo_id)


def _read_facts(naming: Naming, path: Path) -> Facts | DataError:
    file = path.resolve()
    try:
        contents = read_bytes(file, MOST_PHOTO)
    except DataError as error:
        return error
    try:
        size = Photo(path, contents=contents).size
    except DataError:  # decoding the photo will report what is wrong
        size = None
    photo_id = f"{composed(file.name)} {hashlib.blake2b(contents, digest_size=16).hexdigest()}"
    return Facts(size, naming.group(file) or photo_id, photo_id)


def count_groups(ties: Collection[str]) -> int:
    """Return the number of named groups, or of photos if no group has a name.

    Args:
        ties: names of groups, and names with digests of photos, from a model's file.
    """
    return sum(not is_of_photo(tie) for tie in ties) or len(ties)


def named_group(group: str) -> str:
    """Return a group as written to a list: empty for a group that is just the photo.

    Args:
        group: group of a face.
    """
    return "" if is_of_photo(group) else group


def is_of_photo(group: str) -> bool:
    """Return whether a group is a photo's name and digest, as :func:`read_photo_facts` makes it.

    >>> is_of_photo("a.jpg 0cc175b9c0f1b6a831c399e269772661"), is_of_photo("person 7")
    (True, False)
    """
    name, _, digest = group.rpartition(" ")
    return bool(name) and len(digest) == 32 and set(digest) <= set("0123456789abcdef")
