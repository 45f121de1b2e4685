import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from keypoints.commands import compose
from keypoints.data.dataset import Batch, FaceDataset
from keypoints.errors import ConfigError
from keypoints.landmarks import LandmarkScheme
from keypoints.reports import face_figures
from keypoints.reports.preview import flip_origin, measure, preview


def preview_of(made_up_imm, folder, *overrides):
    return preview(compose("preview", [f"data.root={made_up_imm}", f"output={folder}", *overrides]))


@pytest.mark.draws
def test_samples_numbers_and_a_histogram_are_written(made_up_imm, tmp_path, caplog):
    with caplog.at_level("INFO"):
        sheet = preview_of(made_up_imm, tmp_path / "seen", "experiment=full_face", "faces=2", "draws=3")
    assert sheet == tmp_path / "seen" / "samples.png"
    files = {"samples.png", "mirrored.png", "input.png", "input.json"}
    assert {path.name for path in (tmp_path / "seen").iterdir()} == files
    with Image.open(sheet) as image:
        assert image.width > image.height  # four columns, two rows
    numbers = json.loads((tmp_path / "seen" / "input.json").read_text())
    assert numbers["samples"] == 512
    assert -0.5 <= numbers["minimum"] < numbers["mean"] < numbers["maximum"] <= 0.5
    assert numbers["without_exact_map"] == 0
    assert "input: 160 × 120, grey; pixels from" in caplog.text
    assert "should fill" not in caplog.text
    assert f"flip_indices agree with left and right in the names; see {tmp_path / 'seen'}" in caplog.text


@pytest.fixture
def own(tmp_path):
    """Folder of a list of faces with five points, one hidden and one not labelled, and of their scheme."""
    for shade in range(4):
        Image.new("L", (80, 60), 120 + shade).save(tmp_path / f"{shade}.png")
    points = "left_eye,right_eye,nose,left_mouth,right_mouth"
    (tmp_path / "five.yaml").write_text(f"points: [{points}]\n")
    columns = ",".join(f"x{k},y{k}" for k in range(5)) + "," + ",".join(f"v{k}" for k in range(5))
    rows = [f"{shade}.png,20,15,60,15,40,30,,,55,45,1,2,2,0,2" for shade in range(4)]
    (tmp_path / "list.csv").write_text("\n".join([f"image,{columns}", *rows]) + "\n")
    return tmp_path


def preview_of_own(folder, scheme):
    data = [f"data.train={folder / 'list.csv'}", f"data.scheme={folder / scheme}", "data.source=image"]
    size = ["data.margin=1", "data.width=80", "data.height=60", "faces=1", "draws=1"]
    augmentation = "augmentation=rotate_shift"
    return preview(
        compose("preview", ["data=labelled", *data, *size, augmentation, f"output={folder / 'seen'}"])
    )


@pytest.fixture
def drawn(monkeypatch):
    """List of the figures of mirrored copies, as they are plotted."""
    found = []
    plot = face_figures.mirrored

    def keep(*args):
        found.append(plot(*args))
        return found[-1]

    monkeypatch.setattr(face_figures, "mirrored", keep)
    return found


def labels_of(axes):
    """Return the place of each label on axes, in pixels of the input."""
    return {text.get_text(): tuple(np.round(text.xy, 2).tolist()) for text in axes.texts}


@pytest.mark.draws
def test_points_of_the_mirrored_copy_stay_on_their_side(own, drawn):
    preview_of_own(own, "five.yaml")
    first, second = drawn[0].axes
    assert labels_of(first) == {
        "left_eye": (20, 15),
        "right_eye": (60, 15),
        "nose": (40, 30),
        "right_mouth": (55, 45),
    }
    assert labels_of(second) == {
        "left_eye": (19, 15),
        "right_eye": (59, 15),
        "nose": (39, 30),
        "left_mouth": (24, 45),
    }
    hollow = [[str(line.get_markerfacecolor()) == "none" for line in axes.lines] for axes in (first, second)]
    assert hollow == [[True, False, False, False], [False, True, False, False]]
    assert "hollow: hidden\nfive: flip_indices agree" in drawn[0].get_suptitle()


@pytest.mark.draws
def test_a_wrong_mirror_permutation_is_reported_and_plotted(own, drawn, caplog):
    with (own / "five.yaml").open("a") as file:
        file.write("flip_indices: [0, 1, 2, 4, 3]\n")
    with caplog.at_level("INFO"):
        preview_of_own(own, "five.yaml")
    assert labels_of(drawn[0].axes[1])["left_eye"] == (59, 15)
    assert "flip_indices differ from left and right in the names" in caplog.text


def test_a_scheme_without_flip_indices_has_no_mirrored_copy(own, caplog):
    preview_of_own(own, "five.yaml")
    assert (own / "seen" / "mirrored.png").is_file()
    (own / "bare.yaml").write_text("points: 5\n")
    with caplog.at_level("INFO"):
        preview_of_own(own, "bare.yaml")
    assert "bare: has no flip_indices, so no mirrored copy is plotted" in caplog.text
    assert not (own / "seen" / "mirrored.png").exists()


def test_only_labelled_points_count_as_outside():
    pixels, targets = torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.full((1, 4, 2), 0.5)
    targets[0, 0], targets[0, 1:3] = 2.0, torch.nan
    batch = Batch(pixels, targets, torch.zeros(1, 2, 3), torch.full((1, 2), 4.0), torch.arange(1))
    assert measure(batch)["points_outside"] == 0.5


def test_permutations_without_names_are_given_by_the_scheme():
    scheme = LandmarkScheme("two", {"all": (0, 1)}, (1, 0), None, ())
    assert flip_origin(scheme).startswith("given by the scheme")
    assert flip_origin(replace(scheme, names=("left", "right"))).startswith("agree")
    assert flip_origin(replace(scheme, names=("left", "right"), flip_indices=(0, 1))).startswith("differ")


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
