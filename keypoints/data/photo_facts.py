"""What is known of photos before they are decoded: their sizes, and which they are."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from keypoints.data.photo_names import composed
from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.input_files import MOST_PHOTO, read_bytes


class Facts(NamedTuple):
    """What is known of a photo without decoding it."""

    size: tuple[int, int] | None
    """Width and height of the upright picture; ``None`` if it is none."""
    group: str
    """The photo, with its mirror image: the same by whatever list it is found, and wherever it lies."""
    photo_id: str
    """The same by name and contents alone, also of a photo in 300-W's folders."""


class Naming(NamedTuple):
    """What a data set's names of files tell, wherever its photos lie and whatever list names them."""

    original: Callable[[Path], Path]
    """The photo that a file is the mirrored copy of, or the file itself."""
    group: Callable[[Path], str | None]
    """The group that the data set's own lists give a photo; ``None`` for photos of other data sets."""


PLAIN = Naming(original=lambda path: path, group=lambda _: None)
"""Names tell nothing."""


def look_at_photos(paths: Iterable[Path], naming: Naming = PLAIN) -> dict[Path, Facts | DataError]:
    """Look at photos; none is decoded.

    A photo that the naming knows has the group that its data set's own lists give it, with its other faces.
    Any other is a group of its own, known by its file name and a digest of its contents.

    Args:
        paths: regular files, or links to some.
        naming: of the data set whose photos may be among them.

    Returns:
        What is known of each, or why it cannot be read.
    """
    distinct = list(dict.fromkeys(paths))
    originals = {path: naming.original(path) for path in distinct}
    files = list(dict.fromkeys(chain(distinct, originals.values())))
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # files are read outside the interpreter's lock
        seen = dict(zip(files, threads.map(partial(_look, naming), files), strict=True))
    return {path: _facts(seen[path], seen[originals[path]]) for path in distinct}


def _facts(own: Facts | DataError, original: Facts | DataError) -> Facts | DataError:
    if isinstance(own, DataError) or isinstance(original, DataError):
        return own
    return own._replace(group=original.group, photo_id=original.photo_id)


def _look(naming: Naming, path: Path) -> Facts | DataError:
    file = path.resolve()
    try:
        contents = read_bytes(file, MOST_PHOTO)
    except DataError as error:
        return error
    try:
        size = Photo(path, contents=contents).size
    except DataError:  # decoding it will say what is wrong
        size = None
    photo_id = f"{composed(file.name)} {hashlib.blake2b(contents, digest_size=16).hexdigest()}"
    return Facts(size, naming.group(file) or photo_id, photo_id)


def count_groups(ties: Collection[str]) -> int:
    """Return how many groups a model's file keeps: those with names, or else the photos.

    Args:
        ties: groups, and photos by name and contents.
    """
    return sum(not is_of_photo(tie) for tie in ties) or len(ties)


def named_group(group: str) -> str:
    """Return a group as a list keeps it: one that is a photo goes without saying.

    Args:
        group: of a face.
    """
    return "" if is_of_photo(group) else group


def is_of_photo(group: str) -> bool:
    """Whether :func:`look_at_photos` made the group of a photo's name and contents.

    >>> is_of_photo("a.jpg 0cc175b9c0f1b6a831c399e269772661"), is_of_photo("person 7")
    (True, False)
    """
    name, _, digest = group.rpartition(" ")
    return bool(name) and len(digest) == 32 and set(digest) <= set("0123456789abcdef")
