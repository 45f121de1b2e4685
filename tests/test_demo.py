import base64
import csv
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import requests
from PIL import Image

from keypoints.configuration import compose
from keypoints.datasets.predictions import PredictedFace
from keypoints.demo import answer, demo, described
from keypoints.errors import CheckpointError, ConfigError
from keypoints.geometry import Box
from keypoints.predictor import Predictor
from keypoints.runs import RunFolder
from tests.conftest import ROOT, draw_portrait

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
"""The command line, telling where it connects to and what it imported."""


@contextmanager
def serving(model, folder, *arguments):
    """The page in a process of its own, whose home, temporary and working folders are in ``folder``."""
    pytest.importorskip("gradio", reason="gradio is not installed (extra demo)")
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
            process.address = re.search(r"http://\S+\d", process.stdout.readline())[0]
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)
    assert process.returncode == 0
    assert not left_in(folder)
    assert not list(places["TMPDIR"].iterdir())


def left_in(folder):
    """The files that the server has now, wherever it may write."""
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
    """Chromium without a window; its camera sees a made-up face."""
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
    with browser.new_context(permissions=["camera"], viewport={"width": 1000, "height": 800}) as context:
        page = context.new_page()
        page.requests = []
        context.on("request", lambda request: page.requests.append(request.url))
        page.goto(address)
        page.get_by_text("Click to Upload").wait_for()
        yield page


def drawn(page):
    """The picture of the answer, once it is there."""
    source = page.locator(".answer img").get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2]))))


def test_a_photo_is_answered_with_its_faces_drawn_and_as_a_table(page, address, exported, photo, folder):
    page.set_input_files("input[type=file]", photo)
    changed = np.abs(drawn(page).astype(int) - np.asarray(Image.open(photo).convert("RGB"))).max(axis=2) > 60
    assert 100 < changed.sum() < changed.size / 4
    (face,) = Predictor(exported)(photo)
    box = f"{face.box.width:.0f} × {face.box.height:.0f} at {face.box.left:.0f}, {face.box.top:.0f}"
    cells = page.locator(".answer td").all_inner_texts()
    assert cells == ["0", box, "detector", f"{face.score:.3g}"]
    with page.expect_download() as download:
        page.get_by_text("Download the points (CSV)").click()
    assert download.value.suggested_filename == f"{photo.stem}.csv"
    with download.value.path().open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["image"], row["box"]) == (photo.name, "detected")
    points = [float(row[f"{axis}{index}"]) for index in range(68) for axis in "xy"]
    np.testing.assert_allclose(points, face.points.ravel(), atol=1e-3)
    page.get_by_text("Click to Upload").wait_for()  # ready for the next
    assert not left_in(folder)
    assert {url for url in page.requests if not url.startswith((f"{address}/", "data:", "blob:"))} == set()
    assert "asked for" not in (folder / "errors").read_text()


def test_the_camera_serves_as_well(page, folder):
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.get_by_label("capture photo").click()
    assert drawn(page).shape == (480, 640, 3)
    assert page.locator(".answer td").count() == 4
    assert not left_in(folder)


def of_zeros(width, height):
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "contents", "says"),
    [
        ("notes.txt", b"no picture", "Invalid file type: notes.txt. Only image/* allowed."),
        ("text.jpg", b"no picture", "text.jpg: is no picture, or of a kind that cannot be read"),
        ("<b>$${1+1} {{value}}.jpg", b"-", "<b>$${1+1} {{value}}.jpg: is no picture"),
        ("large.jpg", bytes(600_000), "exceed the maximum allowed size"),
        ("wide.png", of_zeros(1001, 1000), "has 1001 × 1000 pixels, more than the 1 million that are taken"),
        ("dot.png", of_zeros(1, 1), "dot.png: a picture of 1 × 1 pixels is too small to show a face"),
        ("dark.png", of_zeros(200, 100), "dark.png: no face was found"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 10 else "",
)
def test_what_is_no_photo_of_a_face_is_refused_with_a_message(page, folder, tmp_path, name, contents, says):
    (tmp_path / name).write_bytes(contents)
    page.set_input_files("input[type=file]", tmp_path / name)
    page.get_by_text(says).wait_for()
    assert page.locator(".answer a").count() == 0
    assert not left_in(folder)


def test_the_server_itself_takes_no_larger_file(address, folder):
    answered = requests.post(f"{address}/gradio_api/upload", files={"files": bytes(600_000)}, timeout=10)
    assert answered.status_code == 413
    assert not left_in(folder)


def test_only_what_was_uploaded_is_opened(exported, photo, tmp_path):
    predictor = Predictor(exported)
    inside = tmp_path / "uploaded" / "hash"
    inside.mkdir(parents=True)
    for path in (photo, inside / ".." / ".." / "elsewhere.png", inside, inside / "gone.png", None):
        shutil.copy(photo, tmp_path / "elsewhere.png")
        given = {"path": path and str(path), "orig_name": "mine.png"}
        assert "mine.png: is not here any more" in answer(predictor, given, tmp_path / "uploaded", 1)
        assert photo.is_file()
        assert (tmp_path / "elsewhere.png").is_file()
    assert "is not here any more" in answer(predictor, None, tmp_path / "uploaded", 1)


def test_a_models_confidence_is_shown_where_it_gives_one(exported, photo, tmp_path, monkeypatch):
    shutil.copy(photo, tmp_path / "photo.png")
    face = PredictedFace(Box(1, 2, 30, 40), np.full((68, 2), 9.0), "image", None, np.full(68, 0.5))
    predictor = Predictor(exported)
    monkeypatch.setattr(predictor, "prepare", lambda pixels: [])
    monkeypatch.setattr(predictor, "finish", lambda faces: [face])
    page = answer(predictor, {"path": str(tmp_path / "photo.png")}, tmp_path, 1)
    assert re.findall("<t[dh]>(.*?)</t", page) == [
        *("face", "box", "from", "confidence"),
        *("0", "30 × 40 at 1, 2", "whole photo", "50%"),
    ]


def test_a_model_is_described_in_a_line(finished_run, exported):
    assert described(Predictor(finished_run), RunFolder(finished_run)) == (
        "nose_tip (best.ckpt) · 1 landmark, imm58-nose_tip · trained on 4 persons or photos of imm_face_db"
    )
    assert described(Predictor(finished_run / "checkpoints" / "last.ckpt"), None) == (
        "last.ckpt · 1 landmark, imm58-nose_tip · trained on 4 persons or photos"
    )
    assert described(Predictor(exported), None) == (
        "model.onnx · 68 landmarks, ibug68 · the file does not say what it was trained on"
    )


def test_it_ends_when_interrupted_and_leaves_nothing(exported, photo, tmp_path):
    with serving(exported, tmp_path) as process:
        with photo.open("rb") as file:
            requests.post(f"{process.address}/gradio_api/upload", files={"files": file}, timeout=10)
        assert len(left_in(tmp_path)) == 1
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert said.splitlines() == ["the page is closed", "set()"]
    assert not (tmp_path / "errors").read_text()


def test_what_cannot_begin_is_said(exported, tmp_path, monkeypatch):
    (tmp_path / "a.ckpt").write_text("no model")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for error, says, *how in [
            (ConfigError, "say which checkpoint", "checkpoint=null"),
            (
                CheckpointError,
                r"a\.ckpt: truncated, damaged, or no checkpoint",
                f"checkpoint={tmp_path / 'a.ckpt'}",
            ),
            (ConfigError, f"cannot listen at 127.0.0.1:{port} .Address already in use", f"port={port}"),
            (ConfigError, "cannot listen at 127.0.0.1:99999 .*0-65535.*; name another", "port=99999"),
            (ConfigError, "cannot listen at no.such.host.invalid:7860", "host=no.such.host.invalid"),
            (ConfigError, "max_megapixels is a number above 0, not 0", "max_megapixels=0"),
        ]:
            with pytest.raises(error, match=says) as raised:
                demo(compose("demo", [f"checkpoint={exported}", *how]))
            assert "\n" not in str(raised.value)
    for module, says in [
        ("dlib", "finding faces needs dlib"),
        ("gradio", r"the page needs gradio.*'\.\[demo\]'"),
    ]:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(ConfigError, match=says):
                demo(compose("demo", [f"checkpoint={exported}", "port=0"]))
