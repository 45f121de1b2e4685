import pytest
import torch
from torch import nn

from keypoints.components import configure
from keypoints.crop import Crop
from keypoints.datamodules.imm import IMMDataModule
from keypoints.errors import ConfigError
from keypoints.models.convnet import ConvNet
from keypoints.models.encoders import ConvEncoder
from keypoints.models.heatmap import HeatmapNet
from keypoints.models.torchvision import TorchvisionNet
from keypoints.tasks.encoder_rate import checked_rate, encoder_layers, parameters_of
from keypoints.tasks.heatmap import HeatmapTask
from keypoints.tasks.regression import RegressionTask
from tests.tasks.test_base import NOSE, trainer_for

CROP = Crop(48, 36)
CONV = configure(ConvNet, kernel_sizes=[5, 3], channels=[4, 4], hidden=8, normalization="batch")
SMALL = configure(ConvEncoder, channels=[4, 4, 4], normalization="batch")
TASKS = {
    "convnet": lambda **given: RegressionTask(NOSE, CROP, net=CONV, **given),
    "heatmap": lambda **given: HeatmapTask(
        NOSE, CROP, net=configure(HeatmapNet, encoder=SMALL, width=4), **given
    ),
}


def optimizer(rate, target=torch.optim.Adam):
    return configure(target, lr=1e-3, encoder_lr=rate)


def changed(task, made_up_imm, folder):
    """Train an epoch; return which parts of the network changed, and which have other batch statistics."""
    before = {name: value.clone() for name, value in task.net.state_dict().items()}
    data = IMMDataModule(made_up_imm, landmarks="nose_tip", width=48, height=36)
    trainer_for(folder).fit(task, datamodule=data)
    after = task.net.state_dict()
    return {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize(("kind", "encoder"), [("convnet", "features"), ("heatmap", "encoder")])
def test_a_rate_of_zero_freezes_the_encoder_and_its_statistics(kind, encoder, made_up_imm, tmp_path):
    assert encoder in changed(TASKS[kind](), made_up_imm, tmp_path)
    parts = changed(TASKS[kind](optimizer=optimizer(0)), made_up_imm, tmp_path)
    assert parts
    assert encoder not in parts


def test_a_lower_rate_applies_to_the_encoder_alone():
    task = TASKS["heatmap"](optimizer=optimizer(1e-5))
    rest, encoder = task.configure_optimizers().param_groups
    assert (rest["lr"], encoder["lr"]) == (1e-3, 1e-5)
    assert set(encoder["params"]) == set(task.net.encoder.parameters())
    assert len(rest["params"]) + len(encoder["params"]) == len(list(task.parameters()))


def test_one_cycle_scales_its_highest_rate_for_the_encoder(made_up_imm, tmp_path):
    cycle = {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 1e-2, "total_steps": None}
    task = TASKS["convnet"](optimizer=optimizer(1e-4), scheduler=cycle)
    trainer = trainer_for(tmp_path)
    trainer.fit(task, datamodule=IMMDataModule(made_up_imm, landmarks="nose_tip", width=48, height=36))
    rest, encoder = trainer.optimizers[0].param_groups
    assert (rest["max_lr"], encoder["max_lr"]) == pytest.approx((1e-2, 1e-3))


def test_a_torchvision_networks_encoder_is_all_but_its_last_layer():
    net = TorchvisionNet((48, 36), 1, 2, name="mobilenet_v3_small")
    outside = set(net.parameters()) - set(parameters_of(encoder_layers(net)))
    assert sorted(each.shape for each in outside) == [(2,), (2, 1024)]


def test_a_network_without_known_parts_and_wrong_rates_are_refused():
    with pytest.raises(ConfigError, match="Sequential has neither a part encoder nor a part head"):
        encoder_layers(nn.Sequential(nn.Linear(2, 2)))
    assert checked_rate(None) is None
    for rate in (-1, float("nan"), "low", True):
        with pytest.raises(ConfigError, match="encoder_lr is a number from 0 up"):
            checked_rate(rate)
