import json
import os
import subprocess
import sys

import numpy as np
import pytest

from keypoints.crop import Crop
from keypoints.errors import CheckpointError, ConfigError
from keypoints.inference.onnx_model import ExportedModel, metadata
from keypoints.schemes import IBUG68
from keypoints.threads import allowed_cores
from tests.conftest import BOX_CROP, ROOT

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra export)")


def changed(exported, path, properties):
    """Save a copy with other metadata."""
    model = onnx.load(exported)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, path)
    return path


def test_a_file_stores_everything_needed_for_prediction(exported):
    model = ExportedModel(exported)
    assert (model.scheme, model.crop, model.precision) == (IBUG68, BOX_CROP, "float32")
    assert model.support is None  # the checkpoint was not trained
    for batch in (1, 3):
        assert model(np.zeros((batch, 1, 48, 48), np.float32)).points.shape == (batch, 68, 2)


def test_sums_of_8_bit_products_do_not_overflow_on_any_processor(exported):
    options = ExportedModel(exported)._session.get_session_options()
    assert options.get_session_config_entry("session.x64quantprecision") == "1"


def test_the_best_300w_model_knows_which_confidence_is_low():
    model = ExportedModel(ROOT / "results/ibug300w_best/model.onnx")
    assert model.confidence_calibration.faces == 173
    assert model.confidence_calibration.is_low(0.5)
    assert not model.confidence_calibration.is_low(0.75)
    assert model.mean_shape.shape == (68, 2)
    assert not set(model.trained_on.groups) & set(model.trained_on.validated)


def test_a_file_stores_the_training_data_statistics(exported, tmp_path):
    properties = metadata(IBUG68, BOX_CROP, "float32", {"tilt": (0, 28.5)})
    assert ExportedModel(changed(exported, tmp_path / "model.onnx", properties)).support == {
        "tilt": (0, 28.5)
    }
    damaged = metadata(IBUG68, BOX_CROP, "float32", {"tilt": (28.5,)})
    with pytest.raises(CheckpointError, match="its metadata cannot be used"):
        ExportedModel(changed(exported, tmp_path / "model.onnx", damaged))


def test_a_file_of_other_origin_or_with_changed_metadata_is_refused(exported, tmp_path):
    path = tmp_path / "model.onnx"
    right = metadata(IBUG68, BOX_CROP, "float32")
    about = json.loads(right["keypoints"])
    wider = json.dumps({**about, "crop": {**about["crop"], "margin": 1.5}})
    later = json.dumps({**about, "format": 2, "version": "9.0"})
    for properties, says in [
        ({}, "is no model of keypoints; `keypoints export` writes them"),
        ({"keypoints": "[1"}, "is no model of keypoints"),
        ({**right, "keypoints": wider}, "its metadata were changed after it was written"),
        ({**right, "keypoints": later}, r"has format 2 \(keypoints 9\.0\), but this version"),
        (
            metadata(IBUG68, Crop(32, 48), "float32"),
            "its network has inputs and outputs .*48, 48.* metadata say",
        ),
        (metadata(IBUG68.select("jaw"), BOX_CROP, "float32"), "its network has inputs and outputs"),
    ]:
        with pytest.raises(CheckpointError, match=rf"model\.onnx: {says}") as error:
            ExportedModel(changed(exported, path, properties))
        assert "\n" not in str(error.value)


def test_a_file_that_is_not_onnx_is_named(exported, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(CheckpointError, match=r"model\.onnx: no such model"):
        ExportedModel(path)
    for contents, says in (
        (b"", "is an empty file"),
        (b"text", "truncated, damaged, or no ONNX file at all: it holds plain text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of git-lfs, .* git lfs pull"),
        (exported.read_bytes()[:2000], "(truncated|is no model)"),
    ):
        path.write_bytes(contents)
        with pytest.raises(CheckpointError, match=rf"model\.onnx: {says}"):
            ExportedModel(path)


def test_the_message_for_a_checkpoint_named_onnx_says_what_to_do(untrained, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(untrained.read_bytes())
    with pytest.raises(
        CheckpointError, match="is a checkpoint or weights of torch; `keypoints export` makes"
    ):
        ExportedModel(path)


def test_the_message_without_onnxruntime_says_what_to_do(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"needs onnxruntime.*'\.\[export\]'"):
        ExportedModel(exported)


def test_an_exported_model_predicts_without_large_libraries(exported):
    code = (
        "import sys, numpy as np\n"
        "from keypoints import Box, Predictor\n"
        f"p = Predictor({str(exported)!r})\n"
        "(face,) = p(np.zeros((60, 80, 3), np.uint8), [Box(10, 5, 50, 50)])\n"
        "assert face.points.shape == (68, 2)\n"
        "large = {'albumentations', 'matplotlib', 'pandas', 'pytorch_lightning', 'scipy', 'torch'}\n"
        "print(large & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert not done.stderr


def test_the_runtime_sends_no_telemetry(exported, tmp_path):
    """Telemetry would leave an identifier and a file of unsent events in the home folder."""
    code = f"from keypoints import Predictor; Predictor({str(exported)!r})"
    silent = ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")  # these might disable telemetry by themselves
    environment = {name: value for name, value in os.environ.items() if name not in silent}
    environment |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("variable", "given", "threads"),
    [("3", None, 3), ("3", 1, 1), (None, 2, 2), (None, None, allowed_cores())],
)
def test_the_number_of_threads_is_given_or_from_the_environment(
    exported, monkeypatch, variable, given, threads
):
    if variable is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    model = ExportedModel(exported, threads=given)
    options = model._session.get_session_options()
    assert options.intra_op_num_threads == threads
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
