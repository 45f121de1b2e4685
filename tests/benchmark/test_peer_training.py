import json

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from keypoints.benchmark.peer_training import WAYS, Clock, main, parts_of, train_bare
from keypoints.commands import compose
from keypoints.tasks.regression import RegressionTask
from tests.conftest import SMALL


def configured(made_up_imm, folder, *overrides):
    return compose("train", [*SMALL, f"data.root={made_up_imm}", f"output={folder}", *overrides])


@pytest.mark.parametrize("way", WAYS)
def test_each_way_times_its_epochs(made_up_imm, tmp_path, way):
    (tmp_path / "run").mkdir()
    OmegaConf.save(configured(made_up_imm, tmp_path / "run"), tmp_path / "run/config.yaml", resolve=True)
    before = torch.get_num_threads()
    try:
        assert main([way, str(tmp_path / "run"), "2", "1", str(tmp_path / "times.json")]) == 0
    finally:
        torch.set_num_threads(before)
    times = json.loads((tmp_path / "times.json").read_text())
    assert len(times["epochs"]) == 2
    assert all(wall > 0 and processor > 0 for wall, processor in [times["start_up"], *times["epochs"]])
    assert ("steps" in times) == (way == "bare loop")


def test_the_bare_loop_learns_with_the_configured_optimizer(made_up_imm, tmp_path):
    overrides = ["optimizer.lr=3e-3", "scheduler=cosine", "trainer.max_epochs=8"]
    parts = parts_of(configured(made_up_imm, tmp_path, *overrides))
    assert parts.optimizer.param_groups[0]["lr"] == 3e-3
    losses = train_bare(parts, 4, Clock(tmp_path / "times.json"), tmp_path)
    assert losses[-1] < losses[0]
    assert parts.optimizer.param_groups[0]["lr"] < 3e-3


def test_the_batches_are_those_of_the_configuration(made_up_imm, tmp_path):
    cfg = configured(made_up_imm, tmp_path, "data.batch_size=3")
    parts = parts_of(cfg)
    assert len(parts.train.dataset) == 24
    images, targets = next(iter(parts.train))
    assert images.shape[0] == 3
    assert isinstance(parts.network, nn.Module)
    assert not isinstance(parts.network, RegressionTask)
    assert targets.shape == parts.network(images).shape


def test_augmented_batches_differ_from_epoch_to_epoch(made_up_imm, tmp_path):
    parts = parts_of(configured(made_up_imm, tmp_path, "augmentation=rotate_shift"))
    first, second = (sorted(float(targets.sum()) for _, targets in parts.train) for _ in range(2))
    assert first != second
