from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from keypoints.cli import main
from keypoints.components import configure
from keypoints.confidence import ConfidenceCalibration
from keypoints.crop import Crop, as_input
from keypoints.errors import ConfigError
from keypoints.geometry import Box
from keypoints.inference.ensemble import Ensemble
from keypoints.inference.model import load_model
from keypoints.inference.onnx_export import made_up_crops
from keypoints.inference.predictor import Predictor
from keypoints.models.encoders import ConvEncoder
from keypoints.models.heatmap import HeatmapNet
from keypoints.schemes import IBUG68, IMM58
from keypoints.tasks.heatmap import HeatmapTask
from tests.conftest import BOX_CROP, draw_portrait, save_task

BOX = Box(215, 170, 200, 200)


def save_model(path, seed, crop=BOX_CROP, scheme=IBUG68, threshold=0.2):
    """Save an untrained network whose predictions depend on the seed."""
    torch.manual_seed(seed)
    encoder = configure(ConvEncoder, channels=[8, 8])
    task = HeatmapTask(scheme, crop, net=configure(HeatmapNet, encoder=encoder, width=8))
    with torch.no_grad():
        task.net.maps.weight.mul_(30)
    task.confidence_calibration = ConfidenceCalibration(threshold, (0.1, 0.5), (0.2, 0.1), "pair", 100)
    return save_task(path, task)


@pytest.fixture
def paths(tmp_path):
    return [save_model(tmp_path / f"{seed}.ckpt", seed) for seed in range(3)]


def test_points_are_the_mean_of_the_models_and_spread_their_deviation(paths):
    models = [load_model(path) for path in paths]
    ensemble = Ensemble(models, paths)
    images = as_input(made_up_crops(BOX_CROP))
    alone = np.stack([model(images).points for model in models])
    together = ensemble(images)
    np.testing.assert_allclose(together.points, alone.mean(axis=0))
    np.testing.assert_allclose(together.spread, alone.std(axis=0, ddof=1))
    assert together.spread.mean() > 1e-3
    np.testing.assert_allclose(together.confidence, np.mean([m(images).confidence for m in models], axis=0))


def test_the_spread_of_a_face_is_in_pixels_of_its_photo(paths):
    photo = draw_portrait()[0]
    ensemble = Predictor(paths)
    small = ensemble(photo, [BOX])[0]
    alone = np.stack([Predictor(path)(photo, [BOX])[0].points for path in paths])
    np.testing.assert_allclose(small.points, alone.mean(axis=0), atol=1e-6)
    expected = np.linalg.norm(alone.std(axis=0, ddof=1), axis=-1)
    np.testing.assert_allclose(small.spread, expected, rtol=1e-6)
    assert Predictor(paths[0])(photo, [BOX])[0].spread is None


def test_a_smaller_input_gets_the_resampled_crop(tmp_path, paths):
    half = Crop(
        BOX_CROP.width // 2, BOX_CROP.height // 2, BOX_CROP.channels, BOX_CROP.source, BOX_CROP.margin
    )
    small = save_model(tmp_path / "small.ckpt", 5, crop=half)
    models = [load_model(small), load_model(paths[0])]
    ensemble = Ensemble(models, [small, paths[0]])
    assert ensemble.crop == BOX_CROP
    images = as_input(made_up_crops(BOX_CROP))
    blocks = images.reshape(*images.shape[:2], half.height, 2, half.width, 2).mean(axis=(3, 5))
    expected = (models[0](blocks).points + models[1](images).points) / 2
    np.testing.assert_allclose(ensemble(images).points, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("crop", "scheme", "says"),
    [
        (BOX_CROP, IMM58, "58 points"),
        (Crop(BOX_CROP.width, BOX_CROP.height, 3, "box", BOX_CROP.margin), IBUG68, "channels"),
        (Crop(BOX_CROP.width, BOX_CROP.height // 2, 1, "box", BOX_CROP.margin), IBUG68, "ratio of width"),
    ],
)
def test_models_that_do_not_fit_together_are_named(tmp_path, paths, crop, scheme, says):
    other = save_model(tmp_path / "other.ckpt", 0, crop=crop, scheme=scheme)
    with pytest.raises(ConfigError, match=says) as error:
        Predictor([paths[0], other])
    assert str(other) in str(error.value)
    assert "\n" not in str(error.value)


NAMELESS = replace(IBUG68, names=())
RENAMED = replace(IBUG68, names=tuple(f"p{place}" for place in range(len(IBUG68))))
NAMES_EXCHANGED = replace(IBUG68, names=(*IBUG68.names[1::-1], *IBUG68.names[2:]))


@pytest.mark.parametrize("scheme", [NAMELESS, replace(IBUG68, name="mine", skeleton=(), selections={})])
def test_older_files_without_names_join_an_ensemble(tmp_path, paths, scheme):
    older = save_model(tmp_path / "older.ckpt", 7, scheme=scheme)
    assert Predictor([older, paths[0]]).scheme.names == IBUG68.names


@pytest.mark.parametrize(
    ("scheme", "says"),
    [
        (NAMES_EXCHANGED, "its point 0 is left_jaw_2, and that of the other left_jaw_1$"),
        (replace(NAMELESS, flip_indices=None), r"\(ibug68\) have other parts or mirrored points"),
    ],
)
def test_other_points_are_named(tmp_path, paths, scheme, says):
    other = save_model(tmp_path / "other.ckpt", 7, scheme=scheme)
    with pytest.raises(ConfigError, match=says):
        Predictor([paths[0], other])


def test_every_two_models_must_fit_together(tmp_path, paths):
    schemes = {"nameless.ckpt": NAMELESS, "renamed.ckpt": RENAMED}
    others = [save_model(tmp_path / name, 7, scheme=scheme) for name, scheme in schemes.items()]
    with pytest.raises(ConfigError, match=r"its point 0 is p0, and that of the other left_jaw_1$"):
        Predictor([others[0], paths[0], others[1]])


def test_one_model_is_no_ensemble(paths):
    with pytest.raises(ConfigError, match="checkpoint="):
        Predictor(paths[:1])


def test_a_model_that_is_given_twice_is_named(paths):
    same = paths[0].parent / "link.ckpt"
    same.symlink_to(paths[0])
    with pytest.raises(ConfigError, match=r"link\.ckpt: is given twice"):
        Predictor([*paths, same])


def test_the_command_writes_the_spread(paths, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.fromarray(draw_portrait()[0]).save(photo)
    (tmp_path / "list.csv").write_text("image,left,top,width,height\nphoto.png,215,170,200,200\n")
    output = tmp_path / "found"
    models = f"model=[{','.join(map(str, paths))}]"
    main(["predict", models, f"input={tmp_path / 'list.csv'}", f"output={output}", "report=true"])
    header, row = (output / "predictions.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=False))
    assert float(cells["spread"]) == pytest.approx(Predictor(paths)(photo, [BOX])[0].spread.mean(), abs=1e-3)
    assert "models apart, pixels" in (output / "report.html").read_text()
    capsys.readouterr()


def test_models_are_words_or_a_list_but_not_both(paths, tmp_path, capsys):
    words, rest = [str(path) for path in paths], ["input=none", f"output={tmp_path / 'o'}"]
    with pytest.raises(SystemExit, match="1"):
        main(["predict", *words, *rest])
    assert "none: no such file" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="1"):
        main(["predict", words[0], f"model=[{words[1]},{words[2]}]", *rest])
    assert "checkpoint= is given twice" in capsys.readouterr().err
