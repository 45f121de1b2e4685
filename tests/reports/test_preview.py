import json

import pytest
from PIL import Image

from keypoints.commands import compose
from keypoints.data.dataset import FaceDataset
from keypoints.errors import ConfigError
from keypoints.reports.preview import preview


def preview_of(made_up_imm, folder, *overrides):
    return preview(compose("preview", [f"data.root={made_up_imm}", f"output={folder}", *overrides]))


def test_samples_numbers_and_a_histogram_are_written(made_up_imm, tmp_path, caplog):
    with caplog.at_level("INFO"):
        sheet = preview_of(made_up_imm, tmp_path / "seen", "experiment=full_face", "faces=2", "draws=3")
    assert sheet == tmp_path / "seen" / "samples.png"
    assert {path.name for path in (tmp_path / "seen").iterdir()} == {"samples.png", "input.png", "input.json"}
    with Image.open(sheet) as image:
        assert image.width > image.height  # four columns, two rows
    numbers = json.loads((tmp_path / "seen" / "input.json").read_text())
    assert numbers["samples"] == 512
    assert -0.5 <= numbers["minimum"] < numbers["mean"] < numbers["maximum"] <= 0.5
    assert numbers["without_exact_map"] == 0
    assert "input: 160 × 120, grey; pixels from" in caplog.text
    assert "should fill" not in caplog.text


def test_pixels_divided_by_255_twice_are_reported(made_up_imm, tmp_path, caplog, monkeypatch):
    made = FaceDataset._batch

    def dark(self, *args):
        batch = made(self, *args)
        return batch._replace(pixels=batch.pixels // 255)

    monkeypatch.setattr(FaceDataset, "_batch", dark)
    preview_of(made_up_imm, tmp_path, "faces=1", "draws=1")
    assert "pixels should fill much of -0.5…0.5" in caplog.text


def test_bent_samples_are_counted(made_up_imm, tmp_path, caplog):
    bend = "+augmentation.transforms.bend._target_=albumentations.Perspective"
    with caplog.at_level("INFO"):
        preview_of(made_up_imm, tmp_path, "augmentation=rotate_shift", bend, "faces=1", "draws=1")
    assert "of the samples were bent" in caplog.text
    share = json.loads((tmp_path / "input.json").read_text())["without_exact_map"]
    assert share == pytest.approx(0.5, abs=0.15)


def test_preview_uses_data_and_augmentation_of_the_training(made_up_imm):
    for experiment in ("nose_tip", "full_face", "full_face_best"):
        seen = compose("preview", [f"experiment={experiment}"])
        trained = compose("train", [f"experiment={experiment}"])
        assert seen.data == trained.data
        assert seen.augmentation == trained.augmentation


@pytest.mark.parametrize("override", ["faces=0", "draws=2.5"])
def test_invalid_numbers_are_refused(made_up_imm, tmp_path, override):
    with pytest.raises(ConfigError, match="whole number from 1 up"):
        preview_of(made_up_imm, tmp_path, override)
