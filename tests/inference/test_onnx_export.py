import re
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.components import configure
from keypoints.confidence import ConfidenceCalibration
from keypoints.crop import Crop, as_input
from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.data.readers.labelled import write_labelled
from keypoints.errors import CheckpointError, ConfigError, DataError
from keypoints.geometry import Box
from keypoints.inference.onnx_export import TOLERANCE, _labelled_faces, export, made_up_crops
from keypoints.inference.onnx_model import ExportedModel, Located
from keypoints.inference.predictor import Predictor
from keypoints.models.encoders import ConvEncoder, TorchvisionEncoder
from keypoints.models.heatmap import HeatmapNet
from keypoints.schemes import IBUG68, IMM58
from keypoints.tasks.base import load_task
from keypoints.tasks.heatmap import HeatmapTask
from tests.conftest import BOX_CROP, ROOT, draw_portrait, save_task, save_untrained

pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra export)")


def exporting(**how):
    return export(compose("export", [f"{key}={value}" for key, value in how.items()]))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Write a list of four made-up faces with boxes."""
    folder = tmp_path_factory.mktemp("photos")
    rows = ["image,left,top,width,height"]
    for seed in range(4):
        Image.fromarray(draw_portrait(seed)[0]).save(folder / f"{seed}.jpg")
        rows.append(f"{seed}.jpg,215,170,200,200")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv"


def test_the_file_predicts_what_the_checkpoint_predicts(untrained, exported):
    images = as_input(made_up_crops(BOX_CROP))
    with torch.inference_mode():
        wanted = load_task(untrained)(torch.from_numpy(images)).numpy()
    points, confidence, _ = ExportedModel(exported)(images)
    assert confidence is None
    assert np.abs(points - wanted).max() <= TOLERANCE
    assert np.ptp(wanted, axis=0).max() > 100 * TOLERANCE  # the predictions of the faces differ


SMALL_ENCODER = configure(ConvEncoder, channels=[4, 8])
LARGE_ENCODER = configure(TorchvisionEncoder, name="resnet18", antialiased=True)


def save_heatmaps(path, encoder=SMALL_ENCODER):
    """Save an untrained network that gives a confidence."""
    torch.manual_seed(0)
    task = HeatmapTask(IBUG68, BOX_CROP, net=configure(HeatmapNet, encoder=encoder, width=8))
    with torch.no_grad():
        task.net.maps.weight.mul_(30)  # spreads the points
    task.confidence_calibration = ConfidenceCalibration(1.0, (0.2, 0.9), (0.1, 0.05), "pair", 100)
    return save_task(path, task)


@pytest.mark.parametrize("encoder", [SMALL_ENCODER, LARGE_ENCODER], ids=["convolutions", "torchvision"])
def test_heatmaps_are_exported_with_their_confidence(encoder, tmp_path):
    path = save_heatmaps(tmp_path / "best.ckpt", encoder)
    exporting(checkpoint=path, output=tmp_path / "m.onnx")
    images = as_input(made_up_crops(BOX_CROP))
    points, confidence, _ = ExportedModel(tmp_path / "m.onnx")(images)
    with torch.inference_mode():
        wanted, sure = load_task(path).locate(torch.from_numpy(images))
    np.testing.assert_allclose(points, wanted, atol=TOLERANCE)
    np.testing.assert_allclose(confidence, sure, atol=1e-4)
    kept = ExportedModel(tmp_path / "m.onnx").confidence_calibration
    assert kept == load_task(path).confidence_calibration
    assert kept.threshold == 1
    assert np.ptp(points, axis=0).max() > 100 * TOLERANCE


@pytest.fixture(scope="module")
def smaller(untrained, photos, tmp_path_factory):
    """Return the exports of a checkpoint in fp16 and in int8, in one folder."""
    folder = tmp_path_factory.mktemp("smaller")
    return [
        exporting(
            checkpoint=untrained,
            output=folder / f"{precision}.onnx",
            precision=precision,
            calibration=photos,
        )
        for precision in ("fp16", "int8")
    ]


def test_a_file_has_no_paths_of_the_machine_that_wrote_it(exported, smaller):
    for path in (exported, *(done.path for done in smaller)):
        written = path.read_bytes()
        assert not [place for place in (str(ROOT), sys.prefix, "site-packages") if place.encode() in written]


@pytest.mark.parametrize("crop", [Crop(80, 60), Crop(40, 40, 3, "box", 1.2)], ids=["image", "colour"])
def test_made_up_crops_follow_the_crop_convention(crop):
    crops = made_up_crops(crop)
    assert {own.shape for own in crops} == {(crop.height, crop.width, crop.channels)}


def test_the_loss_of_precision_of_smaller_files_is_reported(exported, smaller):
    whole = exported.stat().st_size / 1e6
    for done, precision in zip(smaller, ("fp16", "int8"), strict=True):
        assert (done.crops, done.nme) == (2, None)
        assert 0 < done.mean_shift <= done.largest_shift < 2
        assert done.megabytes < 0.7 * whole
        assert ExportedModel(done.path).precision == precision
    assert sorted(path.name for path in smaller[0].path.parent.iterdir()) == [
        f"{precision}.{ending}" for precision in ("fp16", "int8") for ending in ("card.md", "onnx")
    ]


def test_with_landmarks_the_errors_before_and_after_are_reported(untrained, tmp_path, capsys):
    """The reported error is that of the untrained network on the compared faces."""
    faces = []
    for seed in range(4):
        picture, points = draw_portrait(seed)
        Image.fromarray(picture).save(tmp_path / f"{seed}.png")
        faces.append(Face(Photo(tmp_path / f"{seed}.png"), Box(215, 170, 200, 200), points, str(seed)))
    write_labelled(faces, tmp_path / "list.csv", "csv", scheme=IBUG68)
    given = [
        str(untrained),
        f"output={tmp_path}/m.onnx",
        "precision=fp16",
        f"calibration={tmp_path}/list.csv",
    ]
    main(["export", *given])
    said = capsys.readouterr().out
    errors = re.search(r"NME is (\S+) % with the checkpoint and (\S+) % with", said)
    before, after = map(float, errors.groups())
    predictor = Predictor(untrained)
    errors = []
    for face in faces[1::2]:
        (found,) = predictor(face.photo.path, [face.box])
        eyes = np.linalg.norm(face.points[36] - face.points[45])
        errors.append(np.linalg.norm(found.points - face.points, axis=1).mean() / eyes)
    assert before == pytest.approx(100 * np.mean(errors), rel=0.01)
    assert after == pytest.approx(before, rel=0.05)


def test_the_log_says_why_errors_are_not_measured(untrained, photos, caplog):
    assert _labelled_faces(str(photos), Predictor(untrained)) == []
    assert "errors are not measured:" in caplog.text
    assert "list.csv" in caplog.text


def test_the_command_line_exports_a_model(untrained, tmp_path, capsys):
    output = tmp_path / "new folder" / "a model, [1].onnx"
    main(["export", str(untrained), f"output={output}"])
    said = capsys.readouterr().out
    assert re.search(r"\[1\]\.onnx: float32, 0\.\d\d MB, checked", said)
    assert "on 12 crops its points differ" in said
    assert "px of the 48 × 48 input on average" in said
    assert "a model, [1].card.md" in said
    assert len(said.splitlines()) == 5
    assert ExportedModel(output).crop == BOX_CROP


@pytest.mark.parametrize(
    ("shift", "surer", "says"),
    [(2e-5, 0, r"it would differ .* by 2\.0e-05"), (0, 0.01, r"its confidence would differ .* by 1\.0e-02")],
)
def test_a_file_that_would_differ_is_not_written(shift, surer, says, tmp_path, monkeypatch):
    checkpoint, plain = save_heatmaps(tmp_path / "best.ckpt"), ExportedModel.__call__

    def elsewhere(self, images):
        points, confidence, _ = plain(self, images)
        return Located(points + shift, confidence + surer)

    monkeypatch.setattr(ExportedModel, "__call__", elsewhere)
    with pytest.raises(CheckpointError, match=rf"m\.onnx: was not written: {says}"):
        exporting(checkpoint=checkpoint, output=tmp_path / "m.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["best.ckpt"]


def test_a_file_with_predictions_that_are_not_finite_is_not_written(untrained, tmp_path, monkeypatch):
    def nowhere(self, images):
        return Located(np.full((len(images), 68, 2), np.nan), None)

    monkeypatch.setattr(ExportedModel, "__call__", nowhere)
    with pytest.raises(CheckpointError, match=r"m\.onnx: was not written: in fp16 .* no finite numbers"):
        exporting(checkpoint=untrained, output=tmp_path / "m.onnx", precision="fp16")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_the_message_without_the_extra_says_what_to_do(untrained, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"exporting needs {package}, which is not .*'\.\[export\]'"):
        exporting(checkpoint=untrained, output=tmp_path / "m.onnx", precision="fp16")
    assert not list(tmp_path.iterdir())


def test_invalid_settings_and_photos_are_refused(untrained, tmp_path):
    (tmp_path / "empty.csv").write_text("image,left,top,width,height\ngone.jpg,1,2,3,4\n")
    for error, says, how in [
        (ConfigError, r"model\.bin: an exported model is a \.onnx", {"output": "model.bin"}),
        (ConfigError, "precision is one of float32, fp16, int8, not 'int4'", {"precision": "int4"}),
        (ConfigError, "int8 needs photos .*calibration=<folder", {"precision": "int8"}),
        (CheckpointError, "no such checkpoint", {"checkpoint": "nowhere.ckpt"}),
        (DataError, r"gone\.jpg: cannot be read", {"calibration": tmp_path / "empty.csv"}),
        (DataError, "no such file or folder", {"calibration": "nowhere"}),
    ]:
        with pytest.raises(error, match=says):
            exporting(**{"checkpoint": untrained, "output": tmp_path / "m.onnx", **how})
    assert [path.name for path in tmp_path.iterdir()] == ["empty.csv"]


def test_a_model_of_full_images_is_exported(tmp_path):
    checkpoint = save_untrained(tmp_path / "a.ckpt", IMM58.select("nose_tip"), Crop(40, 30, 3))
    exporting(checkpoint=checkpoint, output=tmp_path / "m.onnx")
    assert ExportedModel(tmp_path / "m.onnx").scheme == IMM58.select("nose_tip")


def test_a_damaged_calibration_photo_is_named_and_left_out(untrained, photos, tmp_path, caplog):
    folder = tmp_path / "photos"
    shutil.copytree(photos.parent, folder)
    (folder / "broken.jpg").write_bytes(b"no picture")
    text = photos.read_text().replace("\n", "\nbroken.jpg,1,2,30,40\n", 1)
    (folder / "list.csv").write_text(text)
    path = folder / "list.csv"
    done = exporting(checkpoint=untrained, output=tmp_path / "m.onnx", precision="fp16", calibration=path)
    assert done.crops == 2
    assert "left out: " in caplog.text
    assert "broken.jpg: is no picture" in caplog.text
