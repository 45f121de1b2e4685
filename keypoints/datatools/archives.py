"""Unpacking archives from elsewhere, which may be damaged or hostile: zip and tar.gz."""

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
    NotImplementedError,  # a compression that zipfile does not know
    OverflowError,  # an impossible date
    RuntimeError,
    ValueError,
)
"""What the libraries raise for archives that are cut off, damaged, or not what they claim to be."""


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to; more is a mistake, or a bomb."""

    total_bytes: int
    files: int

    def check(self, total_bytes: int, files: int) -> None:
        """See that it is not more.

        Raises:
            ValueError: if it is.
        """
        if total_bytes > self.total_bytes:
            raise ValueError(f"unpacks to more than {self.total_bytes:,} bytes")
        if files > self.files:
            raise ValueError(f"holds more than {self.files:,} files and folders")


def check_kind(archive: Path) -> None:
    """See that a file begins as an archive that :func:`unpack` knows.

    Raises:
        DataError: if not, or if it is no regular file.
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
    """Unpack ``archive`` into ``folder``, which is made; yields the name of each file or folder before it is.

    Only plain files and folders are made, and none outside: an archive that holds a link, a device, an
    absolute name or one with ``..`` is refused, wherever these lead. What was unpacked until then stays.

    Raises:
        DataError: if it is no archive, damaged, refused, or cannot be written.
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
    """See that ``name`` is one below a folder, on any system.

    Raises:
        ValueError: if not.
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
                shutil.copyfileobj(source, target, _CHUNK)  # no more than file_size, and checks the sum


class _Guarded(gzip.GzipFile):
    """The unpacked stream of a tar.gz, for tarfile, which would read headers of any size into memory."""

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
            # Python before 3.11.4 has no filter; what it would refuse is refused above.
            if hasattr(tarfile, "data_filter"):
                contents.extract(member, folder, filter="data")
            else:
                contents.extract(member, folder)
        # To tarfile a damaged header is the end. After the true one there is padding; with the last of
        # it, gzip compares the sum over all.
        while rest := stream.read(_CHUNK):
            total += len(rest)
            limits.check(total, 0)
            if rest.strip(b"\0"):
                raise ValueError("a header in it is damaged")
