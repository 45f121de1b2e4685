"""Files and folders that are complete or not there, whatever ends the process; and who is writing to them.

What is being written has a name of its own, ``.NAME.PROCESS-TOKEN.part``, and is renamed at the end. A
process that is killed leaves its parts; the next one that writes to the folder removes them.
"""

import errno
import hashlib
import json
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
from time import time

from keypoints.errors import DataError

if sys.platform != "win32":
    import fcntl

_LONGEST = 200
"""Bytes of a name that a part's name begins with; file systems take 255."""

_PART = re.compile(r"\..+\.(?P<process>\d+)-(?P<host>[0-9a-f]{4})[0-9a-f]{8}\.part", re.DOTALL)
_LOCK = ".keypoints.lock"
"""The lock's name in a folder that a command fills."""

_SAME_MOMENT = 2.0
"""Seconds that clocks may have been set by while a process runs."""
_DAY = 86_400.0
"""Seconds after which a part of another host, whose processes cannot be seen, is given up."""

OF_DISKS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "; make room"),
    errno.EFBIG: "; the limit of a file's size is reached (ulimit -f)",
    errno.EIO: "; the disk or the network drive fails",
}
"""Errors of a disk that takes no more, which name no file, and what to do."""
_NO_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
"""Errors of file systems and platforms that cannot be told to write a file."""

_ATTEMPTS = 100
"""To make a folder that other commands remove at their end."""


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a part file to write to, which takes the place of ``path`` if the block succeeds.

    After a power cut too, ``path`` is the old file or the new one.

    Args:
        path: the file; its folder is there.

    Yields:
        The part.

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


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all.

    Args:
        path: the file; its folder is there.
        text: what it holds.

    Raises:
        OSError: as :func:`replaced`.
    """
    with replaced(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def part_folder(path: Path) -> Iterator[Path]:
    """Give a new folder beside ``path``, which is removed at the end unless it was renamed.

    Args:
        path: what the folder's contents are for; its own folder is there.

    Yields:
        The folder.
    """
    part = _part_of(path)
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def filled(folder: Path, last: str, own: Collection[str] = ()) -> Iterator[Path]:
    """Give a folder to write to, whose files are moved to ``folder`` if the block succeeds.

    The file ``last`` is the mark of completeness: the old one is removed before the first file is moved, and
    the new one is moved at the end. If the block fails, ``folder`` stays as it was.

    Args:
        folder: is made if it is missing. Other files in it stay.
        last: the mark, which the block has to write.
        own: files that an earlier call may have left in ``folder``: removed, unless they are written again.

    Yields:
        The folder to write to, on the same file system.

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
    """Write every file below ``folder`` to the disk, before it is renamed: a power cut loses nothing."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            _flush(path)


@contextmanager
def alone(target: Path, *, beside: bool = False) -> Iterator[None]:
    """Keep other commands from writing ``target`` while the block runs; remove what killed ones left.

    The lock vanishes with the process. Where the platform or the file system has no locks, there is none.

    Args:
        target: a folder, which is made, and is removed if nothing is in it at the end.
        beside: ``target`` is a file, or a folder that is renamed: the lock lies beside it.

    Raises:
        DataError: if another command is writing it; the message says which process, where and since when.
        OSError: if the folder cannot be made or written to.
    """
    folder = target.parent if beside else target
    lock = folder / (f".{_short(target.name)}.lock" if beside else _LOCK)
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    with ExitStack() as stack:
        stack.callback(_remove_empty, missing)
        file = _locked(lock, target)
        stack.callback(_unlock, lock, file)
        _remove_parts_once.cache_clear()  # a command begins: others may have been killed meanwhile
        _remove_parts(folder)
        yield


def tidy(target: Path, *, beside: bool = False) -> None:
    """Remove what killed commands left of ``target``, if no other command writes it.

    Args:
        target, beside: as of :func:`alone`.
    """
    with suppress(DataError, OSError), alone(target, beside=beside):
        pass


def holds_others(folder: Path) -> bool:
    """Return whether a folder holds anything but locks and parts of this package."""
    return any(path.name != _LOCK and not _PART.fullmatch(path.name) for path in folder.iterdir())


def _short(name: str) -> str:
    """Return a name, shortened so that more fits behind it; different names stay different."""
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
    """Write a file to the disk, where the file system can."""
    with path.open("rb") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _NO_FSYNC:
                raise


@contextmanager
def _naming(path: Path, part: Path) -> Iterator[None]:
    """Let an error that names the part, or a full disk, which names no file, name ``path``."""
    try:
        yield
    except OSError as error:
        nameless = error.filename is None and error.errno in OF_DISKS
        if error.errno is None or not (nameless or str(error.filename) == str(part)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@lru_cache(maxsize=64)
def _remove_parts_once(folder: Path, process: int) -> None:  # noqa: ARG001  a fork starts its own
    """Remove the parts of killed processes; once a process and folder, for folders may hold many files."""
    _remove_parts(folder)


def _remove_parts(folder: Path) -> None:
    """Remove the parts in ``folder`` whose process is gone."""
    try:
        with os.scandir(folder) as entries:
            parts = [(Path(entry.path), found) for entry in entries if (found := _PART.fullmatch(entry.name))]
    except OSError:
        return  # there is no such folder, which is said where it is written to
    for path, found in parts:
        try:
            changed = path.lstat().st_mtime
            if not _is_left(int(found["process"]), found["host"], changed):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError:
            continue  # another command removes it at the same moment, or it is somebody else's


def _is_left(process: int, host: str, changed: float) -> bool:
    """Return whether the process that wrote a part at the time ``changed`` has ended."""
    if host != _host():
        return changed < time() - _DAY
    import psutil  # late: nobody needs it who finds no parts

    try:
        writer = psutil.Process(process)
        # The number may be another process's by now: one that began after the part was written.
        return writer.status() == psutil.STATUS_ZOMBIE or writer.create_time() > changed + _SAME_MOMENT
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


_open_locks: set[FileIO] = set()


def _forget_locks() -> None:
    """Close the locks of this process in its fork, which would else hold them after its end."""
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
            continue  # another command, at its end, has removed the folder meanwhile
        if not _take(file):
            with file:
                raise DataError(f"{target}: {_writer(file)}; wait until it has ended, or name another output")
        with suppress(FileNotFoundError):
            if os.path.samestat(lock.stat(), os.fstat(file.fileno())):
                break
        file.close()  # that of a command which has ended meanwhile
    else:
        raise problem
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
    about = {"process": os.getpid(), "host": socket.gethostname(), "since": now}
    with suppress(OSError):  # a full disk: what it says is for others to read
        file.truncate(0)
        file.write(json.dumps(about).encode())
    _open_locks.add(file)
    return file


def _take(file: FileIO) -> bool:
    """Lock a file; return whether nobody else has."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # this file system has no locks
    return True


def _writer(file: FileIO) -> str:
    file.seek(0)
    try:
        about = json.loads(file.read())
        return "process {process} on {host} is writing it since {since}".format(**about)
    except (ValueError, KeyError, TypeError):  # it has just begun
        return "another process is writing it"


def _unlock(lock: Path, file: FileIO) -> None:
    _open_locks.discard(file)
    with suppress(OSError):
        lock.unlink()
    file.close()


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, the innermost first, as far as they are empty."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
