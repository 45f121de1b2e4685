import asyncio
import contextlib
import http.client
import json
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("starlette", reason="starlette is not installed (extra demo)")
uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra demo)")

from keypoints.demo.server import HEADERS, Hosts, application, parse_host, photo_name  # noqa: E402

FILES = {"/": ("text/html", b"<p>the page"), "/demo.js": ("text/javascript", b"1;")}
HERE = Hosts("127.0.0.1", "127.0.0.1")
PHOTO = {"Content-Type": "application/octet-stream"}


def echo(name, photo):
    return f"{name}: {len(photo)} bytes"


def app_of(answer=echo, hosts=HERE, max_bytes=1000, **limits):
    return application(
        answer, example=lambda: b"a face", files=FILES, hosts=hosts, max_bytes=max_bytes, **limits
    )


def test_an_example_is_sent_to_the_page_only():
    status, headers, said = ask(app_of(), "POST", "/example")
    assert (status, headers["content-type"], said) == (200, "image/jpeg", "a face")
    assert ask(app_of(), "GET", "/example")[0] == 405
    for cross in (("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")):
        assert ask(app_of(), "POST", "/example", (cross,))[0] == 403


def asked(app, method="GET", path="/", headers=(), messages=None, kind="http"):
    """Return the coroutine of one request; its result is status, headers and text, or the sent messages."""
    given = [("host", "localhost:7860"), *headers] if isinstance(headers, tuple) else headers
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in given]
    scope = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": encoded,
        "server": ("127.0.0.1", 7860),
        "client": ("127.0.0.1", 5),
    }
    waiting = [{"type": "http.request", "body": b"", "more_body": False}] if messages is None else [*messages]
    sent = []

    async def receive():
        if not waiting:
            await asyncio.Event().wait()  # no further message, and no disconnect
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    async def answered():
        with contextlib.suppress(ZeroDivisionError):  # Starlette raises an error again for the server's log
            await app(scope, receive, send)
        if kind != "http":
            return sent
        start, *bodies = sent
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], found, b"".join(body.get("body", b"") for body in bodies).decode()

    return answered()


def ask(app, *args, **kwargs):
    return asyncio.run(asyncio.wait_for(asked(app, *args, **kwargs), 20))


def parts(*bodies, more=False):
    last = len(bodies) - 1
    return [
        {"type": "http.request", "body": body, "more_body": more or index < last}
        for index, body in enumerate(bodies)
    ]


def give(app, body=b"123", **headers):
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return ask(app, "POST", "/predict", (*PHOTO.items(), *named), parts(body))


@contextlib.contextmanager
def served(app):
    """Run a server in a thread; return its port."""
    config = uvicorn.Config(
        app, loop="asyncio", http="h11", ws="none", lifespan="off", log_level="error", proxy_headers=False
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(timeout=30)
    assert not thread.is_alive()


def raw(port, request):
    """Send the bytes of a request; return the response."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def post(port, body, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", "/predict", body, {**PHOTO, **named})
    response = connection.getresponse()
    return response.status, response.read().decode()


@pytest.mark.parametrize(
    ("text", "name", "port"),
    [
        ("localhost", "localhost", None),
        ("LocalHost.:7860", "localhost", 7860),
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("box.example.org:", "box.example.org", None),
        ("[::1]:7860", "::1", 7860),
        ("[0:0:0::0001]", "::1", None),
        ("my_box", "my_box", None),
    ],
)
def test_a_host_header_is_parsed(text, name, port):
    assert parse_host(text) == (name, port)


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", ":80", "a b", "a,b", "a..b", "a:70000", "a:x", "a\n", "a:80\n", "a/b", "é", "a" * 300),
        *("::1", "[::1", "[::g]", "[::1%25lo]", "[::1]x", "[" + ":" * 50 + "]", "user@a", "http://a"),
    ],
)
def test_a_malformed_host_header_is_refused(text):
    assert parse_host(text) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("%2Fdev%2Fzero", "/dev/zero"),
        ("a%0D%0AX%3A%20b%00c", "a X: b c"),
        ("%E2%80%AEgpj.exe", "gpj.exe"),
        ("%FF%ZZ", "\ufffd%ZZ"),
        ("%20%0A", "photo"),
        (300 * "%F0%9F%98%80", 149 * "😀" + "…"),
    ],
)
def test_the_name_of_a_photo_is_one_short_line(given, expected):
    assert photo_name(given) == expected


LOCAL = ["localhost", "127.0.0.1", "127.9.8.7:1", "[::1]:7860", "LOCALHOST."]
ELSEWHERE = ["192.168.1.20:7860", "[fe80::1]"]
STRANGE = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.1", "2130706433"]


@pytest.mark.parametrize(
    ("arguments", "served", "refused"),
    [
        (("127.0.0.1", "127.0.0.1"), LOCAL, [*ELSEWHERE, *STRANGE, "laptop", "0.0.0.0"]),
        (("::1", "::1"), LOCAL, [*ELSEWHERE, *STRANGE]),
        (("Name.Here", "127.0.1.1"), [*LOCAL, "name.here"], [*ELSEWHERE, "laptop"]),
        (
            ("0.0.0.0", "0.0.0.0"),
            [*LOCAL, *ELSEWHERE, "laptop", "laptop.lan", "Laptop.local"],
            [*STRANGE, "laptop.evil.example"],
        ),
        (("192.168.1.20", "192.168.1.20", ["a"]), [*LOCAL, *ELSEWHERE, "A:80"], [*STRANGE, "b.a"]),
        (("127.0.0.1", "127.0.0.1", ["a", "::2"]), [*LOCAL, "a", "[::2]"], [*STRANGE, "[::3]"]),
        (("127.0.0.1", "127.0.0.1", ["*"]), [*LOCAL, *ELSEWHERE, *STRANGE], []),
    ],
    ids=["loopback", "loopback6", "name", "everywhere", "lan", "allowed", "any"],
)
def test_the_page_is_served_only_under_its_own_names(monkeypatch, arguments, served, refused):
    monkeypatch.setattr(socket, "gethostname", lambda: "Laptop.LAN")
    app = app_of(hosts=Hosts(*arguments))
    for host in served:
        assert ask(app, headers=[("host", host)])[0] == 200, host
    for host in refused:
        status, headers, said = ask(app, headers=[("host", host)])
        name = parse_host(host).name
        assert status == 421, host
        assert headers.items() >= {name.lower(): value for name, value in HEADERS.items()}.items()
        assert said == (
            f"this page is not served under the name {name}; start it with allowed_hosts={name}\n"
        )


@pytest.mark.parametrize(
    "hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"], ["a b"], [""], ["localhost,a"]]
)
def test_a_missing_repeated_or_malformed_host_is_refused(hosts):
    status, headers, said = ask(app_of(), headers=[("host", host) for host in hosts])
    assert (status, said) == (400, "a request needs exactly one Host header, with a host and its port\n")
    assert headers["x-frame-options"] == "DENY"


def test_forwarded_hosts_are_ignored():
    others = ("X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "Forwarded", "X-Forwarded-Prefix")
    forged = tuple((name, "host=evil.example") for name in others)
    for path in ("/", "/nothing", "/predict"):
        found = ask(app_of(), path=path, headers=forged)
        assert found == ask(app_of(), path=path)
        assert "evil" not in str(found)
    status, _, _ = ask(app_of(), headers=[("host", "evil.example"), ("x-forwarded-host", "localhost")])
    assert status == 421


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/demo.js", 200),
        ("POST", "/predict", 200),
        ("GET", "/predict", 405),
        ("OPTIONS", "/predict", 405),
        ("PUT", "/", 405),
        ("TRACE", "/demo.js", 405),
        ("GET", "", 404),
        ("GET", "/demo.js/", 404),
        ("GET", "//demo.js", 404),
        ("POST", "/predict/", 404),
        ("GET", "/demo.js/../../etc/passwd", 404),
        ("GET", "/../../../../etc/passwd", 404),
        ("GET", "/..\\..\\etc\\passwd", 404),
        ("GET", "file:///etc/passwd", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/docs", 404),
        ("GET", "/static/demo.js", 404),
        ("GET", "/gradio_api/file=/etc/passwd", 404),
        ("POST", "/gradio_api/upload", 404),
        ("POST", "/gradio_api/call/predict", 404),
        ("POST", "/gradio_api/queue/join", 404),
        ("GET", "/file=/etc/passwd", 404),
    ],
)
def test_every_response_has_the_security_headers_and_no_cors(method, path, status):
    cross = (("Access-Control-Request-Method", "POST"),) if method == "OPTIONS" else ()
    got, headers, said = ask(app_of(), method, path, (*PHOTO.items(), *cross))
    assert got == status
    assert headers.items() >= {name.lower(): value for name, value in HEADERS.items()}.items()
    assert not [name for name in headers if name.startswith("access-control") or name == "location"]
    if status != 200:
        assert headers["content-type"].startswith("text/plain")
        assert said.count("\n") == 1
        assert "passwd" not in said


def test_the_security_policy_allows_no_inline_scripts_or_frames():
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy.split("; "))


def test_a_websocket_is_refused():
    for path in ("/", "/predict"):
        (sent,) = ask(app_of(), path=path, kind="websocket")
        assert sent["type"] == "websocket.close"


def test_the_answer_names_the_photo():
    status, headers, said = give(app_of(), b"12345", x_photo_name="a%20b%2C%20%C3%B8.png")
    assert (status, said) == (200, "a b, ø.png: 5 bytes")
    assert headers["content-type"].startswith("text/html")
    assert give(app_of(), b"")[2] == "photo: 0 bytes"


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, "accepted only from this page, not from another"),
        ({"Sec-Fetch-Site": "same-site"}, "accepted only from this page, not from another"),
        ({"Origin": "https://evil.example"}, "start it with allowed_hosts=evil.example"),
        ({"Origin": "http://localhost:9999"}, "start it with allowed_hosts=localhost"),
        ({"Origin": "http://localhost"}, "start it with allowed_hosts=localhost"),
        ({"Origin": "null"}, "not from a page without a name"),
        ({"Origin": ""}, "not from a page without a name"),
        ({"Origin": "http://localhost:7860/"}, "not from a page without a name"),
        ({"Origin": "chrome-extension://abc"}, "not from a page without a name"),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, "allowed_hosts=evil.example"),
    ],
)
def test_a_photo_from_another_website_is_refused(headers, says):
    status, found, said = give(app_of(lambda *_: pytest.fail("it was answered")), **headers)
    assert status == 403
    assert says in said
    assert not [name for name in found if name.startswith("access-control")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:7860"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://LOCALHOST:7860"},
        {"Origin": "https://hub.example.org"},  # a proxy that rewrites Host
        {},
    ],
)
def test_a_photo_from_the_page_itself_is_answered(headers):
    app = app_of(hosts=Hosts("127.0.0.1", "127.0.0.1", ["hub.example.org"]))
    assert give(app, **headers)[0] == 200


def test_the_origin_may_omit_a_default_port():
    for host, origin in [("localhost:80", "http://localhost"), ("localhost", "https://localhost")]:
        headers = [("host", host), ("origin", origin), *PHOTO.items()]
        assert ask(app_of(), "POST", "/predict", headers)[0] == 200


def test_allowing_any_host_does_not_allow_any_origin():
    app = app_of(hosts=Hosts("127.0.0.1", "127.0.0.1", ["*"]))
    assert give(app, Origin="https://evil.example")[0] == 403


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", json.dumps({"data": [{"path": "/etc/passwd"}], "fn_index": 0}).encode()),
        ("multipart/form-data; boundary=x", b"--x\r\n"),
        ("application/x-www-form-urlencoded", b"path=/etc/passwd&url=http://localhost:9/"),
        ("text/plain", b"file:///etc/passwd"),
        ("", b"1"),
    ],
)
def test_a_body_of_another_content_type_is_refused(kind, body):
    app = app_of(lambda *_: pytest.fail("it was answered"))
    status, _, said = ask(app, "POST", "/predict", (("Content-Type", kind),), parts(body))
    assert (status, said.partition(",")[0]) == (415, "a photo is the request's body")


def test_a_body_above_the_limit_is_refused_before_it_is_read():
    says = "the file is larger than the limit of 0.001 MB\n"
    announced = (*PHOTO.items(), ("Content-Length", "1001"))
    assert ask(app_of(), "POST", "/predict", announced, [])[::2] == (413, says)
    streamed = parts(bytes(600), bytes(401), more=True)  # the rest is not received
    assert ask(app_of(), "POST", "/predict", tuple(PHOTO.items()), streamed)[::2] == (413, says)
    whole = parts(bytes(600), bytes(400))
    assert ask(app_of(), "POST", "/predict", tuple(PHOTO.items()), whole)[0] == 200
    for length in ("-1", "1e9", "x", 30 * "9"):
        announced = (*PHOTO.items(), ("Content-Length", length))
        assert ask(app_of(), "POST", "/predict", announced)[0] == 400


def test_a_body_that_arrives_too_slowly_is_refused():
    app = app_of(seconds=0.05, at_once=1)
    for _ in range(2):  # the second runs only if the first has freed its place
        status, headers, said = ask(app, "POST", "/predict", tuple(PHOTO.items()), parts(b"1", more=True))
        assert (status, headers["connection"]) == (408, "close")
        assert said.startswith("the photo arrived too slowly, or not within 0.05 seconds")
    assert give(app)[0] == 200


def test_an_error_is_logged_and_reported_without_its_traceback(caplog):
    def broken(name, photo):
        raise ZeroDivisionError("secret")

    app = app_of(broken, at_once=1)
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            status, headers, said = give(app, x_photo_name="a.png")
            assert (status, said) == (500, "a.png: the server failed at this photo; its log says why\n")
            assert headers["x-frame-options"] == "DENY"
    assert caplog.text.count("ZeroDivisionError: secret") == 2


def test_other_errors_have_the_security_headers_too(monkeypatch):
    monkeypatch.setattr("keypoints.demo.server.photo_name", lambda header: 1 / 0)
    status, headers, said = give(app_of())
    assert (status, said) == (500, "the server failed at this request; its log says why\n")
    assert headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


def test_a_client_that_disconnects_frees_its_place():
    app, gone = app_of(at_once=1), {"type": "http.disconnect"}
    while_sending = [*parts(b"1", more=True), gone]
    while_waiting = [*parts(b"1"), gone]
    for messages in (while_sending, while_waiting):
        app_answers = app_of(lambda *_: pytest.fail("it was answered"), at_once=1)
        assert ask(app_answers, "POST", "/predict", tuple(PHOTO.items()), messages)[2] == ""
        ask(app, "POST", "/predict", tuple(PHOTO.items()), messages)
    assert give(app)[0] == 200


def test_waiting_bodies_are_not_read_and_too_many_are_refused():
    asyncio.run(asyncio.wait_for(seven_at_once(), 20))


async def seven_at_once():
    app = app_of(at_once=2, waiting=3)
    read, release = [], asyncio.Event()

    async def upload(number):
        sent = []

        async def receive():
            read.append(number)
            await release.wait()
            return {"type": "http.request", "body": b"1", "more_body": False}

        async def send(message):
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"content-type", b"application/octet-stream")]
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers, "root_path": ""}
        await app(scope, receive, send)
        return sent[0]["status"], sent[1]["body"].decode()

    tasks = [asyncio.create_task(upload(number)) for number in range(7)]
    done = set()
    while len(done) < 2:
        done, _ = await asyncio.wait(tasks, timeout=0.01)
    assert [task.result()[0] for task in done] == [503, 503]
    assert all("busy: too many photos are waiting; try again" in task.result()[1] for task in done)
    assert set(read) == {0, 1}
    release.set()
    others = await asyncio.gather(*(task for task in tasks if task not in done))
    assert [status for status, _ in others] == 5 * [200]


def test_photos_are_predicted_sequentially_while_the_page_responds():
    running, most, begun, end = [0], [0], threading.Event(), threading.Event()

    def slow(name, photo):
        running[0] += 1
        most[0] = max(most[0], running[0])
        begun.set()
        assert end.wait(20)
        running[0] -= 1
        return name

    with served(app_of(slow)) as port, ThreadPoolExecutor(50) as pool:
        uploads = [pool.submit(post, port, b"123", X_Photo_Name=str(number)) for number in range(50)]
        assert begun.wait(20)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"<p>the page"
        end.set()
        assert [upload.result() for upload in uploads] == [(200, str(number)) for number in range(50)]
    assert most == [1]


def test_a_client_that_hangs_up_does_not_affect_others():
    with served(app_of(at_once=1)) as port:
        for body in (b"", b"12345", b"x" * 9):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n"
                connection.sendall(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + body)
        assert post(port, b"123") == (200, "photo: 3 bytes")


def test_raw_requests_are_refused_with_the_right_status():
    with served(app_of()) as port:
        end = "Connection: close\r\n\r\n"
        for head, status in [
            ("GET / HTTP/1.1\r\n", 400),
            ("GET / HTTP/1.0\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: evil.example\r\n", 421),
            ("GET http://localhost/ HTTP/1.1\r\nHost: evil.example\r\n", 421),
            ("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n", 404),
            ("GET /demo.js/..%2f..%2fetc/passwd HTTP/1.1\r\nHost: localhost\r\n", 404),
            ("GET /demo.js%00 HTTP/1.1\r\nHost: localhost\r\n", 404),
            ("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n", 200),
            ("nonsense\r\n", 400),
        ]:
            response = raw(port, (head + end).encode())
            assert response.startswith(f"HTTP/1.1 {status} "), (head, response)
            assert "root:" not in response
            if status in (421, 404):
                assert "frame-ancestors 'none'" in response


def test_a_client_receives_the_refusal_of_a_large_upload():
    with served(app_of(max_bytes=100_000)) as port:
        for body in (bytes(3_000_000), iter([bytes(1_000_000)] * 3)):  # announced, and in chunks
            status, said = post(port, body)
            assert (status, said) == (413, "the file is larger than the limit of 0.1 MB\n")
        assert post(port, bytes(100_000))[0] == 200
