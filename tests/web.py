"""A web server on this machine that does what real ones do, good and bad."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """How the server answers one request.

    Args:
        contents: of the file.
        status: another than 200 sends no contents.
        headers: besides, or instead of, what belongs there.
        sends: the bytes after which it breaks off.
        announces: the length that it announces, if it lies; ``None`` the true one, -1 none.
        ranges: whether it honours Range, and its If-Range.
        shift: how many bytes beside the range that was asked for it begins.
    """

    contents: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    sends: int | None = None
    announces: int | None = None
    ranges: bool = True
    shift: int = 0


class Web:
    """What lies on the server, by path: the answers to one request after another; the last one stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.address = ""

    def lay(self, path: str, *answers: Answer) -> str:
        """Put answers at ``path``; gives its address."""
        self.answers[path] = list(answers)
        return f"{self.address}/{path}"

    def ranges(self) -> list[str | None]:
        """The ranges that were asked for."""
        return [headers.get("Range") for _, headers in self.asked]


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            web.asked.append((path, dict(self.headers)))
            left = web.answers.get(path, [Answer(status=404)])
            answer = left.pop(0) if len(left) > 1 else left[0]
            status, body, headers = self.range_of(answer)
            length = len(body) if answer.announces is None else answer.announces
            self.send_response(status)
            for name, value in {"Content-Length": str(length), **headers, **answer.headers}.items():
                if (name, value) != ("Content-Length", "-1"):
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body[: answer.sends])
            self.close_connection = True

        def range_of(self, answer: Answer) -> tuple[int, bytes, dict[str, str]]:
            if answer.status != 200:
                return answer.status, b"", {}
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            tag = answer.headers.get("ETag")
            same = self.headers.get("If-Range", tag) == tag
            if asked is None or not answer.ranges or not same:
                return 200, answer.contents, {}
            start, total = int(asked[1]) + answer.shift, len(answer.contents)
            if start >= total:
                return 416, b"", {"Content-Range": f"bytes */{total}"}
            return 206, answer.contents[start:], {"Content-Range": f"bytes {start}-{total - 1}/{total}"}

    return Handler


@contextmanager
def serve() -> Iterator[Web]:
    """A server while the block runs."""
    web = Web()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(web)) as server:
        web.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()
