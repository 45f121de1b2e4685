"""What a user names as photos: a picture, a folder, a pattern, or a list."""

import glob
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from keypoints.errors import DataError
from keypoints.inference.box_list import ListedPhoto, read_box_list
from keypoints.input_files import check_regular

_NAMED = frozenset({".heic", ".heif"})
"""Suffixes of pictures that cannot be read: they are better named than passed over."""

_NO_PHOTOS = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats of which Pillow knows files, and which hold no picture that it reads by itself."""

_BY_OTHERS = frozenset({"MPO"})
"""Formats that Pillow reads by the reader of another: two-lens cameras write JPEG with a second picture."""

LISTS = tuple(f".{kind}{packed}" for kind in ("csv", "xml", "json") for packed in ("", ".gz"))


@cache
def picture_suffixes() -> frozenset[str]:
    """The suffixes, in small letters, of pictures in a folder: all that Pillow reads."""
    Image.init()
    readable = ({*Image.OPEN} | _BY_OTHERS) - _NO_PHOTOS
    return _NAMED | {suffix for suffix, kind in Image.registered_extensions().items() if kind in readable}


class PhotoInputs(NamedTuple):
    """Photos, and the folder from which their names start."""

    root: Path
    photos: list[ListedPhoto]

    def name(self, photo: ListedPhoto) -> str:
        """The photo's path from the root, with slashes."""
        return Path(os.path.relpath(photo.path, self.root)).as_posix()


def find_photos(named: str, root: Path | None = None, without: Path | None = None) -> PhotoInputs:
    """The photos that ``named`` stands for, sorted by path; those of a list in its order.

    Args:
        named: a picture; a folder, for all pictures in it and in the folders below; a pattern with
            ``*``, ``?``, ``[…]`` or ``**``; or a list (``.csv``, ``.xml``, ``.json``, packed or not), which
            may have boxes.
        root: the folder that a list's names start from; ``None`` is the list's own.
        without: a folder that holds no photos, wherever it lies: that of the results.

    Raises:
        DataError: if there is no such file or no photo, it is no regular file, or the list cannot be read.
    """
    path = Path(named)
    if os.path.lexists(path) and not path.is_dir():
        check_regular(path)
    if path.is_file() and path.name.lower().endswith(LISTS):
        return PhotoInputs(path.parent if root is None else root, read_box_list(path, root))
    if path.is_file():
        return PhotoInputs(path.parent, [ListedPhoto(path, ())])
    if named and path.is_dir():
        start, found = path, _pictures(path)
    else:
        found = _fitting(path)
        if not found:
            raise DataError(f"{named}: no such file or folder, and no file fits it as a pattern")
        start = Path(os.path.commonpath([file.parent for file in found]))
    excluded = None if without is None else without.resolve()
    kept = [file for file in sorted(found) if excluded is None or not file.resolve().is_relative_to(excluded)]
    if not kept:
        raise DataError(f"{named}: holds no picture, by the suffixes that there are (.jpg, .png and others)")
    return PhotoInputs(start, [ListedPhoto(file, ()) for file in kept])


def _pictures(folder: Path) -> list[Path]:
    """All pictures below ``folder``, but for hidden ones."""
    found, suffixes = [], picture_suffixes()
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        shown = [name for name in names if not name.startswith(".")]
        found += [Path(place, name) for name in shown if Path(name).suffix.lower() in suffixes]
    return found


def _fitting(pattern: Path) -> list[Path]:
    """The files that fit; folders that are there by that very name are no patterns, whatever is in it."""
    start = next((folder for folder in pattern.parents if folder.is_dir()), Path())
    found = _matches(start, pattern.relative_to(start).parts)
    return [file for file in dict.fromkeys(found) if file.is_file()]


def _matches(start: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield what fits a pattern below a folder; ``**`` follows no link to a folder: some lead in a circle."""
    if "**" not in parts:
        pattern = os.path.join(*parts) if parts else ""  # noqa: PTH118 - a pattern is no path
        yield from (start / file for file in glob.glob(pattern, root_dir=start))  # noqa: PTH207 - not hidden ones
        return
    place = parts.index("**")
    before, after = parts[:place], parts[place + 1 :]
    for folder in _matches(start, before) if before else [start]:
        for inner, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            if after:
                yield from _matches(Path(inner), after)
            else:
                yield from (Path(inner, name) for name in names if not name.startswith("."))
