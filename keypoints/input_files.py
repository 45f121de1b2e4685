"""The one way to read a file that a user names: photos, lists, annotations, submissions.

Only a regular file is opened, after links are followed: a pipe or a device may never end, and opening a pipe
waits for whoever writes to it. No more than a limit is read, packed or not.
"""

import errno
import gzip
import io
import os
import stat
import zlib
from pathlib import Path

from keypoints.errors import DataError, one_line

MOST_PHOTO = 1 << 30
"""Bytes of a photo: 300 million pixels, the most that are decoded, take 900 MB without compression."""

MOST_LIST = 1 << 28
"""Bytes of a list. 60,000 faces of 68 points take 70 MB; JSON and XML take twenty times that in memory."""

MOST_ANNOTATION = 1 << 20
"""Bytes of a file that holds the points of one face: 68 points take 2 KB."""

MISSING = "is missing"
"""What :func:`why_not_regular` says of a path that names nothing."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
"""How text begins that some programs call Unicode."""
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31
"""What zlib calls gzip's format."""
_BROKEN = (OSError, EOFError, ValueError, zlib.error)
"""What reading and unpacking raise."""
_KINDS = {
    stat.S_IFDIR: "is a folder",
    stat.S_IFIFO: "is a named pipe",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
    stat.S_IFSOCK: "is a socket",
}


def why_not_regular(path: Path) -> str | None:
    """Return why a path cannot be read as a file, as the end of a sentence that begins with its name.

    Nothing is opened.

    Args:
        path: a file that a user named.

    Returns:
        ``None`` for a regular file, or a link to one.
    """
    try:
        found = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        return MISSING
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except ValueError as error:  # a NUL, or half of a character
        return f"cannot be read ({one_line(error)})"
    if found == stat.S_IFREG:
        return None
    return f"{_KINDS.get(found, 'is something else')}, not a regular file"


def check_regular(path: Path) -> None:
    """See that a path names a regular file, or a link to one; nothing is opened.

    Args:
        path: a file that a user named.

    Raises:
        DataError: if it is missing, or a folder, a pipe, a device, a socket or links in a circle.
    """
    why = why_not_regular(path)
    if why is not None:
        reason = f"cannot be read ({os.strerror(errno.ENOENT)})" if why == MISSING else why
        raise DataError(f"{path}: {reason}")


def read_bytes(path: Path, most: int) -> bytes:
    """Return the contents of a regular file.

    Args:
        path: a file that a user named.
        most: a longer file is an error: one of the limits above.

    Raises:
        DataError: if it is no regular file, is longer, or cannot be read.
    """
    check_regular(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            contents = b"" if size > most else file.read(most + 1)  # it may grow meanwhile
    except OSError as error:
        raise _cannot_be_read(path, error) from error
    if max(size, len(contents)) > most:
        raise DataError(f"{path}: is longer than the {most:,} bytes that are read")
    return contents


def read_beginning(path: Path, count: int) -> bytes:
    """Return the first bytes of a regular file, unpacked if it is gzip's.

    Args:
        path: a file that a user named.
        count: how many, at most.

    Raises:
        DataError: if it is no regular file, is damaged, or cannot be read.
    """
    check_regular(path)
    try:
        with path.open("rb") as file:
            begins = file.read(count)
        if begins.startswith(_GZIP):
            return zlib.decompressobj(_GZIP_WINDOW).decompress(begins, count)
    except _BROKEN as error:
        raise _cannot_be_read(path, error) from error
    return begins


def read_text(path: Path, most: int, encoding: str) -> str:
    """Return the text of a regular file, its line ends as they are.

    Args:
        path: a file that a user named.
        most: as of :func:`read_bytes`.
        encoding: of the text.

    Raises:
        DataError: as :func:`read_bytes`, and if the file is not in that encoding.
    """
    return _decoded(path, read_bytes(path, most), encoding)


def read_unpacked(path: Path, most: int) -> bytes:
    """Return the contents of a regular file, unpacked if it is gzip's, whatever its name.

    Args:
        path: a file that a user named.
        most: bytes of the file, and of what it unpacks to.

    Raises:
        DataError: as :func:`read_bytes`, and if it is damaged or unpacks to more.
    """
    contents = read_bytes(path, most)
    if not contents.startswith(_GZIP):
        return contents
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(contents)) as file:
            unpacked = file.read(most + 1)
    except _BROKEN as error:
        raise _cannot_be_read(path, error) from error
    if len(unpacked) > most:
        raise DataError(f"{path}: unpacks to more than the {most:,} bytes that are read")
    return unpacked


def read_unpacked_text(path: Path, most: int) -> str:
    """Return the UTF-8 text of a regular file, unpacked if it is gzip's, without a byte order mark.

    Args:
        path: a file that a user named.
        most: as of :func:`read_unpacked`.

    Raises:
        DataError: as :func:`read_unpacked`, and if it is no UTF-8.
    """
    return _decoded(path, read_unpacked(path, most), "utf-8-sig")


def _decoded(path: Path, contents: bytes, encoding: str) -> str:
    try:
        return contents.decode(encoding)
    except UnicodeDecodeError as error:
        found = "UTF-16" if contents[:2] in _UTF16 else one_line(error)
        raise DataError(f"{path}: is not UTF-8 ({found}); save it as such") from error


def _cannot_be_read(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or one_line(error)})")
