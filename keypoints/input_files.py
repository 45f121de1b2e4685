"""Reading of files that a user names: photos, lists, annotations, submissions.

Only regular files are opened, after links are followed: a pipe or a device may never end, and opening a pipe
waits for a writer. The bytes that are read are limited, before and after decompression.
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
"""Limit of a photo, in bytes: 300 million pixels, the decoding limit, take 900 MB without compression."""

MOST_LIST = 1 << 28
"""Limit of a list, in bytes: 60,000 faces of 68 points take 70 MB; parsed JSON and XML take 20 times that."""

MOST_ANNOTATION = 1 << 20
"""Limit of a file with the points of one face, in bytes: 68 points take 2 KB."""

MISSING = "is missing"
"""Result of :func:`why_not_regular` for a path that does not exist."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks of UTF-16, which some programs call Unicode."""
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31
"""Value of zlib's ``wbits`` for the gzip format."""
_BROKEN = (OSError, EOFError, ValueError, zlib.error)
"""Errors of reading and decompression."""
_KINDS = {
    stat.S_IFDIR: "is a folder",
    stat.S_IFIFO: "is a named pipe",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
    stat.S_IFSOCK: "is a socket",
}


def why_not_regular(path: Path) -> str | None:
    """Return why a path cannot be read as a file, as the end of a message that begins with its name.

    The path is not opened.

    Args:
        path: a file that a user named.

    Returns:
        The reason; ``None`` for a regular file, or a link to one.
    """
    try:
        found = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        return MISSING
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except ValueError as error:  # the name contains a NUL or a surrogate
        return f"cannot be read ({one_line(error)})"
    if found == stat.S_IFREG:
        return None
    return f"{_KINDS.get(found, 'is something else')}, not a regular file"


def check_regular(path: Path) -> None:
    """Check that a path names a regular file, or a link to one, without opening it.

    Args:
        path: a file that a user named.

    Raises:
        DataError: if it is missing, or is a folder, a pipe, a device, a socket or a circular link.
    """
    why = why_not_regular(path)
    if why is not None:
        reason = f"cannot be read ({os.strerror(errno.ENOENT)})" if why == MISSING else why
        raise DataError(f"{path}: {reason}")


def read_bytes(path: Path, most: int) -> bytes:
    """Return the contents of a regular file.

    Args:
        path: a file that a user named.
        most: limit in bytes, one of the constants above.

    Raises:
        DataError: if it is not a regular file, is longer, or cannot be read.
    """
    check_regular(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            contents = b"" if size > most else file.read(most + 1)  # the file may grow meanwhile
    except OSError as error:
        raise _cannot_be_read(path, error) from error
    if max(size, len(contents)) > most:
        raise DataError(f"{path}: is longer than the {most:,} bytes that are read")
    return contents


def read_beginning(path: Path, count: int) -> bytes:
    """Return the first bytes of a regular file, decompressed if it is in gzip format.

    Args:
        path: a file that a user named.
        count: largest number of bytes.

    Raises:
        DataError: if it is not a regular file, is damaged, or cannot be read.
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
    """Return the text of a regular file, with its line ends unchanged.

    Args:
        path: a file that a user named.
        most: limit in bytes.
        encoding: encoding of the text.

    Raises:
        DataError: as :func:`read_bytes`, and if the file is not in that encoding.
    """
    return _decoded(path, read_bytes(path, most), encoding)


def read_unpacked(path: Path, most: int) -> bytes:
    """Return the contents of a regular file, decompressed if it is in gzip format, whatever its name.

    Args:
        path: a file that a user named.
        most: limit in bytes, for the file and for its decompressed contents.

    Raises:
        DataError: as :func:`read_bytes`, and if it is damaged or its decompressed contents exceed the limit.
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
    """Return the UTF-8 text of a regular file, decompressed if it is in gzip format, without byte order mark.

    Args:
        path: a file that a user named.
        most: limit in bytes, as in :func:`read_unpacked`.

    Raises:
        DataError: as :func:`read_unpacked`, and if it is not UTF-8.
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
