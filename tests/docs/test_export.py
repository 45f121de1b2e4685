"""The programs of docs/how-to/export.md predict the numbers that the page shows."""

import os
import re
import runpy
import shutil
import subprocess

import numpy as np
import pytest

from keypoints.crop import Crop, as_input
from keypoints.data.photos import grey
from keypoints.geometry import Box
from tests.conftest import ROOT

EXAMPLES = ROOT / "docs" / "examples" / "onnx"
MODEL = ROOT / "results" / "ibug300w_best" / "model.onnx"
NUMBERS = re.compile(
    r"first point \((.+), (.+)\)\nnose tip \((.+), (.+)\), confidence ([0-9.]+)$", re.MULTILINE
)
CLOSE = 0.5
"""Pixels by which processors may differ: the model has 8-bit weights."""


@pytest.fixture(scope="module")
def shown():
    page = (ROOT / "docs" / "how-to" / "export.md").read_text(encoding="utf-8")
    return [float(number) for number in NUMBERS.search(page).groups()]


@pytest.fixture(scope="module")
def program():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra export)")
    return runpy.run_path(str(EXAMPLES / "predict.py"))


def test_the_python_program_predicts_the_worked_number(program, shown):
    points, confidence = program["predict"](str(MODEL), *program["made_up_face"]())
    assert [*points[0], *points[30]] == pytest.approx(shown[:4], abs=CLOSE)
    assert confidence[30] == pytest.approx(shown[4], abs=0.1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("box", [(104, 66, 112, 112), (-20, 30.5, 90, 70), (150, 100, 30, 20)], ids=str)
@pytest.mark.parametrize("size", [(224, 224), (80, 60)], ids=str)
def test_the_python_program_crops_as_keypoints_does(program, channels, box, size):
    rgb, _ = program["made_up_face"]()
    crop = Crop(*size, channels, source="box", margin=1.3)
    pixels, affine = crop(grey(rgb) if channels == 1 else rgb, Box(*box))
    ours, theirs = as_input([pixels]), program["network_input"](rgb, box, crop.to_dict())
    assert np.abs(ours - theirs).max() * 255 < 1.5  # keypoints rounds between rows and columns
    ratios = np.array([[0.25, 0.5], [-0.1, 1.2]])
    expected = affine.inverse()(ratios * size - 0.5)
    np.testing.assert_allclose(program["photo_points"](ratios, box, crop.to_dict()), expected, atol=1e-9)


def assert_worked_number(command, shown):
    done = subprocess.run([*command, MODEL], capture_output=True, text=True, check=True, timeout=120)
    found = [float(number) for number in NUMBERS.search(done.stdout).groups()]
    assert found[:4] == pytest.approx(shown[:4], abs=CLOSE)
    assert found[4] == pytest.approx(shown[4], abs=0.1)


def test_the_javascript_program_predicts_the_worked_number(shown):
    """It needs node, and onnxruntime-web in a folder of ``NODE_PATH``."""
    node = shutil.which("node")
    folders = os.environ.get("NODE_PATH", "").split(os.pathsep)
    if node is None or not any(os.path.isdir(f"{folder}/onnxruntime-web") for folder in folders):  # noqa: PTH112
        pytest.skip("node or onnxruntime-web is not installed (NODE_PATH)")
    assert_worked_number([node, EXAMPLES / "predict.cjs"], shown)


def test_the_cpp_program_predicts_the_worked_number(shown, tmp_path):
    """It needs g++, and onnxruntime and nlohmann/json in the folders that g++ and the loader search."""
    compiler = shutil.which("g++")
    headers = "#include <onnxruntime_cxx_api.h>\n#include <nlohmann/json.hpp>\n"
    preprocess = [compiler, "-E", "-x", "c++", "-"]
    if (
        compiler is None
        or subprocess.run(preprocess, input=headers, text=True, check=False, capture_output=True).returncode
    ):
        pytest.skip("g++, onnxruntime or nlohmann/json is not installed (CPLUS_INCLUDE_PATH)")
    built = [compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", EXAMPLES / "predict.cpp"]
    subprocess.run([*built, "-lonnxruntime", "-o", tmp_path / "predict"], check=True)
    assert_worked_number([tmp_path / "predict"], shown)
