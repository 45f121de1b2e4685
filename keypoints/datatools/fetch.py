"""Downloading one large file over HTTP: it may break off and goes on where it did."""

import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import requests
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn
from urllib3.exceptions import HTTPError

from keypoints import __version__
from keypoints.errors import ConfigError, DataError, one_line
from keypoints.files import write_whole
from keypoints.input_files import check_regular

log = logging.getLogger(__name__)

_CHUNK = 1 << 16
_STEP = 1 << 20
"""As many new bytes make an attempt that broke off a success of sorts."""
_LONGEST_PAUSE = 60.0
_BUSY = (408, 425, 429)
"""Statuses, besides those from 500 on, after which it is worth asking again."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server.

    Args:
        attempts: one after another without a step forward, before it is given up.
        pause: in seconds after the first of them; it doubles with each.
        timeout: in seconds, to connect and then for each bite.
    """

    attempts: int = 5
    pause: float = 1.0
    timeout: tuple[float, float] = (10.0, 30.0)


class _PassingError(Exception):
    """Something that may be over at the next attempt."""

    def __init__(self, what: str, pause: float = 0.0) -> None:
        super().__init__(what)
        self.pause = pause


@dataclass(frozen=True)
class _Note:
    """What a partial file is part of: how to ask for the rest of just that."""

    url: str
    validator: str | None
    length: int | None


class _Part:
    """A partial file, ``NAME.part``, and beside it the note of what it is part of, ``NAME.part.json``."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def note(self) -> _Note | None:
        """What it is part of; ``None`` where that is not known, or there is no part."""
        try:
            found = _Note(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return found if self.size and (found.validator or found.length) else None

    def begin(self, note: _Note) -> None:
        """Make it an empty part of another file."""
        self.discard()
        write_whole(self._note, json.dumps(asdict(note)) + "\n")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        self.path.replace(target)
        self._note.unlink(missing_ok=True)


def fetch(
    urls: Sequence[str],
    target: Path,
    *,
    most_bytes: int,
    sha256: str | None = None,
    check: Callable[[Path], None] | None = None,
    patience: Patience | None = None,
) -> None:
    """Download ``target`` from the first of ``urls`` that has it.

    What has come of it lies in ``NAME.part`` until it is whole. The next call goes on from there if the
    server honours that and still has the same file, and begins anew if not.

    Args:
        urls: where it may be had, all of them http or https.
        target: the file; its folder is there.
        most_bytes: a longer one is refused.
        sha256: what it has to sum up to, where that is known.
        check: raises ``DataError`` if what came is something else, such as a page that says farewell.
        patience: how long to wait for the servers.

    Raises:
        ConfigError: if an address or the sum is none.
        DataError: if it cannot be had from any of them; the message says why.
    """
    for url in urls:
        if not url.lower().startswith(("http://", "https://")):
            raise ConfigError(f"url begins with http:// or https://, not as {url!r}")
    _check_form(sha256)
    part = _Part(target)
    note = part.note()
    problems: list[str] = []
    for url in sorted(urls, key=lambda url: note is None or note.url != url):  # first, where it broke off
        if problems:
            log.warning("%s; trying %s", problems[-1], url)
        try:
            with _kept(part):
                _fetch_from(url, part, most_bytes, patience or Patience())
            _check(part, url, sha256, check)
        except DataError as error:
            problems.append(str(error))
        else:
            part.finish(target)
            return
    if part.size:
        problems.append(f"what has come so far is kept in {part.path}: the same command goes on with it")
    raise DataError("; ".join(problems))


@contextmanager
def _kept(part: _Part) -> Iterator[None]:
    """Say what becomes of the part if the user stops the download."""
    try:
        yield
    except KeyboardInterrupt:
        log.warning("stopped; what has come is kept in %s: the same command goes on with it", part.path)
        raise


def _check(part: _Part, url: str, sha256: str | None, check: Callable[[Path], None] | None) -> None:
    try:
        check_sum(part.path, sha256)
        if check is not None:
            check(part.path)
    except DataError as error:
        part.discard()  # going on with it would never end well
        raise DataError(f"{url}: {error}") from error


def forget_note(target: Path) -> None:
    """Remove the note of a part that has become ``target``: a kill in between leaves it."""
    part = _Part(target)
    if not part.size:
        part.discard()


def check_sum(path: Path, sha256: str | None) -> None:
    """See that a file is the one it should be; without a sum to compare with it is.

    Raises:
        ConfigError: if ``sha256`` is no such sum.
        DataError: if the file sums up to another, or is no regular file.
    """
    _check_form(sha256)
    if sha256 is None:
        return
    check_regular(path)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        raise DataError(f"{path.name.removesuffix('.part')} has the sha256 {found}, not {sha256.lower()}")


def _check_form(sha256: str | None) -> None:
    if sha256 is not None and re.fullmatch("[0-9a-fA-F]{64}", sha256) is None:
        raise ConfigError(f"sha256 is 64 hexadecimal digits, not {sha256!r}")


def _fetch_from(url: str, part: _Part, most_bytes: int, patience: Patience) -> None:
    """Ask one server until the part is whole."""
    failures, furthest = 0, part.size
    with requests.Session() as session:
        session.max_redirects = 10
        # As it is: neither lengths nor ranges mean anything of what is packed on the way.
        session.headers.update({"Accept-Encoding": "identity", "User-Agent": f"keypoints/{__version__}"})
        while True:
            try:
                _attempt(session, url, part, most_bytes, patience.timeout)
            except _PassingError as error:
                failures = 1 if part.size >= furthest + _STEP else failures + 1
                furthest = max(furthest, part.size)
                if failures >= patience.attempts:
                    raise DataError(f"{url}: {error}") from error
                pause = min(max(error.pause, patience.pause * 2 ** (failures - 1)), _LONGEST_PAUSE)
                log.info("%s: %s; again in %.0f s", url, error, pause)
                time.sleep(pause)
            else:
                return


def _attempt(
    session: requests.Session, url: str, part: _Part, most_bytes: int, timeout: tuple[float, float]
) -> None:
    """Ask once, for the whole or for the rest."""
    note = part.note()
    if note is not None and note.url != url:
        note = None
    if note is not None and note.length == part.size:
        return  # it was whole before, and not yet in place
    headers = {}
    if note is not None:
        headers["Range"] = f"bytes={part.size}-"
        if note.validator is not None:
            headers["If-Range"] = note.validator
    try:
        with session.get(url, headers=headers, stream=True, timeout=timeout) as answer:
            length = _begin(answer, url, part, note)
            _check_room(url, part, length, most_bytes)
            _receive(answer, url, part, length, most_bytes)
    except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
        raise _PassingError(_reason(error)) from error
    except requests.RequestException as error:  # it leads to no http address, or in circles
        raise DataError(f"{url}: cannot be followed ({one_line(error)})") from error
    except OSError as error:
        raise DataError(f"{part.path}: cannot be written ({error.strerror or one_line(error)})") from error


def _begin(answer: requests.Response, url: str, part: _Part, note: _Note | None) -> int | None:
    """Make the part ready for what the answer brings; gives the length of the whole, where it is known."""
    if answer.status_code == 200:
        announced = answer.headers.get("Content-Length", "")
        length = int(announced) if announced.isdecimal() else None
        part.begin(_Note(url, _validator(answer), length))
        return length
    if answer.status_code == 206 and note is not None:
        pattern = r"bytes (?P<start>\d+)-\d+/(?P<length>\d+|\*)"
        rest = re.fullmatch(pattern, answer.headers.get("Content-Range", ""))
        same = note.length is None or rest is None or rest["length"] in ("*", str(note.length))
        if rest is not None and int(rest["start"]) == part.size and same:
            return note.length if rest["length"] == "*" else int(rest["length"])
    if answer.status_code in (206, 416) and note is not None:
        part.discard()
        raise _PassingError("sends no rest of what came before; beginning anew")
    what = f"answers {answer.status_code} {answer.reason}"
    if answer.status_code in _BUSY or answer.status_code >= 500:
        wait = answer.headers.get("Retry-After", "")
        raise _PassingError(what, float(wait) if wait.isdecimal() else 0.0)
    raise DataError(f"{url}: {what}")


def _validator(answer: requests.Response) -> str | None:
    """What tells this version of the file from another, byte by byte."""
    tag = answer.headers.get("ETag")
    return tag if tag is not None and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def _check_room(url: str, part: _Part, length: int | None, most_bytes: int) -> None:
    if length is None:
        return
    if length > most_bytes:
        part.discard()
        raise DataError(f"{url}: is {length:,} bytes long, and no more than {most_bytes:,} are expected")
    if length - part.size > (free := shutil.disk_usage(part.path.parent).free):
        raise DataError(
            f"{part.path.parent}: has room for {free:,} bytes, and {length - part.size:,} are to come; "
            "make room, or name another folder: output=<folder>"
        )


def _receive(answer: requests.Response, url: str, part: _Part, length: int | None, most_bytes: int) -> None:
    """Put the answer's body at the part's end."""
    size = part.size
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress("{task.description}", *columns) as progress, part.path.open("ab") as file:
        bar = progress.add_task(part.path.stem, total=length, completed=size)
        try:
            for bite in answer.raw.stream(_CHUNK, decode_content=False):
                file.write(bite)
                size += len(bite)
                if size > most_bytes:
                    break
                progress.update(bar, completed=size)
        except HTTPError as error:
            whole = "" if length is None else f" of {length:,}"
            raise _PassingError(f"broke off after {size:,}{whole} bytes ({_reason(error)})") from error
    if size > (most_bytes if length is None else length):
        part.discard()
        raise DataError(f"{url}: sends more than it announced, or than the {most_bytes:,} bytes expected")
    if length is not None and size < length:
        raise _PassingError(f"broke off after {size:,} of {length:,} bytes")


def _reason(error: BaseException) -> str:
    """The innermost cause, without the library's account of its objects."""
    inner: BaseException | None = error
    while inner is not None:
        error = inner
        causes = [getattr(error, "reason", None), *error.args]
        inner = next((cause for cause in causes if isinstance(cause, Exception)), None)
    return re.sub(r"^\w+\(host=.*?\): ", "", one_line(error))
