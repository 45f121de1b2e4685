import pytest
import torch

from keypoints.commands import compose
from keypoints.components import configure
from keypoints.crop import Crop
from keypoints.data.dataset import Batch
from keypoints.models.unet import UNet
from keypoints.schemes import IMM58
from keypoints.tasks.base import load_task
from keypoints.tasks.heatmap import HeatmapTask
from tests.conftest import save_task

NET = configure(UNet, width=4, depth=3, level=1)


@pytest.mark.parametrize("size", [(160, 120), (97, 83)])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_heatmap_size_follows_from_input_size_and_level(size, level):
    net = UNet(size, 3, 68, width=2, depth=3, level=level, heatmap_padding=2)
    width, height = (-(-side // 2**level) + 4 for side in size)
    assert net(torch.zeros(2, 3, size[1], size[0])).shape == (2, 68, height, width)


def test_every_weight_contributes_to_the_heatmaps():
    net = UNet((32, 32), 1, 5, width=4, depth=3, level=1)
    net(torch.rand(2, 1, 32, 32)).square().sum().backward()
    assert [name for name, weight in net.named_parameters() if weight.grad is None] == []


def test_skip_connections_bring_details_past_the_lowest_level():
    torch.manual_seed(0)
    net = UNet((32, 32), 1, 1, width=4, depth=2).eval()
    net.down[-1].register_forward_hook(lambda module, inputs, maps: torch.zeros_like(maps))
    image = torch.zeros(1, 1, 32, 32)
    image[..., 16, 16] = 1
    assert not torch.equal(net(image), net(torch.zeros(1, 1, 32, 32)))


def test_it_can_overfit_two_faces():
    torch.manual_seed(0)
    optimizer = configure(torch.optim.Adam, lr=0.01)
    task = HeatmapTask(IMM58.select("nose_tip"), Crop(48, 32), NET, None, optimizer, None, 0, 1)
    pixels = torch.randint(256, (2, 1, 32, 48), dtype=torch.uint8)
    affine = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(2, 2, 3)
    faces = Batch(pixels, torch.rand(2, 1, 2), affine, torch.full((2, 2), 64.0), torch.arange(2))
    fitted = task.configure_optimizers()
    for _ in range(60):
        fitted.zero_grad()
        task.compute_loss(faces)[0].backward()
        fitted.step()
    errors = (task.compute_loss(faces)[1] - faces.targets).abs()
    assert errors.mean() < 0.05


def test_a_checkpoint_predicts_the_same(tmp_path):
    torch.manual_seed(0)
    task = HeatmapTask(IMM58, Crop(48, 32), NET).eval()
    images = torch.rand(2, 1, 32, 48) - 0.5
    assert torch.equal(load_task(save_task(tmp_path / "best.ckpt", task))(images), task(images))


def test_it_is_exported_with_its_confidence(tmp_path):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra export)")
    from keypoints.inference.onnx_export import export
    from keypoints.inference.onnx_model import ExportedModel

    torch.manual_seed(0)
    path = save_task(tmp_path / "best.ckpt", HeatmapTask(IMM58, Crop(50, 35), NET))
    export(compose("export", [f"checkpoint={path}", f"output={tmp_path}/model.onnx"]))
    images = torch.rand(3, 1, 35, 50) - 0.5
    found, wanted = ExportedModel(tmp_path / "model.onnx")(images.numpy()), load_task(path).locate(images)
    torch.testing.assert_close(torch.from_numpy(found.points).float(), wanted.points, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        torch.from_numpy(found.confidence).float(), wanted.confidence, atol=1e-3, rtol=0
    )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"level": 3}, "level is a whole number from 0 to 2"),
        ({"depth": 0}, "width and depth are whole numbers from 1 up"),
        ({"depth": 6}, "halves the input of 40 × 30 to nothing: its sides have to be 64 or more"),
        ({"heatmap_padding": -1}, "heatmap_padding from 0 up"),
    ],
)
def test_invalid_settings_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        UNet(**{"input_size": (40, 30), "in_channels": 1, "landmarks": 5, "depth": 3, **settings})
