import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from keypoints.commands import compose
from keypoints.components import configure
from keypoints.crop import Crop, as_input
from keypoints.errors import CheckpointError, ConfigError
from keypoints.models.heatmap import HeatmapNet
from keypoints.models.timm import TimmEncoder, TimmNet
from keypoints.schemes import IBUG68
from keypoints.tasks.base import load_task
from keypoints.tasks.heatmap import HeatmapTask
from keypoints.tasks.regression import RegressionTask
from tests.conftest import save_task
from tests.working import train

installed = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed (extra timm)")

CONVOLUTIONS, TRANSFORMER, WINDOWS = (
    "mobilenetv3_small_050",
    "vit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
)
SMALLER = {"embed_dim": 24, "depth": 3, "num_heads": 2}
"""Settings of a small vision transformer."""


def sides(maps):
    return {level: tuple(own.shape) for level, own in maps.items()}


@installed
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (CONVOLUTIONS, {}),
        (TRANSFORMER, SMALLER),
        ("resnetv2_50", {"layers": [1, 1, 1, 1]}),
        ("levit_128s", {}),
    ],
)
def test_outputs_may_be_negative_and_start_near_one_half(name, settings, channels):
    torch.manual_seed(0)
    net = TimmNet((96, 64), channels, 10, name, **settings)
    images = torch.rand(2, channels, 64, 96) - 0.5
    assert net(images).shape == (2, 10)
    assert net.eval()(torch.zeros(1, channels, 64, 96)).sub(0.5).abs().max() < 0.25
    net.train()(images).sum().backward()
    assert [name for name, weight in net.named_parameters() if weight.grad is None] == []
    with torch.no_grad():
        for weight in net.parameters():
            if weight.shape == (10,):
                weight.fill_(-9)
        assert net(images).max() < 0


@installed
@pytest.mark.parametrize("channels", [1, 3])
def test_the_input_has_the_mean_and_spread_of_the_network(channels):
    normalization = TimmNet((64, 64), channels, 4, CONVOLUTIONS).normalization
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    if channels == 1:
        mean, std = mean.mean(keepdims=True), std.mean(keepdims=True)
    grey = torch.full((1, channels, 1, 1), 0.7 - 0.5)
    np.testing.assert_allclose(normalization(grey).flatten(), (0.7 - mean) / std, rtol=1e-5)


@installed
@pytest.mark.parametrize(
    ("name", "settings", "first"),
    [
        (CONVOLUTIONS, {}, 1),
        (WINDOWS, {"embed_dim": 24, "depths": (1, 1, 1, 1)}, 2),
        ("xcit_nano_12_p16_224", {}, 2),
    ],
)
def test_each_level_halves_the_previous_one(name, settings, first):
    encoder = TimmEncoder((96, 64), 1, name, **settings)
    maps = encoder(torch.zeros(2, 1, 64, 96))
    assert min(maps) == first
    assert sides(maps) == {
        level: (2, encoder.channels[level], 64 // 2**level, 96 // 2**level) for level in encoder.channels
    }


@installed
def test_patches_of_14_pixels_are_resampled_to_the_levels():
    encoder = TimmEncoder((56, 28), 1, "vit_small_patch14_dinov2", embed_dim=24, depth=3, num_heads=2)
    maps = encoder(torch.zeros(2, 1, 28, 56))
    assert sides(maps) == {2: (2, 6, 7, 14), 3: (2, 12, 4, 7), 4: (2, 24, 2, 4)}


@installed
def test_the_levels_are_the_last_maps_of_their_size():
    torch.manual_seed(0)
    encoder = TimmEncoder((64, 64), 1, TRANSFORMER, **SMALLER).eval()
    images = torch.rand(1, 1, 64, 64) - 0.5
    own = encoder.net(encoder.normalization(images))
    assert torch.equal(encoder(images)[4], own[-1])
    assert not torch.equal(own[0], own[-1])


def task_of(kind, name, **settings):
    """Return an untrained task for 68 points on boxes."""
    torch.manual_seed(0)
    crop = Crop(64, 64, source="box", margin=1.3)
    if kind == "numbers":
        return RegressionTask(IBUG68, crop, net=configure(TimmNet, name=name, **settings))
    encoder = configure(TimmEncoder, name=name, **settings)
    task = HeatmapTask(IBUG68, crop, net=configure(HeatmapNet, encoder=encoder, width=8))
    with torch.no_grad():
        task.net.maps.weight.mul_(30)  # spreads the points
    return task


@installed
@pytest.mark.parametrize(("name", "settings"), [(CONVOLUTIONS, {}), (TRANSFORMER, SMALLER)])
@pytest.mark.parametrize("kind", ["numbers", "heatmaps"])
def test_a_checkpoint_loads_and_is_exported(kind, name, settings, tmp_path):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra export)")
    from keypoints.inference.onnx_export import TOLERANCE, export, made_up_crops
    from keypoints.inference.onnx_model import ExportedModel

    path = save_task(tmp_path / "best.ckpt", task_of(kind, name, **settings))
    task = load_task(path)
    export(compose("export", [f"checkpoint={path}", f"output={tmp_path}/model.onnx"]))
    images = as_input(made_up_crops(task.crop))
    with torch.inference_mode():
        wanted = task(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(ExportedModel(tmp_path / "model.onnx")(images).points, wanted, atol=TOLERANCE)


@installed
def test_a_checkpoint_loads_without_pretrained_weights(tmp_path, monkeypatch):
    import timm

    made, asked = timm.create_model, []

    def create_model(name, pretrained=False, **settings):
        asked.append(pretrained)
        return made(name, **settings)

    monkeypatch.setattr(timm, "create_model", create_model)
    path = save_task(tmp_path / "best.ckpt", task_of("numbers", CONVOLUTIONS, pretrained=True))
    images = torch.rand(1, 1, 64, 64) - 0.5
    assert load_task(path)(images).shape == (1, 68, 2)
    assert asked == [True, False]


@installed
def test_weights_that_cannot_be_fetched_are_one_line(monkeypatch):
    import timm

    made = timm.create_model

    def create_model(name, pretrained=False, **settings):
        if pretrained:
            raise OSError("no route\nto host")
        return made(name, **settings)

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(
        ConfigError, match=r"^\w+: its pretrained weights cannot be fetched \(no route to host\)"
    ):
        TimmNet((64, 64), 1, 4, CONVOLUTIONS, pretrained=True)
    with pytest.raises(ConfigError, match=r"timm does not build it \(.*unexpected keyword argument 'heads'"):
        TimmNet((64, 64), 1, 4, "resnet18", pretrained=True, heads=2)


@installed
@pytest.mark.parametrize(
    ("size", "settings", "says"),
    [
        ((64, 64), {"name": "resnet19"}, r"^timm has no network 'resnet19'; it has .*resnet1\d"),
        ((64, 64), {"name": "hf-hub:timm/resnet18"}, "^timm has no network 'hf-hub:timm/resnet18'"),
        (
            (64, 64),
            {"name": "resnet18.mine"},
            r"^timm has no weights resnet18.mine; it has resnet18.a1_in1k, ",
        ),
        ((80, 60), {"name": TRANSFORMER}, r"patches of 16 × 16 .* try data.width=80 data.height=64$"),
        (
            (80, 60),
            {"name": "levit_128s"},
            r"^levit_128s does not take images of 80 × 60 \(.* try data.width=64",
        ),
        ((64, 64), {"name": "resnet18", "checkpoint_path": "x"}, "^resnet18: checkpoint_path cannot be set"),
    ],
)
@pytest.mark.parametrize("kind", [TimmNet, TimmEncoder])
def test_what_cannot_be_built_is_refused_in_one_line(kind, size, settings, says):
    outputs = {"out_features": 4} if kind is TimmNet else {}
    with pytest.raises(ConfigError, match=says) as error:
        kind(input_size=size, in_channels=1, **outputs, **settings)
    assert "\n" not in str(error.value)


@installed
def test_maps_that_leave_out_pixels_are_refused():
    with pytest.raises(ConfigError, match=r"^vgg11 makes maps of 10 × 7 .* leaves out .* try data.width=64"):
        TimmEncoder((80, 60), 1, "vgg11")


@installed
@pytest.mark.parametrize(("model", "key"), [("timm", "model.net"), ("heatmap_timm", "model.net.encoder")])
def test_a_network_is_trained_by_its_name(model, key, configured):
    small = configured()
    overrides = [
        *("experiment=nose_tip", "trainer=cpu", "trainer.max_epochs=1", "~callbacks.progress"),
        *(f"model={model}", f"{key}.name={CONVOLUTIONS}", "data.width=64", "data.height=64"),
        *(f"data.root={small.data.root}", f"output={small.output}"),
    ]
    assert train(compose("train", overrides))["best/mse"] > 0


def test_a_missing_timm_is_one_line_with_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"^resnet18: networks of timm need timm.*'keypoints\[timm\]'"):
        TimmNet((64, 64), 1, 4)
    task = RegressionTask(IBUG68, Crop(64, 64))
    task.hparams["net"] = configure(TimmNet, name="resnet18")
    path = save_task(tmp_path / "best.ckpt", task)
    with pytest.raises(CheckpointError, match=r"best\.ckpt: resnet18: networks of timm need timm"):
        load_task(path)
