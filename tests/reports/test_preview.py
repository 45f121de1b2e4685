import json

import pytest
from PIL import Image

from keypoints.commands import compose
from keypoints.data.dataset import FaceDataset
from keypoints.errors import ConfigError
from keypoints.reports.preview import preview


def of(made_up_imm, folder, *overrides):
    return preview(compose("preview", [f"data.root={made_up_imm}", f"output={folder}", *overrides]))


def test_samples_numbers_and_a_histogram_are_written(made_up_imm, tmp_path, caplog):
    with caplog.at_level("INFO"):
        sheet = of(made_up_imm, tmp_path / "seen", "experiment=full_face", "faces=2", "draws=3")
    assert sheet == tmp_path / "seen" / "samples.png"
    assert {path.name for path in (tmp_path / "seen").iterdir()} == {"samples.png", "input.png", "input.json"}
    with Image.open(sheet) as image:
        assert image.width > image.height  # four pictures by two faces
    numbers = json.loads((tmp_path / "seen" / "input.json").read_text())
    assert numbers["samples"] == 512
    assert -0.5 <= numbers["minimum"] < numbers["mean"] < numbers["maximum"] <= 0.5
    assert numbers["without_exact_map"] == 0
    assert "input: 160 × 120, grey; pixels from" in caplog.text
    assert "should fill" not in caplog.text


def test_pictures_that_were_divided_twice_are_noticed(made_up_imm, tmp_path, caplog, monkeypatch):
    made = FaceDataset._batch

    def dark(self, *args):
        batch = made(self, *args)
        return batch._replace(pixels=batch.pixels // 255)

    monkeypatch.setattr(FaceDataset, "_batch", dark)
    of(made_up_imm, tmp_path, "faces=1", "draws=1")
    assert "pixels should fill much of -0.5…0.5" in caplog.text


def test_bent_samples_are_counted(made_up_imm, tmp_path, caplog):
    bend = "+augmentation.transforms.bend._target_=albumentations.Perspective"
    with caplog.at_level("INFO"):
        of(made_up_imm, tmp_path, "augmentation=rotate_shift", bend, "faces=1", "draws=1")
    assert "of the samples were bent" in caplog.text
    share = json.loads((tmp_path / "input.json").read_text())["without_exact_map"]
    assert share == pytest.approx(0.5, abs=0.15)


def test_nothing_is_trained_and_the_configuration_is_that_of_training(made_up_imm):
    for experiment in ("nose_tip", "full_face", "full_face_best"):
        seen = compose("preview", [f"experiment={experiment}"])
        trained = compose("train", [f"experiment={experiment}"])
        assert seen.data == trained.data
        assert seen.augmentation == trained.augmentation


@pytest.mark.parametrize("override", ["faces=0", "draws=2.5"])
def test_impossible_numbers_are_refused(made_up_imm, tmp_path, override):
    with pytest.raises(ConfigError, match="whole number from 1 up"):
        of(made_up_imm, tmp_path, override)
