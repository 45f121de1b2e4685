"""Safe unpacking of zip and tar.gz archives, which may be damaged or malicious."""

import gzip
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keypoints.errors import DataError, one_line
from keypoints.input_files import check_regular

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_CHUNK = 1 << 20
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a compression that zipfile does not support
    OverflowError,  # an impossible date
    RuntimeError,
    ValueError,
)
"""Errors that the libraries raise for archives that are truncated, damaged or malformed."""


@dataclass(frozen=True)
class Limits:
    """Largest size that an archive may unpack to; a larger one is a wrong file or a zip bomb.

    Args:
        total_bytes: unpacked size of all files together.
        files: number of files and folders.
    """

    total_bytes: int
    files: int

    def check(self, total_bytes: int, files: int) -> None:
        """Check a size against the limits.

        Args:
            total_bytes: unpacked size of all files together.
            files: number of files and folders.

        Raises:
            ValueError: if a limit is exceeded.
        """
        if total_bytes > self.total_bytes:
            raise ValueError(f"unpacks to more than {self.total_bytes:,} bytes")
        if files > self.files:
            raise ValueError(f"holds more than {self.files:,} files and folders")


def check_kind(archive: Path) -> None:
    """Check that a file starts like an archive that :func:`unpack` supports.

    Raises:
        DataError: if it does not, or if it is no regular file.
    """
    try:
        _kind(archive)
    except (ValueError, OSError) as error:
        raise DataError(f"{archive.name}: {one_line(error)}") from error


def _kind(archive: Path) -> bytes:
    check_regular(archive)
    with archive.open("rb") as file:
        beginning = file.read(4)
    for kind in (_GZIP, _ZIP):
        if beginning.startswith(kind):
            return kind
    raise ValueError(f"is neither zip nor tar.gz: it begins with {beginning!r}")


def unpack(archive: Path, folder: Path, limits: Limits) -> Iterator[str]:
    """Unpack ``archive`` into the new folder ``folder``.

    Only regular files and folders are written, and none outside ``folder``: an archive that contains a link,
    a device, an absolute name or a name with ``..`` is refused. Files unpacked before an error are kept.

    Args:
        archive: zip or tar.gz file.
        folder: folder to make; it must not exist yet.
        limits: largest size that the archive may unpack to.

    Yields:
        The name of each file or folder before it is unpacked.

    Raises:
        DataError: if the archive is no archive, damaged or refused, or the files cannot be written.
    """
    folder.mkdir(parents=True)
    try:
        unpack_kind = _unpack_zip if _kind(archive) == _ZIP else _unpack_tar
        yield from unpack_kind(archive, folder, limits)
    except _BROKEN as error:
        raise DataError(f"{archive}: cannot be unpacked: {one_line(error)}") from error
    except OSError as error:
        raise DataError(f"{archive}: cannot be unpacked: {error.strerror or one_line(error)}") from error


def _check_name(name: str) -> None:
    """Check that ``name`` stays below the folder it is unpacked to, on any operating system.

    Raises:
        ValueError: if it does not.
    """
    if re.match(r"[/\\]|[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name) or "\0" in name:
        raise ValueError(f"it holds the name {name!r}, which leads outside")


def _unpack_zip(archive: Path, folder: Path, limits: Limits) -> Iterator[str]:
    with zipfile.ZipFile(archive) as contents:
        members = contents.infolist()
        limits.check(sum(member.file_size for member in members), len(members))
        for member in members:
            _check_name(member.filename)
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ValueError(f"it holds {member.filename!r}, a link or a device")
        for member in members:
            yield member.filename
            place = folder / member.filename
            if member.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with contents.open(member) as source, place.open("wb") as target:
                # It reads at most file_size bytes, and checks the checksum.
                shutil.copyfileobj(source, target, _CHUNK)


class _Guarded(gzip.GzipFile):
    """Unpacked stream of a tar.gz that limits each read: tarfile reads headers of any size into memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _CHUNK:
            raise ValueError("it holds a header of unlikely size")
        return super().read(size)


def _unpack_tar(archive: Path, folder: Path, limits: Limits) -> Iterator[str]:
    with _Guarded(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as contents:
        total = 0
        for files, member in enumerate(contents, start=1):
            total += member.size
            limits.check(total, files)
            _check_name(member.name)
            if not (member.isreg() or member.isdir()):
                raise ValueError(f"it holds {member.name!r}, a link or a device")
            yield member.name
            # Python before 3.11.4 has no filter; the checks above refuse the same members.
            if hasattr(tarfile, "data_filter"):
                contents.extract(member, folder, filter="data")
            else:
                contents.extract(member, folder)
        # Tarfile takes a damaged header for the end of the archive; only padding may follow the true end.
        # Gzip checks its checksum once the stream is read to its end.
        while rest := stream.read(_CHUNK):
            total += len(rest)
            limits.check(total, 0)
            if rest.strip(b"\0"):
                raise ValueError("a header in it is damaged")
