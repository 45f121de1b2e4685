from urllib.error import URLError

import pytest
import torch
import torchvision
from torchvision.transforms.functional import normalize

from keypoints.components import configure
from keypoints.crop import Crop
from keypoints.errors import ConfigError
from keypoints.models.torchvision import TorchvisionNet
from keypoints.schemes import IBUG68
from keypoints.tasks.base import load_task
from keypoints.tasks.regression import RegressionTask

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "googlenet", "efficientnet_b0", "swin_t"]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_outputs_may_be_negative_and_start_near_one_half(name, channels):
    torch.manual_seed(0)
    net = TorchvisionNet((96, 64), channels, 10, name=name)
    images = torch.rand(4, channels, 64, 96) - 0.5
    assert net(images).shape == (4, 10)
    assert net.eval()(torch.zeros(1, channels, 64, 96)).sub(0.5).abs().mean() < 0.5
    net.train()(images).sum().backward()
    *_, weight, bias = net.parameters()
    assert (weight.shape[0], bias.shape) == (10, (10,))
    assert weight.grad is not None
    with torch.no_grad():
        bias.fill_(-1)
        assert net(images).min() < 0


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return a file of weights and the network that has these weights."""
    torch.manual_seed(0)
    net = torchvision.models.get_model("resnet18", weights=None).eval()
    path = tmp_path_factory.mktemp("weights") / "resnet18, [a] = b.pth"
    torch.save(net.state_dict(), path)
    return path, net


@pytest.mark.parametrize("channels", [1, 3])
def test_pretrained_filters_give_the_same_output_on_our_images(weights, channels):
    path, original = weights
    net = TorchvisionNet((64, 64), channels, 4, weights=str(path))
    pictures = torch.rand(2, channels, 64, 64)
    colour = pictures.expand(2, 3, 64, 64)
    with torch.no_grad():
        expected = original.conv1(normalize(colour, MEAN, STD))
        found = net.net.conv1(pictures - 0.5)
    inside = (..., slice(2, -2), slice(2, -2))  # pixels that the padding does not affect
    torch.testing.assert_close(found[inside], expected[inside], rtol=1e-4, atol=1e-4)


def test_a_checkpoint_loads_without_the_pretrained_weights(weights, tmp_path):
    from pytorch_lightning import Trainer

    copy = tmp_path / "weights.pth"
    copy.write_bytes(weights[0].read_bytes())
    net = configure(TorchvisionNet, name="resnet18", weights=str(copy))
    task = RegressionTask(IBUG68, Crop(64, 64), net=net).eval()
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    copy.unlink()
    images = torch.rand(1, 1, 64, 64) - 0.5
    torch.testing.assert_close(load_task(tmp_path / "a.ckpt")(images), task(images))


def test_a_failed_download_is_one_line_with_a_suggestion(monkeypatch):
    def unreachable(*arguments, **how):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    monkeypatch.setattr("torch.hub.os.path.exists", lambda path: False)
    with pytest.raises(
        ConfigError, match=r"resnet18: its weights DEFAULT could not be .*no route.*https://.*file"
    ):
        TorchvisionNet((64, 64), 1, 4, weights="DEFAULT")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"name": "resnet19"}, "no classification network 'resnet19'; it has alexnet, .*resnet18"),
        (
            {"weights": "none.pth"},
            "none.pth: is neither a file nor one of torchvision's weights for resnet18: IMAGENET1K_V1",
        ),
        ({"name": "vit_b_32"}, r"vit_b_32 does not take images of 64 × 64 \("),
    ],
)
def test_unknown_names_and_sizes_are_refused_in_one_line(settings, says):
    with pytest.raises(ConfigError, match=says):
        TorchvisionNet((64, 64), 1, 4, **settings)


def test_files_without_weights_of_the_network_are_refused(weights, tmp_path):
    damaged, other = tmp_path / "damaged.pth", tmp_path / "other.pth"
    damaged.write_bytes(weights[0].read_bytes()[:1000])
    torch.save({"a": 1}, other)
    with pytest.raises(ConfigError, match=r"damaged\.pth: is no file of weights, or damaged"):
        TorchvisionNet((64, 64), 1, 4, weights=str(damaged))
    with pytest.raises(ConfigError, match=r"other\.pth: holds no state dict"):
        TorchvisionNet((64, 64), 1, 4, weights=str(other))
    with pytest.raises(ConfigError, match=r"b\.pth: does not fit resnet34"):
        TorchvisionNet((64, 64), 1, 4, name="resnet34", weights=str(weights[0]))
