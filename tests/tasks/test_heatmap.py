import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from keypoints.components import configure
from keypoints.crop import Crop
from keypoints.data.dataset import Batch
from keypoints.errors import ConfigError
from keypoints.models.encoders import ConvEncoder
from keypoints.models.heatmap import HeatmapNet, gaussian_maps
from keypoints.schemes import IBUG68, IMM58
from keypoints.tasks.base import load_task
from keypoints.tasks.heatmap import HeatmapTask
from keypoints.tasks.losses import AdaptiveWingLoss
from tests.conftest import save_task

NET = configure(HeatmapNet, encoder=configure(ConvEncoder, channels=[4, 8]), width=8)


def batch(task, size=2):
    points = torch.rand(size, len(task.scheme), 2)
    shape = size, task.crop.channels, task.crop.height, task.crop.width
    pixels = torch.randint(256, shape, dtype=torch.uint8)
    affine = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(size, 2, 3)
    return Batch(pixels, points, affine, torch.full((size, 2), 64.0), torch.arange(size))


@pytest.mark.parametrize("scheme", [IMM58, IBUG68, IMM58.select("nose_tip")], ids=lambda scheme: scheme.name)
def test_each_landmark_has_a_point_and_a_confidence(scheme):
    task = HeatmapTask(scheme, Crop(80, 60, channels=3), net=NET)
    points, confidence = task.locate(torch.zeros(2, 3, 60, 80))
    assert points.shape == (2, len(scheme), 2)
    assert confidence.shape == (2, len(scheme))
    assert torch.equal(points, task(torch.zeros(2, 3, 60, 80)))


def test_a_sharp_heatmap_has_more_confidence_than_a_flat_one():
    task = HeatmapTask(IMM58.select("nose_tip"), Crop(80, 60), net=NET, sigma=1.5)
    flat = torch.zeros(1, 1, 17, 22)
    across, down = gaussian_maps(torch.tensor([[[0.4, 0.3]]]), flat, 1.5, padding=1)
    sharp = across[..., None, :] + down[..., None]
    for maps, low, high in ((flat, 0.0, 0.2), (sharp, 0.8, 1.0)):
        task.net.forward = lambda images, maps=maps: maps
        _, confidence = task.locate(torch.zeros(1, 1, 60, 80))
        assert low < confidence.item() < high


@pytest.mark.parametrize(
    "weights",
    [
        {"coordinate_weight": 1, "heatmap_weight": 0},
        {"coordinate_weight": 0, "heatmap_weight": 1},
        {"coordinate_weight": 1, "heatmap_weight": 0.01},
        {"coordinate_weight": 50, "heatmap_weight": 1, "heatmap_loss": configure(AdaptiveWingLoss)},
    ],
    ids=["coordinates", "maps", "both", "adaptive wing"],
)
def test_every_loss_can_overfit_two_faces(weights):
    torch.manual_seed(0)
    optimizer = configure(torch.optim.Adam, lr=0.01)
    task = HeatmapTask(IMM58.select("nose_tip"), Crop(64, 64), net=NET, optimizer=optimizer, **weights)
    faces = batch(task)
    faces = faces._replace(targets=torch.tensor([[[0.3, 0.6]], [[0.7, 0.2]]]))
    optimizer = task.configure_optimizers()
    errors = []
    for _ in range(150):
        loss, points = task.compute_loss(faces)
        errors.append((points - faces.targets).abs().max().item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert errors[0] > 0.15
    assert errors[-1] < 0.03


@pytest.mark.parametrize(("coordinates", "heatmaps"), [(1, 0), (0, 1), (1, 0.1)])
def test_training_loss_equals_the_computed_loss_and_its_gradients(coordinates, heatmaps):
    weights = {"coordinate_weight": coordinates, "heatmap_weight": heatmaps}
    task = HeatmapTask(IMM58, Crop(80, 60), net=NET, **weights)
    faces = batch(task)
    gradients = []
    for loss in (task.compute_loss(faces)[0], task.training_loss(faces)):
        gradients.append(torch.autograd.grad(loss, list(task.net.parameters())))
        gradients[-1] += (loss.detach(),)
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_the_loss_is_the_weighted_sum_of_its_two_parts():
    losses = []
    for coordinates, heatmaps in ((1, 0), (0, 1), (2, 0.5)):
        torch.manual_seed(0)
        task = HeatmapTask(
            IMM58, Crop(80, 60), net=NET, coordinate_weight=coordinates, heatmap_weight=heatmaps
        )
        losses.append(task.compute_loss(batch(task))[0].item())
    assert losses[2] == pytest.approx(2 * losses[0] + 0.5 * losses[1])


def test_the_flip_test_gives_mirrored_copies_the_same_points():
    torch.manual_seed(0)
    task = HeatmapTask(IBUG68, Crop(64, 64), net=NET).eval()
    with torch.no_grad():
        task.net.maps.weight.mul_(30)  # sharper heatmaps, so that the points lie apart
    images = torch.rand(2, 1, 64, 64) - 0.5
    order = list(IBUG68.flip_indices)

    def disagreement():
        with torch.no_grad():
            here, there = task.locate(images), task.locate(images.flip(-1))
        mirrored = there.points[:, order] * torch.tensor([-1, 1]) + torch.tensor([1, 0])
        return (
            (here.points - mirrored).abs().max().item(),
            (here.confidence - there.confidence[:, order]).abs().max().item(),
        )

    assert min(disagreement()) > 1e-3
    task.flip_test()
    assert max(disagreement()) < 1e-5


def test_a_flip_test_without_flip_indices_is_refused():
    eye = HeatmapTask(IBUG68.select("left_eye"), Crop(64, 64), net=NET)
    with pytest.raises(ConfigError, match="left_eye cannot be mirrored"):
        eye.flip_test()


class Plain(HeatmapTask):
    """Task with a loss of its own."""

    def compute_loss(self, batch):
        points = self(batch.to_images())
        return points.mean(), points


def validate(task, faces=24):
    """Validate the task in a training of one step, and return the logged loss."""
    pieces = torch.utils.data.DataLoader([0], collate_fn=lambda _: batch(task, faces))
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, pieces, pieces)
    return trainer.callback_metrics["loss/val"]


def test_each_validation_calibrates_the_confidences(tmp_path):
    task = HeatmapTask(IBUG68, Crop(40, 40), net=NET)
    validate(task)
    calibration = task.confidence_calibration
    assert calibration.faces == 24
    assert 0 < calibration.threshold < 1
    assert load_task(save_task(tmp_path / "task.ckpt", task)).confidence_calibration == calibration


def test_a_subclass_with_its_own_loss_logs_that_loss():
    task = Plain(IBUG68, Crop(40, 40), net=NET)
    assert 0.2 < validate(task) < 0.8  # the mean coordinate, not the error
    assert task.confidence_calibration is None


def test_a_checkpoint_restores_the_task(tmp_path):
    task = HeatmapTask(IBUG68, Crop(64, 64), net=NET, heatmap_weight=0.01, sigma=1.5)
    trainer = pl.Trainer(max_epochs=0, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    loaded = load_task(tmp_path / "task.ckpt")
    images = torch.rand(2, 1, 64, 64)
    for mine, other in zip(task.eval().locate(images), loaded.locate(images), strict=True):
        np.testing.assert_array_equal(mine.detach(), other.detach())


@pytest.mark.parametrize(
    "settings",
    [{"coordinate_weight": 0}, {"coordinate_weight": -1}, {"heatmap_weight": -0.1}, {"sigma": 0}],
)
def test_invalid_settings_are_refused(settings):
    with pytest.raises(ValueError, match="from 0 up, not both 0"):
        HeatmapTask(IMM58, Crop(80, 60), **settings)


def test_a_network_with_other_heatmaps_is_refused():
    task = HeatmapTask(IMM58, Crop(64, 64), net=HeatmapNet((64, 64), 1, 5))
    with pytest.raises(ConfigError, match=r"HeatmapNet gives .* \(5, 18, 18\) .* not \(58, height, width\)"):
        task(torch.zeros(1, 1, 64, 64))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, ("MSE", "ratio² of the input")),
        ({"loss": configure(torch.nn.L1Loss)}, ("L1", "ratios of the input")),
        ({"coordinate_weight": 0, "heatmap_weight": 1}, ("KL divergence of the heatmaps", "nats")),
        ({"heatmap_weight": 0.02}, ("loss of points and heatmaps", "weighted sum")),
    ],
)
def test_loss_words_name_the_loss_and_its_unit(settings, words):
    assert HeatmapTask(IMM58, Crop(80, 60), net=NET, **settings).loss_words == words


def test_an_unknown_setting_of_the_network_is_refused():
    with pytest.raises(ConfigError, match=r"HeatmapNet: .*unexpected keyword argument 'depth'"):
        HeatmapTask(IMM58, Crop(80, 60), net=configure(HeatmapNet, depth=3))
