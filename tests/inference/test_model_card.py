import pytest
import torch

from keypoints.commands import compose
from keypoints.components import configure
from keypoints.confidence import ConfidenceCalibration
from keypoints.crop import Crop
from keypoints.data.dataset_folders import HOMES
from keypoints.data.provenance import TrainedOn
from keypoints.inference.model import TaskModel, load_model
from keypoints.inference.model_card import card_of, model_card
from keypoints.inference.onnx_export import export
from keypoints.inference.ready_models import READY
from keypoints.models.convnet import ConvNet
from keypoints.models.encoders import ConvEncoder
from keypoints.models.heatmap import HeatmapNet
from keypoints.schemes import IBUG68
from keypoints.tasks.heatmap import HeatmapTask
from keypoints.tasks.regression import RegressionTask
from tests.conftest import BOX_CROP, ROOT


@pytest.fixture
def task():
    encoder = configure(ConvEncoder, channels=[8, 8])
    return HeatmapTask(IBUG68, BOX_CROP, net=configure(HeatmapNet, encoder=encoder, width=8)).eval()


def card(tmp_path, task, data=None, **others):
    return model_card(tmp_path / "my model.onnx", TaskModel(task, data), {"file": "int8, 1.00 MB"}, **others)


def test_a_card_tells_what_the_checkpoint_knows(tmp_path, task):
    mean = torch.full((68, 2), 0.5).tolist()
    photos = [f"{name}.jpg {'0' * 32}" for name in "abcd"]  # ties to the photos of the three groups
    trained = TrainedOn(["a", "b", "c", *photos], mean, ["d", photos[0]], {"width": (100.0, 300.0)})
    task.trained_on = trained
    task.confidence_calibration = ConfidenceCalibration(0.31, (0.4, 0.9), (0.08, 0.02), "pair", 173)
    text = card(tmp_path, task, HOMES["ibug300w"].folder, command="keypoints train experiment=mine")
    assert "68 landmarks" in text
    assert "int8, 1.00 MB" in text
    assert "keypoints predict 'my model.onnx' input=photos" in text
    assert "faces of 3 persons or photos" in text
    assert "those of 1 other chose" in text
    assert "the face's box, its sides times" in text
    assert HOMES["ibug300w"].terms in text
    assert "173 validation faces" in text
    assert "| 0.40 | 8" in text
    assert "below 0.31 is low" in text
    assert "100 to 300" in text or "100 and more" in text
    assert "keypoints train experiment=mine" in text


def test_a_card_names_the_full_photo_without_a_factor(tmp_path):
    task = RegressionTask(IBUG68, Crop(80, 60, source="image"), net=configure(ConvNet))
    assert "Input: the full photo at 80 × 60 pixels" in card(tmp_path, task.eval())


def test_a_card_says_what_is_not_known(tmp_path, task):
    text = card(tmp_path, task)
    assert "The checkpoint does not say." in text
    assert "keypoints evaluate" in text
    assert "Trained with" not in text


@pytest.mark.parametrize("name", READY)
def test_the_card_of_a_ready_model_is_current(name):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra export)")
    path = ROOT / READY[name].file
    written = card_of(path).read_text(encoding="utf-8")
    size = f"{path.stat().st_size / 1e6:.2f} MB"
    assert size in written
    known = model_card(path, load_model(path), {}).partition("## Use")[2].partition("## Versions")
    same = written.partition("## Use")[2].partition("## Versions")
    assert same[:2] == known[:2]  # the rest is known to the checkpoint alone


def test_an_export_writes_the_card_beside_its_file(untrained, tmp_path):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra export)")
    readme = tmp_path / "model.md"
    readme.write_text("mine")
    done = export(compose("export", [f"checkpoint={untrained}", f"output={tmp_path / 'model.onnx'}"]))
    assert done.card == card_of(tmp_path / "model.onnx") == tmp_path / "model.card.md"
    assert done.card.read_text(encoding="utf-8").startswith("# model.onnx\n")
    assert readme.read_text() == "mine"
