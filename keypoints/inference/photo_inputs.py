"""Photos and clips that the user names: by a file, a folder, a pattern, or a list."""

import glob
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from keypoints.errors import DataError
from keypoints.inference.box_list import ListedPhoto, has_list_format, read_box_list
from keypoints.inference.video import SUFFIXES
from keypoints.input_files import check_regular

_NAMED = frozenset({".heic", ".heif"})
"""Suffixes of pictures that cannot be read: they are reported rather than ignored."""

_NO_PHOTOS = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that Pillow recognises, but whose pictures it cannot read by itself."""

_BY_OTHERS = frozenset({"MPO"})
"""Formats that Pillow reads as another format: two-lens cameras write JPEG with a second picture."""

LISTS = tuple(f".{kind}{packed}" for kind in ("csv", "xml", "json") for packed in ("", ".gz"))

_PERHAPS_LISTS = (".mat", ".txt")
"""Suffixes of lists of data sets; such a file is a list if a format recognises its contents."""


@cache
def picture_suffixes() -> frozenset[str]:
    """Return the suffixes of pictures, in lower case: Pillow's readable formats, and ``_NAMED``."""
    Image.init()
    readable = ({*Image.OPEN} | _BY_OTHERS) - _NO_PHOTOS
    return _NAMED | {suffix for suffix, kind in Image.registered_extensions().items() if kind in readable}


class PhotoInputs(NamedTuple):
    """Photos and clips, and the folder that their names are relative to."""

    root: Path
    photos: list[ListedPhoto]
    clips: Sequence[Path] = ()

    def name(self, photo: ListedPhoto | Path) -> str:
        """Return the path of a photo or a clip relative to the root, with slashes."""
        path = photo if isinstance(photo, Path) else photo.path
        return Path(os.path.relpath(path, self.root)).as_posix()


def find_photos(
    named: str, root: Path | None = None, without: Path | None = None, *, clips: bool = False
) -> PhotoInputs:
    """Return the photos that ``named`` stands for, sorted by path; a list's photos keep its order.

    Args:
        named: a picture; a folder, for all pictures in it and its subfolders; a pattern with ``*``, ``?``,
            ``[…]`` or ``**``; or a list (``.csv``, ``.xml``, ``.json``, also with ``.gz``; of a data set
            ``.mat`` or ``.txt``), which may have boxes.
        root: folder that a list's names are relative to; ``None`` for the list's own folder.
        without: folder to leave out: the folder of the results.
        clips: whether clips are found too, by their suffix; a list names photos only.

    Raises:
        DataError: if there is no such file or no photo, all of them lie in the folder to leave out, the file
            is not a regular file, or the list cannot be read.
    """
    path = Path(named)
    if os.path.lexists(path) and not path.is_dir():
        check_regular(path)
    if path.is_file() and _is_list(path):
        return PhotoInputs(path.parent if root is None else root, read_box_list(path, root))
    suffixes = SUFFIXES if clips else frozenset[str]()
    if path.is_file():
        return _sorted_out(path.parent, [path], suffixes)
    if named and path.is_dir():
        start, found = path, _pictures(path, suffixes)
    else:
        found = _matching(path)
        if not found:
            raise DataError(f"{named}: no such file or folder, and no file matches it as a pattern")
        start = Path(os.path.commonpath([file.parent for file in found]))
    excluded = None if without is None else without.resolve()
    kept = [file for file in sorted(found) if excluded is None or not file.resolve().is_relative_to(excluded)]
    if found and not kept:
        raise DataError(
            f"{named}: lies in the folder of the results, {without}, which is left out; "
            "name another folder: output=<folder>"
        )
    if not kept:
        what, such = ("picture or clip", ".jpg or .mp4") if clips else ("picture", ".jpg or .png")
        raise DataError(f"{named}: holds no {what}: no file has a suffix such as {such}")
    return _sorted_out(start, kept, suffixes)


def _sorted_out(root: Path, files: Sequence[Path], suffixes: frozenset[str]) -> PhotoInputs:
    """Return files as clips, if they have one of the suffixes, and photos."""
    clips = [file for file in files if file.suffix.lower() in suffixes]
    return PhotoInputs(
        root, [ListedPhoto(file, ()) for file in files if file.suffix.lower() not in suffixes], clips
    )


def _is_list(path: Path) -> bool:
    """Return whether a file is a list, by its suffix, or by its suffix and its contents."""
    name = path.name.lower()
    return name.endswith(LISTS) or (name.endswith(_PERHAPS_LISTS) and has_list_format(path))


def _pictures(folder: Path, others: frozenset[str]) -> list[Path]:
    """Return all pictures, and files with other suffixes, below ``folder``, except hidden ones."""
    found, suffixes = [], picture_suffixes() | others
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        shown = [name for name in names if not name.startswith(".")]
        found += [Path(place, name) for name in shown if Path(name).suffix.lower() in suffixes]
    return found


def _matching(pattern: Path) -> list[Path]:
    """Return the files that match a pattern; its leading folders that exist are taken literally."""
    start = next((folder for folder in pattern.parents if folder.is_dir()), Path())
    found = _matches(start, pattern.relative_to(start).parts)
    return [file for file in dict.fromkeys(found) if file.is_file()]


def _matches(start: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield a pattern's matches below a folder; ``**`` follows no link to a folder (it may be circular)."""
    if "**" not in parts:
        pattern = os.path.join(*parts) if parts else ""  # noqa: PTH118 - a pattern is not a path
        yield from (start / file for file in glob.glob(pattern, root_dir=start))  # noqa: PTH207 - skips hidden ones
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
