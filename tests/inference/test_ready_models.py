import hashlib
import http.server
import threading
from contextlib import contextmanager
from functools import partial

import pytest

import keypoints
from keypoints.errors import CheckpointError, ConfigError
from keypoints.inference import ready_models
from keypoints.inference.ready_models import READY, find_model, ready_model
from tests.conftest import ROOT

NAME = "mine"


@contextmanager
def served(folder):
    """Serve a folder on this machine; yield its address."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def model(exported, tmp_path, monkeypatch):
    """Make an exported model known as a ready one, in a folder of its own."""
    contents = exported.read_bytes()
    digest = hashlib.sha256(contents).hexdigest()
    monkeypatch.setitem(READY, NAME, ready_models.ReadyModel("none/such.onnx", digest, "for a test"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "models"
    folder.mkdir()
    path = folder / f"{NAME}.onnx"
    path.write_bytes(contents)
    return path


def test_the_checksums_are_those_of_the_checkout():
    for ready in READY.values():
        assert hashlib.sha256((ROOT / ready.file).read_bytes()).hexdigest() == ready.sha256


def test_the_terms_are_told_first(caplog):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra export)")
    predictor = keypoints.load("ibug300w")
    assert len(predictor.scheme) == 68
    assert "research only" in caplog.text


def test_a_file_of_the_same_name_is_preferred(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ibug300w").write_text("mine")
    assert find_model("ibug300w")[0].resolve() == (tmp_path / "ibug300w").resolve()


def test_a_folder_that_hides_a_ready_model_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ibug300w").mkdir()
    with pytest.raises(CheckpointError, match=r"^ibug300w: holds no .*ready model of this name is hidden"):
        find_model("ibug300w")


def test_a_folder_of_models_can_be_named(model, monkeypatch):
    monkeypatch.setenv("KEYPOINTS_MODELS", str(model.parent))
    assert find_model(NAME)[0].samefile(model)
    monkeypatch.delenv("KEYPOINTS_MODELS")
    assert ready_model(NAME, model.parent).samefile(model)


def test_a_missing_model_names_the_way_out(model, monkeypatch):
    monkeypatch.delenv("KEYPOINTS_MODELS", raising=False)
    with pytest.raises(CheckpointError, match=r"set KEYPOINTS_MODELS to the folder.*mine\.onnx"):
        ready_model(NAME)


def test_another_file_is_refused_by_its_checksum(model):
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(CheckpointError, match="SHA-256"):
        ready_model(NAME, model)


def test_a_model_is_downloaded_once(model, tmp_path, monkeypatch):
    with served(model.parent) as address:
        monkeypatch.setenv("KEYPOINTS_MODELS", address)
        first = ready_model(NAME)
    assert first.read_bytes() == model.read_bytes()
    assert first.is_relative_to(tmp_path / "cache")
    assert ready_model(NAME) == first  # the server has ended


def test_a_damaged_download_is_downloaded_again(model, monkeypatch):
    with served(model.parent) as address:
        monkeypatch.setenv("KEYPOINTS_MODELS", address)
        ready_model(NAME).write_bytes(b"damaged")
        assert ready_model(NAME).read_bytes() == model.read_bytes()


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="ibug300w"):
        ready_model("resnet")
