"""Pictures that lie inside a data set's file, unpacked once into PNG files.

All other code works on picture files. The folder ``<file>_pictures`` holds a PNG file for each picture and a
record of the file that they come from: its size and its checksum. Another file is unpacked again. Pictures
with the same pixels share one PNG file, so that they stay on the same side of a split.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from rich.progress import track

from keypoints.errors import DataError, one_line
from keypoints.files import atomic_folder, flush_below, locked_in_turn, write_atomically
from keypoints.geometry import ByteArray
from keypoints.structured_files import read_json

RECORD = "unpacked.json"
"""Name of the record in the folder of the pictures."""

_OWN = re.compile(r"\d{5,}\.png")
_MANY = 500
"""Number of pictures from which the progress is shown."""
_PATIENCE = 600.0
"""Longest time in seconds to wait for another process that unpacks the same file."""
_PAUSE = 0.2
"""Time in seconds between two attempts to lock the folder."""

Source = TypeVar("Source")


@dataclass(frozen=True)
class Unpacked:
    """Pictures of a file, as PNG files; they are numbered from 1, in the order of the file.

    Args:
        size: size of the file, in bytes.
        blake2b: checksum of the file.
        folder: name of the folder of the PNG files, below the root of the list.
        files: name of each picture's PNG file; empty for a picture that cannot be used.
        refused: reason for each picture that cannot be used, by its number as text.
    """

    size: int
    blake2b: str
    folder: str
    files: list[str]
    refused: dict[str, str]

    def name(self, number: int) -> str:
        """Return the name of a picture's PNG file, relative to the root of the list.

        Raises:
            ValueError: if the picture cannot be used; the message is the reason.
        """
        if (why := self.refused.get(str(number))) is not None:
            raise ValueError(why)
        return f"{self.folder}/{self.files[number - 1]}"

    def is_in(self, root: Path) -> bool:
        """Return whether the record of this very file and all its PNG files are below ``root``."""
        folder = root / self.folder
        try:
            there = {entry.name for entry in os.scandir(folder)}
        except OSError:
            return False
        return RECORD in there and {name for name in self.files if name} <= there


def unpack(
    path: Path,
    root: Path,
    sources: Callable[[], Iterable[Source]],
    decode: Callable[[Source], ByteArray],
    *,
    total: int | None = None,
) -> Unpacked:
    """Return the pictures of a file, unpacked into ``<root>/<file>_pictures`` unless they already are.

    A picture that cannot be decoded is recorded with the reason. Another process that unpacks the same file
    is waited for.

    Args:
        path: the file that holds the pictures.
        root: folder that contains the folder of the PNG files.
        sources: returns what each picture is decoded from, in the order of the file.
        decode: returns the pixels, (H, W) grey or (H, W, 3) RGB; raises a ``ValueError`` if it cannot.
        total: number of pictures, for the progress; ``None`` if it is not known.

    Raises:
        DataError: if the file cannot be read, or the folder cannot be written.
    """
    fresh = _fingerprint(path)
    if (found := _recorded(fresh, root)) is not None:
        return found
    folder = root / fresh.folder
    try:
        with locked_in_turn(folder, pause=_PAUSE, patience=_PATIENCE):
            if (found := _recorded(fresh, root)) is not None:
                return found
            old = [entry.name for entry in os.scandir(folder) if _OWN.fullmatch(entry.name)]
            with atomic_folder(folder, last=RECORD, own=old) as part:
                files, refused = _write(part, _tracked(sources(), path, total), decode)
                found = replace(fresh, files=files, refused=refused)
                write_atomically(part / RECORD, json.dumps(asdict(found)) + "\n")
                flush_below(part)
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: cannot be written ({error.strerror or one_line(error)}), and the "
            f"pictures of {path.name} are unpacked there; name another folder for them: root=<folder> "
            "(train, evaluate: data.root=<folder>)"
        ) from error
    return found


def _fingerprint(path: Path) -> Unpacked:
    """Return the record of a file before its pictures are unpacked."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            return Unpacked(file.tell(), digest, f"{path.name.partition('.')[0] or 'list'}_pictures", [], {})
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _recorded(fresh: Unpacked, root: Path) -> Unpacked | None:
    """Return the pictures of an earlier call for the same file; ``None`` if they are not complete."""
    try:
        found = _of_record(fresh, read_json(root / fresh.folder / RECORD))
    except (OSError, DataError):
        return None
    return found if found is not None and found.is_in(root) else None


def _of_record(fresh: Unpacked, values: Mapping[str, Any]) -> Unpacked | None:
    """Return the pictures that a record names; ``None`` if it is of another file, or damaged."""
    files, refused = values.get("files"), values.get("refused")
    if not (isinstance(files, list) and isinstance(refused, dict)):
        return None
    found = replace(fresh, files=[str(file) for file in files], refused=refused)
    return found if asdict(found) == values else None


def _tracked(sources: Iterable[Source], path: Path, total: int | None) -> Iterable[Source]:
    silent = total is None or total < _MANY or not sys.stdout.isatty()
    return track(sources, f"unpacking the pictures of {path.name}", total, transient=True, disable=silent)


def _write(
    folder: Path, sources: Iterable[Source], decode: Callable[[Source], ByteArray]
) -> tuple[list[str], dict[str, str]]:
    """Write the pictures into ``folder``; return :attr:`Unpacked.files` and :attr:`Unpacked.refused`."""
    files: list[str] = []
    refused: dict[str, str] = {}
    first: dict[bytes, str] = {}
    for number, source in enumerate(sources, start=1):
        name = f"{number:05d}.png"
        try:
            pixels = decode(source)
        except ValueError as error:
            files.append("")
            refused[str(number)] = one_line(error)
            continue
        files.append(first.setdefault(_digest(pixels), name))
        if files[-1] == name:
            Image.fromarray(pixels).save(folder / name)
    return files, refused


def _digest(pixels: ByteArray) -> bytes:
    return hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16).digest()
