"""Web server of the page that answers photos. It imports Starlette, so import this module late.

A photo is the body of a request. It is held in memory until it is answered, and never written to disk. The
name that a client gives is only shown: the server opens no file and no address by that name.
"""

import asyncio
import ipaddress
import logging
import re
import socket
import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

Answer = Callable[[str, bytes], str]
"""Function that maps a photo's name and its file's bytes to HTML. It is slow, so it is called in a thread."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=(), usb=(), "
    "serial=(), hid=(), midi=(), payment=(), accelerometer=(), gyroscope=(), magnetometer=()",
    "Cache-Control": "no-store",
}
"""Security headers of every response."""

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9_.-]{1,255}))(?::([0-9]{0,5}))?")
_ORIGIN = re.compile(r"(https?)://(.*)", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
_PATIENCE, _BLOCK = 5.0, 2**16
"""Seconds within which the next 64 KiB of a photo have to arrive, so that slow clients block no others."""
_LONGEST_NAME = 150
"""Maximum characters of a photo's name."""


class Host(NamedTuple):
    """Host and port of a ``Host`` header."""

    name: str
    """Host in lower case, without a final dot or brackets; an IP address in its shortest form."""
    port: int | None


def parse_host(text: str) -> Host | None:
    """Return the host and port in ``text``; ``None`` if it is malformed.

    >>> parse_host("Box.Example.org.:7860")
    Host(name='box.example.org', port=7860)
    >>> parse_host("[0:0::1]")
    Host(name='::1', port=None)
    >>> parse_host("user@box") is parse_host("[::1") is parse_host("") is None
    True
    """
    found = _HOST.fullmatch(text)
    if found is None:
        return None
    six, name, port = found.groups()
    number = int(port) if port else None
    if number is not None and number > 65535:
        return None
    if six is not None:
        try:
            return Host(str(ipaddress.IPv6Address(six)), number)
        except ValueError:
            return None
    name = name.lower().removesuffix(".")
    return Host(name, number) if all(name.split(".")) else None


def _parse_origin(text: str) -> tuple[str, Host] | None:
    """Return the scheme and the host of an ``Origin`` header; ``None`` if it is ``null`` or malformed."""
    found = _ORIGIN.fullmatch(text)
    host = found and parse_host(found[2])
    return (found[1].lower(), host) if found and host else None


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return ``name`` as an IP address, or ``None`` if it is none."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


class Hosts:
    """Host names under which the page is served.

    Another website can let its own name point to this machine (DNS rebinding). The browser then treats this
    page as a part of that website, but sends the website's name in the ``Host`` header.

    Args:
        host: host of the configuration.
        bound: IP address at which the server listens. At a loopback address, the page is served under
            loopback addresses, ``localhost`` and ``host``. At another address, it is also served under every
            IP address and the machine's own names.
        allowed: further names, as returned by :func:`parse_host`; ``*`` allows every name.
    """

    def __init__(self, host: str, bound: str, allowed: Sequence[str] = ()) -> None:
        self.allowed = frozenset(allowed) - {"*"}
        self._any = "*" in allowed
        address = _address(bound)
        self._only_here = address is not None and address.is_loopback
        self._names = self.allowed | {"localhost", host.lower().removesuffix(".")}
        if not self._only_here:
            own = socket.gethostname().lower()
            self._names |= {own, own.partition(".")[0], f"{own.partition('.')[0]}.local"}

    def serves(self, name: str) -> bool:
        """Return True if the page is served under ``name``."""
        if self._any or name in self._names:
            return True
        address = _address(name)
        return address is not None and (address.is_loopback or not self._only_here)


def application(
    answer: Answer,
    *,
    example: Callable[[], bytes],
    files: Mapping[str, tuple[str, bytes]],
    hosts: Hosts,
    max_bytes: int,
    seconds: float = 60,
    at_once: int = 8,
    waiting: int = 100,
) -> ASGIApp:
    """Return the ASGI application: ``files`` by GET, ``POST /example`` and ``POST /predict`` for photos.

    Args:
        answer: function that answers a photo; it is called for one photo at a time.
        example: function that makes an example photo, a JPEG file; it is called for one request at a time.
        files: media type and contents by path, such as ``/`` and ``/demo.js``.
        hosts: names under which the page is served.
        max_bytes: size above which a photo is refused, in bytes.
        seconds: time within which a photo has to arrive, in seconds.
        at_once: number of photos held in memory; further ones wait until one of them is answered.
        waiting: number of photos that may wait; further ones are refused.
    """
    photos = _Photos(answer, example, hosts, max_bytes, seconds, asyncio.Semaphore(at_once), waiting)
    routes = [
        *(
            Route(path, _send_contents(kind, contents), methods=["GET"])
            for path, (kind, contents) in files.items()
        ),
        Route("/example", photos.send_example, methods=["POST"]),
        Route("/predict", photos.predict, methods=["POST"]),
    ]
    served = Starlette(routes=routes, exception_handlers={HTTPException: _refused, Exception: _failed})
    served.router.redirect_slashes = False
    return _Guard(served, hosts)


def _send_contents(kind: str, contents: bytes) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that sends ``contents``."""

    async def send(_request: Request) -> Response:
        return Response(contents, media_type=kind)

    return send


async def _refused(_request: Request, error: Exception) -> Response:
    """Return the response to a refused request, as one line of text."""
    assert isinstance(error, HTTPException)
    words = {404: "there is no such page", 405: "this page does not accept that method"}
    line = words.get(error.status_code, error.detail)
    return PlainTextResponse(f"{line}\n", error.status_code, dict(error.headers or {}))


async def _failed(_request: Request, _error: Exception) -> Response:
    """Return the response after an unexpected error, which is in the server's log."""
    return PlainTextResponse("the server failed at this request; its log says why\n", 500)


class _Guard:
    """ASGI middleware that refuses other host names and adds :data:`HEADERS` to every response."""

    def __init__(self, served: ASGIApp, hosts: Hosts) -> None:
        self._served = served
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            refusal = self._refusal(Headers(scope=scope))
            await (refusal or self._served)(scope, receive, send_with_headers)

    def _refusal(self, headers: Headers) -> Response | None:
        given = headers.getlist("host")
        host = parse_host(given[0]) if len(given) == 1 else None
        if host is None:
            return PlainTextResponse(
                "a request needs exactly one Host header, with a host and its port\n", 400
            )
        if not self._hosts.serves(host.name):
            return PlainTextResponse(
                f"this page is not served under the name {host.name}; "
                f"start it with allowed_hosts={host.name}\n",
                421,
            )
        return None


class _Photos:
    """Endpoints that receive photos and answer them, and that send an example photo."""

    def __init__(
        self,
        answer: Answer,
        example: Callable[[], bytes],
        hosts: Hosts,
        max_bytes: int,
        seconds: float,
        places: asyncio.Semaphore,
        most_waiting: int,
    ) -> None:
        self._answer = answer
        self._example = example
        self._hosts = hosts
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._patience = min(_PATIENCE, seconds)
        self._places = places
        self._most_waiting = most_waiting
        self._waiting = 0
        self._one = asyncio.Lock()

    async def send_example(self, request: Request) -> Response:
        """Make an example photo, and send it."""
        self._check_site(request.headers)
        await self._wait_for_place()
        try:
            async with self._one:
                return Response(await run_in_threadpool(self._example), media_type="image/jpeg")
        finally:
            self._places.release()

    async def predict(self, request: Request) -> Response:
        """Answer the photo that is the request's body."""
        self._check(request.headers)
        name = photo_name(request.headers.get("x-photo-name", ""))
        await self._wait_for_place()
        try:
            photo = await self._body(request)
            async with self._one:
                if await request.is_disconnected():
                    return Response()
                return HTMLResponse(await run_in_threadpool(self._answer, name, photo))
        except ClientDisconnect:
            return Response()  # the client is gone
        except HTTPException:
            raise
        except Exception:
            log.exception("a photo could not be answered")
            raise HTTPException(500, f"{name}: the server failed at this photo; its log says why") from None
        finally:
            self._places.release()

    def _check(self, headers: Headers) -> None:
        """Refuse requests of other websites, other kinds of contents, and photos whose size is too large.

        Raises:
            HTTPException: if the request is refused.
        """
        self._check_site(headers)
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/octet-stream":
            raise HTTPException(
                415, "a photo is the request's body, with Content-Type: application/octet-stream"
            )
        length = headers.get("content-length", "0")
        if not re.fullmatch("[0-9]{1,18}", length):
            raise HTTPException(400, "the Content-Length is no number of bytes")
        if int(length) > self._max_bytes:
            raise self._too_large()

    def _check_site(self, headers: Headers) -> None:
        """Refuse requests of other websites.

        Raises:
            HTTPException: if the request is refused.
        """
        if (site := headers.get("sec-fetch-site")) not in (None, "same-origin", "none"):
            raise HTTPException(
                403, f"photos are accepted only from this page, not from another ({site[:20]})"
            )
        for origin in headers.getlist("origin"):
            self._check_origin(origin, headers["host"])

    def _check_origin(self, origin: str, host: str) -> None:
        parsed, own = _parse_origin(origin), parse_host(host)
        if parsed is None or own is None:
            raise HTTPException(
                403, "photos are accepted only from this page, not from a page without a name"
            )
        scheme, page = parsed
        default = _PORTS[scheme]
        same = (page.name, page.port or default) == (own.name, own.port or default)
        if not same and page.name not in self._hosts.allowed:
            raise HTTPException(
                403,
                f"photos are accepted only from this page, not from one of {page.name}; if a proxy serves "
                f"this page under that name, start it with allowed_hosts={page.name}",
            )

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"the file is larger than the limit of {self._max_bytes / 1e6:g} MB")

    async def _wait_for_place(self) -> None:
        """Wait until another photo may be held in memory.

        Raises:
            HTTPException: if too many photos are waiting.
        """
        if self._places.locked() and self._waiting >= self._most_waiting:
            raise HTTPException(
                503, "busy: too many photos are waiting; try again in a minute", {"Retry-After": "60"}
            )
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1

    async def _body(self, request: Request) -> bytes:
        """Receive the request's body.

        Raises:
            HTTPException: if the body is too large or does not arrive in time.
            ClientDisconnect: if the client disconnects.
        """
        body = bytearray()
        now = asyncio.get_running_loop().time
        ends = now() + self._seconds
        try:
            async with asyncio.timeout_at(min(ends, now() + self._patience)) as limit:
                async for part in request.stream():
                    if len(body) + len(part) > self._max_bytes:
                        raise self._too_large()
                    if (len(body) + len(part)) // _BLOCK > len(body) // _BLOCK:
                        limit.reschedule(min(ends, now() + self._patience))
                    body += part
        except TimeoutError:
            raise HTTPException(
                408,
                f"the photo arrived too slowly, or not within {self._seconds:g} seconds; try a smaller one",
                {"Connection": "close"},
            ) from None
        return bytes(body)


def photo_name(header: str) -> str:
    """Return a photo's name from its percent-encoded form, as one line of text to show.

    >>> photo_name("a%20photo%2C%20%C3%B8.png")
    'a photo, ø.png'
    >>> photo_name("")
    'photo'
    """
    encoded = header[: 12 * (_LONGEST_NAME + 1)]  # up to 12 for one character, as in %F0%9F%98%80
    text = unquote(encoded, errors="replace")
    # Control, format and private characters could reverse or hide the rest of the name.
    shown = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in text)
    name = " ".join(shown.split())
    return (name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…") or "photo"
