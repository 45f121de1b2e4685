import shutil
from itertools import zip_longest

import pytest
from omegaconf import OmegaConf

from keypoints.commands import compose
from keypoints.config.compose import composed, preview


def test_every_option_of_every_group_composes(conf):
    groups = [
        group for group in conf.iterdir() if group.is_dir() and group.name not in ("hydra", "experiment")
    ]
    options = [[f"{group.name}={option.stem}" for option in sorted(group.glob("*.yaml"))] for group in groups]
    assert sum(map(len, options)) > 10
    for chosen in zip_longest(
        *options
    ):  # one of each group at a time: a composition takes a third of a second
        compose("train", [*filter(None, chosen), "output=somewhere"])


@pytest.mark.parametrize("experiment", ["nose_tip"])
def test_every_experiment_sets_its_name(conf, experiment):
    assert {path.stem for path in (conf / "experiment").glob("*.yaml")} >= {experiment}
    assert compose("train", [f"experiment={experiment}"]).name == experiment


def test_the_data_root_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("KEYPOINTS_DATA", "/somewhere")
    assert compose("train").data.root == "/somewhere/imm_face_db"
    monkeypatch.delenv("KEYPOINTS_DATA")
    assert compose("train").data.root == "data/imm_face_db"
    assert compose("train", ["paths.data=/a, [b]"]).data.root == "/a, [b]/imm_face_db"


def test_the_networks_of_depth_pooling_fit_the_full_face_input():
    from keypoints.datamodules.imm import IMMDataModule
    from keypoints.instantiate import make_task

    for network in ("five", "five-more-pooling", "six", "six-more-pooling"):
        cfg = compose("train", ["experiment=full_face", "sweep=depth_pooling", f"network={network}"])
        task = make_task(cfg, IMMDataModule("nowhere", width=cfg.data.width, height=cfg.data.height))
        convolutions = [
            name for name, _ in task.named_parameters() if "features" in name and "weight" in name
        ]
        assert (
            len(convolutions) == 2 * {"five": 5, "six": 6}[network.partition("-")[0]]
        )  # each with its normalisation


def test_each_head_trains_on_the_same_batch(conf):
    import torch

    from keypoints.data.dataset import Batch
    from keypoints.datamodules.ibug300w import IBUG300WDataModule
    from keypoints.instantiate import make_task

    heads = OmegaConf.load(conf / "sweep/heads.yaml").hydra.sweeper.params.model.split(",")
    affine = torch.eye(2, 3).expand(2, 2, 3)
    batch = Batch(
        torch.randint(256, (2, 1, 64, 64), dtype=torch.uint8),
        torch.rand(2, 68, 2),
        affine,
        torch.full((2, 2), 64),
        torch.arange(2),
    )
    for head in heads:
        cfg = compose("train", ["experiment=ibug300w", f"model={head}"])
        task = make_task(cfg, IBUG300WDataModule("nowhere", width=64, height=64))
        loss, points = task.compute_loss(batch)
        assert points.shape == (2, 68, 2)
        loss.backward()
        assert all(weights.grad.isfinite().all() for weights in task.parameters()), head
    assert len(heads) == 5


@pytest.mark.parametrize("experiment", ["nose_tip", "full_face", "ibug300w_best"])
def test_each_backbone_is_a_network_of_torchvision(conf, experiment):
    import torchvision

    cfg = compose("train", [f"experiment={experiment}", "sweep=backbones"])
    assert cfg.model.net._target_ == "keypoints.TorchvisionNet"
    assert list(cfg.model.net) == ["name", "weights", "antialiased", "_target_"]
    sweep = OmegaConf.load(conf / "sweep/backbones.yaml").hydra.sweeper.params
    names = sweep["model.net.name"].split(",")
    assert len(set(names)) == 6
    assert set(names) <= set(torchvision.models.list_models(module=torchvision.models))


def test_a_changed_file_of_the_package_is_read_again(conf, tmp_path, monkeypatch):
    ours = shutil.copytree(conf, tmp_path / "conf")
    monkeypatch.setattr("keypoints.config.compose.conf_dir", lambda: ours)
    first = composed("train", ["trainer=cpu"], with_hydra=True)
    assert composed("train", ["trainer=cpu"], with_hydra=True) == first
    with (ours / "trainer" / "default.yaml").open("a") as file:
        file.write("\nmy_epochs: 1234\n")
    assert composed("train", ["trainer=cpu"], with_hydra=True).trainer.my_epochs == 1234
    assert "my_epochs" not in first.trainer


def test_an_invalid_configuration_has_no_preview():
    assert preview("train", [], ["experiment=nothing"]) is None
    assert preview("train", [], ["model.net.kernel_sizes=[7"]) is None


def test_a_users_local_file_is_read_by_every_training(tmp_path):
    (tmp_path / "local").mkdir()
    text = "# @package _global_\n# My machine.\noptimizer:\n  lr: 0.5\n"
    (tmp_path / "local" / "default.yaml").write_text(text)
    (tmp_path / "local" / "laptop.yaml").write_text(text.replace("0.5", "0.25"))
    flags = ["--config-dir", str(tmp_path)]
    for config in ("train", "bench", "preview"):
        assert preview(config, flags, ["experiment=nose_tip_best"]).optimizer.lr == 0.5
    assert preview("train", flags, ["local=laptop"]).optimizer.lr == 0.25
    assert preview("train", flags, ["optimizer.lr=2"]).optimizer.lr == 2
    assert preview("train", [], []).optimizer.lr == 1e-3
