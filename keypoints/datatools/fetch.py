"""Download of one large file over HTTP that resumes after an interruption."""

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
from keypoints.files import write_atomically
from keypoints.input_files import check_regular

log = logging.getLogger(__name__)

_CHUNK = 1 << 16
_STEP = 1 << 20
"""New bytes after which an interrupted attempt resets the count of failures."""
_LONGEST_PAUSE = 60.0
_BUSY = (408, 425, 429)
"""HTTP statuses below 500 after which a request is repeated."""


@dataclass(frozen=True)
class Patience:
    """Limits on waiting for a server.

    Args:
        attempts: number of consecutive attempts without progress before the download fails.
        pause: pause after the first attempt, in seconds; it doubles with each further attempt.
        timeout: timeouts in seconds for the connection and for each read.
    """

    attempts: int = 5
    pause: float = 1.0
    timeout: tuple[float, float] = (10.0, 30.0)


class _PassingError(Exception):
    """Error that may not occur at the next attempt.

    Args:
        what: the message.
        pause: minimum pause before the next attempt, in seconds.
    """

    def __init__(self, what: str, pause: float = 0.0) -> None:
        super().__init__(what)
        self.pause = pause


@dataclass(frozen=True)
class _Note:
    """Origin of a partial file, with which the rest of the same file can be requested."""

    url: str
    validator: str | None
    length: int | None


class _Part:
    """Partial file ``NAME.part``, and the note of its origin in ``NAME.part.json``."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def note(self) -> _Note | None:
        """Return the origin of the partial file; ``None`` if it is unknown or there is no partial file."""
        try:
            found = _Note(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return found if self.size and (found.validator or found.length) else None

    def begin(self, note: _Note) -> None:
        """Start an empty partial file with a new origin."""
        self.discard()
        write_atomically(self._note, json.dumps(asdict(note)) + "\n")

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
    """Download ``target`` from the first of ``urls`` that provides it.

    An incomplete download is kept in ``NAME.part``. The next call resumes it if the server supports that and
    still has the same file, and starts from the beginning otherwise.

    Args:
        urls: addresses of the file, all of them http or https.
        target: file to write; its folder must exist.
        most_bytes: largest accepted size, in bytes.
        sha256: expected checksum, 64 hexadecimal digits, or ``None`` if unknown.
        check: called with the downloaded file; raises ``DataError`` if it is a wrong one, such as a web page.
        patience: limits on waiting for the servers.

    Raises:
        ConfigError: if an address or the checksum is malformed.
        DataError: if no address provides the file; the message gives the reason for each.
    """
    for url in urls:
        if not url.lower().startswith(("http://", "https://")):
            raise ConfigError(f"url begins with http:// or https://, not as {url!r}")
    _check_form(sha256)
    part = _Part(target)
    note = part.note()
    problems: list[str] = []
    for url in sorted(urls, key=lambda url: note is None or note.url != url):  # the partial file's first
        if problems:
            log.warning("%s; trying %s", problems[-1], url)
        try:
            with _log_if_stopped(part):
                _fetch_from(url, part, most_bytes, patience or Patience())
            _check(part, url, sha256, check)
        except DataError as error:
            problems.append(str(error))
        else:
            part.finish(target)
            return
    if part.size:
        problems.append(f"the part received so far is kept in {part.path}: run the same command to resume")
    raise DataError("; ".join(problems))


@contextmanager
def _log_if_stopped(part: _Part) -> Iterator[None]:
    """Log that the partial file is kept if the user stops the download in the block."""
    try:
        yield
    except KeyboardInterrupt:
        log.warning("stopped; the part received is kept in %s: run the same command to resume", part.path)
        raise


def _check(part: _Part, url: str, sha256: str | None, check: Callable[[Path], None] | None) -> None:
    try:
        check_sum(part.path, sha256)
        if check is not None:
            check(part.path)
    except DataError as error:
        part.discard()  # resuming a wrong file would fail each time
        raise DataError(f"{url}: {error}") from error


def forget_note(target: Path) -> None:
    """Remove the note that a kill leaves after the partial file was renamed to ``target``."""
    part = _Part(target)
    if not part.size:
        part.discard()


def check_sum(path: Path, sha256: str | None) -> None:
    """Check a file against its checksum; without a checksum, accept any file.

    Args:
        path: the file.
        sha256: expected checksum, 64 hexadecimal digits, or ``None``.

    Raises:
        ConfigError: if ``sha256`` is malformed.
        DataError: if the file has another checksum, or is no regular file.
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
    """Request the file from one server until it is complete."""
    failures, furthest = 0, part.size
    with requests.Session() as session:
        session.max_redirects = 10
        # No compression in transit: lengths and ranges would not refer to the file's bytes.
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
    """Request the complete file or its rest, once."""
    note = part.note()
    if note is not None and note.url != url:
        note = None
    if note is not None and note.length == part.size:
        return  # complete, but killed before it was renamed
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
    except requests.RequestException as error:  # a redirect to another protocol, or too many redirects
        raise DataError(f"{url}: cannot be followed ({one_line(error)})") from error
    except OSError as error:
        raise DataError(f"{part.path}: cannot be written ({error.strerror or one_line(error)})") from error


def _begin(answer: requests.Response, url: str, part: _Part, note: _Note | None) -> int | None:
    """Prepare the partial file for the response's body; return the length of the complete file if known."""
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
        raise _PassingError("cannot send the rest of the partial file; starting from the beginning")
    what = f"answers {answer.status_code} {answer.reason}"
    if answer.status_code in _BUSY or answer.status_code >= 500:
        wait = answer.headers.get("Retry-After", "")
        raise _PassingError(what, float(wait) if wait.isdecimal() else 0.0)
    raise DataError(f"{url}: {what}")


def _validator(answer: requests.Response) -> str | None:
    """Return the header that identifies this exact version of the file, or ``None``."""
    tag = answer.headers.get("ETag")
    return tag if tag is not None and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def _check_room(url: str, part: _Part, length: int | None, most_bytes: int) -> None:
    if length is None:
        return
    if length > most_bytes:
        part.discard()
        raise DataError(f"{url}: is {length:,} bytes long, but at most {most_bytes:,} are expected")
    if length - part.size > (free := shutil.disk_usage(part.path.parent).free):
        raise DataError(
            f"{part.path.parent}: has {free:,} bytes free, but {length - part.size:,} are needed; "
            "free some space, or name another folder: output=<folder>"
        )


def _receive(answer: requests.Response, url: str, part: _Part, length: int | None, most_bytes: int) -> None:
    """Append the response's body to the partial file."""
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
        raise DataError(
            f"{url}: sends more than it announced, or more than the expected {most_bytes:,} bytes"
        )
    if length is not None and size < length:
        raise _PassingError(f"broke off after {size:,} of {length:,} bytes")


def _reason(error: BaseException) -> str:
    """Return the message of the innermost cause, without the representation of the library's objects."""
    inner: BaseException | None = error
    while inner is not None:
        error = inner
        causes = [getattr(error, "reason", None), *error.args]
        inner = next((cause for cause in causes if isinstance(cause, Exception)), None)
    return re.sub(r"^\w+\(host=.*?\): ", "", one_line(error))
