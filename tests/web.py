"""Local web server that imitates correct and faulty servers."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """Answer of the server to one request.

    Args:
        contents: contents of the file.
        status: HTTP status; other than 200, no contents are sent.
        headers: headers that add to the standard ones or replace them.
        sends: number of bytes after which the connection breaks; ``None``: all.
        announces: announced length; ``None``: the true one, -1: none.
        ranges: whether the server supports Range and If-Range.
        shift: offset in bytes between the requested range and the one that is sent.
    """

    contents: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    sends: int | None = None
    announces: int | None = None
    ranges: bool = True
    shift: int = 0


class Web:
    """Answers of the server by path, for successive requests; the last answer repeats."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.address = ""

    def lay(self, path: str, *answers: Answer) -> str:
        """Set the answers at ``path``, and return its address."""
        self.answers[path] = list(answers)
        return f"{self.address}/{path}"

    def ranges(self) -> list[str | None]:
        """Return the ranges of all requests."""
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
    """Run a server during the block."""
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
