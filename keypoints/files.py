"""Atomic writing of files and folders, and locks, however the process ends.

A file or folder is written under a temporary name, ``.NAME.PROCESS-TOKEN.part``, and renamed at the end. A
killed process leaves such parts behind; the next process that writes to the folder removes them.
"""

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import socket
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from io import FileIO
from pathlib import Path
from time import monotonic, sleep, time

from keypoints.errors import DataError

if sys.platform != "win32":
    import fcntl

_LONGEST = 200
"""Largest number of bytes of the original name in a part's name; file systems allow 255."""

_PART = re.compile(r"\..+\.(?P<process>\d+)-(?P<host>[0-9a-f]{4})[0-9a-f]{8}\.part", re.DOTALL)
_LOCK = ".keypoints.lock"
"""Name of the lock file in a folder that a command writes."""

_SAME_MOMENT = 2.0
"""Tolerance in seconds for changes of the clock while a process runs."""
_DAY = 86_400.0
"""Age in seconds after which a part from another host is removed, since its processes cannot be checked."""

OF_DISKS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "; free disk space"),
    errno.EFBIG: "; the limit of a file's size is reached (ulimit -f)",
    errno.EIO: "; the disk or the network drive fails",
}
"""Errors of a full or failing disk, which name no file, and what to do."""
_NO_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
"""Errors of file systems and platforms without ``fsync``."""

_ATTEMPTS = 100
"""Largest number of attempts to create a folder that other commands remove when they end."""


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a temporary file, which replaces ``path`` if the block succeeds.

    ``path`` is either the old or the new file, even after a power cut.

    Args:
        path: the file; its folder exists.

    Yields:
        Path of the temporary file.

    Raises:
        OSError: if it cannot be written; the error names ``path``.
    """
    part = _part_of(path)
    try:
        with _naming(path, part):
            yield part
            _flush(part)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file atomically.

    Args:
        path: the file; its folder exists.
        text: contents of the file.

    Raises:
        OSError: as :func:`replaced`.
    """
    with replaced(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def part_folder(path: Path) -> Iterator[Path]:
    """Yield a new temporary folder next to ``path``, which is removed at the end unless it was renamed.

    Args:
        path: path that the temporary folder is named after; its parent folder exists.

    Yields:
        Path of the temporary folder.
    """
    part = _part_of(path)
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def atomic_folder(folder: Path, last: str, own: Collection[str] = ()) -> Iterator[Path]:
    """Yield a temporary folder, whose files are moved to ``folder`` if the block succeeds.

    The file ``last`` marks a complete folder: the old one is removed before the first file is moved, and the
    new one is moved at the end. If the block fails, ``folder`` stays unchanged.

    Args:
        folder: folder for the files, created if it is missing. Other files in it stay.
        last: name of the marking file, which the block has to write.
        own: names of files that an earlier call may have left in ``folder``; they are removed unless they are
            written again.

    Yields:
        Path of the temporary folder, on the same file system.

    Raises:
        OSError: if a file cannot be moved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with part_folder(folder / "new") as part:
        try:
            yield part
        except OSError as error:
            inside = os.path.relpath(error.filename, part) if isinstance(error.filename, str) else ".."
            if error.errno is None or inside.startswith(".."):
                raise
            raise OSError(error.errno, error.strerror, str(folder / inside)) from error
        names = [path.relative_to(part) for path in sorted(part.rglob("*")) if path.is_file()]
        names.remove(Path(last))
        for old in {Path(last), *map(Path, own)}.difference(names):
            (folder / old).unlink(missing_ok=True)
        for name in [*names, Path(last)]:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with _naming(target, part / name):
                (part / name).replace(target)


def flush_below(folder: Path) -> None:
    """Flush every file below ``folder`` to the disk, so that a power cut after a rename loses nothing."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            _flush(path)


@contextmanager
def locked(target: Path, *, beside: bool = False) -> Iterator[None]:
    """Lock ``target`` against other commands during the block, and remove the parts of killed commands.

    The lock ends with the process. Platforms and file systems without locks are not protected.

    Args:
        target: a folder, which is created, and removed if it is empty at the end.
        beside: put the lock next to ``target``, which is a file, or a folder that is renamed.

    Raises:
        DataError: if another command is writing it; the message names the process, the host and the time.
        OSError: if the folder cannot be created or written to.
    """
    folder = target.parent if beside else target
    lock = folder / (f".{_short(target.name)}.lock" if beside else _LOCK)
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    with ExitStack() as stack:
        stack.callback(_remove_empty, missing)
        file = _locked(lock, target)
        stack.callback(_unlock, lock, file)
        _remove_parts_once.cache_clear()  # other commands may have been killed since the last removal
        _remove_parts(folder)
        yield


@contextmanager
def locked_in_turn(
    target: Path, *, beside: bool = False, pause: float = 1.0, patience: float = math.inf
) -> Iterator[None]:
    """Lock ``target`` as :func:`locked` does, but wait while another command holds the lock.

    Args:
        target: see :func:`locked`.
        beside: see :func:`locked`.
        pause: time between two attempts, in seconds.
        patience: longest time to wait, in seconds.

    Raises:
        DataError: if another command still holds the lock after that time.
        OSError: see :func:`locked`.
    """
    end = monotonic() + patience
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(target, beside=beside))
                break
            except DataError:  # another command holds it
                if monotonic() > end:
                    raise
                sleep(pause)
        yield


def remove_leftovers(target: Path, *, beside: bool = False) -> None:
    """Remove the parts of ``target`` that killed commands left, unless another command is writing it.

    Args:
        target: a folder, or with ``beside`` a file or folder.
        beside: the lock is next to ``target``, as in :func:`locked`.
    """
    with suppress(DataError, OSError), locked(target, beside=beside):
        pass


def holds_others(folder: Path) -> bool:
    """Return whether a folder holds anything except locks and parts of this package."""
    return any(path.name != _LOCK and not _PART.fullmatch(path.name) for path in folder.iterdir())


def _short(name: str) -> str:
    """Return a name, shortened to leave space for a suffix; different names stay different."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST:
        return name
    return encoded[: _LONGEST - 9].decode("utf-8", "ignore") + "-" + hashlib.sha256(encoded).hexdigest()[:8]


def _part_of(path: Path) -> Path:
    _remove_parts_once(path.parent.absolute(), os.getpid())
    token = _host() + secrets.token_hex(4)
    return path.with_name(f".{_short(path.name)}.{os.getpid()}-{token}.part")


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:4]


def _flush(path: Path) -> None:
    """Flush a file to the disk, if the file system supports it."""
    with path.open("rb") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _NO_FSYNC:
                raise


@contextmanager
def _naming(path: Path, part: Path) -> Iterator[None]:
    """Make errors that name the part, or no file because the disk is full, name ``path`` instead."""
    try:
        yield
    except OSError as error:
        nameless = error.filename is None and error.errno in OF_DISKS
        if error.errno is None or not (nameless or str(error.filename) == str(part)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@lru_cache(maxsize=64)
def _remove_parts_once(folder: Path, process: int) -> None:  # noqa: ARG001  a fork has its own cache entry
    """Remove the parts of killed processes, once per process and folder, since folders may be large."""
    _remove_parts(folder)


def _remove_parts(folder: Path) -> None:
    """Remove the parts in ``folder`` whose process has ended."""
    try:
        with os.scandir(folder) as entries:
            parts = [(Path(entry.path), found) for entry in entries if (found := _PART.fullmatch(entry.name))]
    except OSError:
        return  # the folder does not exist, which the later write reports
    for path, found in parts:
        try:
            changed = path.lstat().st_mtime
            if not _has_writer_ended(int(found["process"]), found["host"], changed):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError:
            continue  # another command removes it at the same moment, or another user owns it


def _has_writer_ended(process: int, host: str, changed: float) -> bool:
    """Return whether the process that wrote a part at the time ``changed`` has ended."""
    if host != _host():
        return changed < time() - _DAY
    import psutil  # late, since it is only needed if there are parts

    try:
        writer = psutil.Process(process)
        # The process number may be reused by a process that started after the part was written.
        return writer.status() == psutil.STATUS_ZOMBIE or writer.create_time() > changed + _SAME_MOMENT
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


_open_locks: set[FileIO] = set()


def _forget_locks() -> None:
    """Close the parent's locks in a fork, which would otherwise hold them after the parent's end."""
    for file in _open_locks:
        file.close()
    _open_locks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


def _locked(lock: Path, target: Path) -> FileIO:
    problem: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target))
    for _ in range(_ATTEMPTS):
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            with _naming(target, lock):
                file = lock.open("ab+", buffering=0)
        except (FileNotFoundError, FileExistsError) as error:
            problem = error
            continue  # another command has ended and removed the folder meanwhile
        if not _try_lock(file):
            with file:
                raise DataError(
                    f"{target}: {_describe_writer(file)}; wait until it has ended, or name another output"
                )
        with suppress(FileNotFoundError):
            if os.path.samestat(lock.stat(), os.fstat(file.fileno())):
                break
        file.close()  # a removed lock file, of a command that has ended meanwhile
    else:
        raise problem
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
    about = {"process": os.getpid(), "host": socket.gethostname(), "since": now}
    with suppress(OSError):  # a full disk: the contents only inform other commands
        file.truncate(0)
        file.write(json.dumps(about).encode())
    _open_locks.add(file)
    return file


def _try_lock(file: FileIO) -> bool:
    """Lock a file; return ``False`` if another process holds the lock."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # the file system has no locks
    return True


def _describe_writer(file: FileIO) -> str:
    file.seek(0)
    try:
        about = json.loads(file.read())
        return "process {process} on {host} is writing it since {since}".format(**about)
    except (ValueError, KeyError, TypeError):  # the other process has just created the lock
        return "another process is writing it"


def _unlock(lock: Path, file: FileIO) -> None:
    _open_locks.discard(file)
    with suppress(OSError):
        lock.unlink()
    file.close()


def _remove_empty(folders: list[Path]) -> None:
    """Remove empty folders in the given order, innermost first, up to the first that is not empty."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def as_text(name: str) -> str:
    """Return a file name as text that can be written as UTF-8, whatever its bytes are.

    Args:
        name: name as Python decoded it, which may hold bytes that are no text.

    Returns:
        The name, with a replacement character for each of these bytes.
    """
    return os.fsencode(name).decode("utf-8", "replace")
