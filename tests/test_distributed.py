"""Training in several processes."""

import os
import subprocess
import sys

import pandas as pd
import pytest
from lightning_fabric.utilities.rank_zero import rank_zero_only

from keypoints.commands import compose
from keypoints.distributed import is_first, others_join, run_to_join
from keypoints.errors import ConfigError
from keypoints.runs.history import read_history
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from tests.conftest import ROOT, SMALL
from tests.working import train


def test_the_first_process_is_the_one_with_rank_zero(monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert not is_first()
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    assert is_first()


def test_further_processes_find_the_run_through_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with others_join(tmp_path, recorded=False, shared={}):
        assert run_to_join() is None  # this process is the first
        os.environ["LOCAL_RANK"] = "1"
        assert run_to_join() == tmp_path
    assert run_to_join() is None
    assert "LOCAL_RANK" not in os.environ


def test_a_further_process_of_a_launcher_writes_nothing(made_up_imm, tmp_path, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    folder = tmp_path / "run"
    cfg = compose("train", [*SMALL, f"data.root={made_up_imm}", f"output={folder}", "~callbacks.checkpoint"])
    assert train(cfg) == {}
    assert not (folder / "status.json").exists()
    assert not (folder / "config.yaml").exists()


def in_processes(arguments):
    """Run ``keypoints train`` in a new process, which can start further processes."""
    command = [sys.executable, "-m", "keypoints", "train", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=270, check=False)


def test_two_processes_give_the_metrics_of_one(made_up_imm, tmp_path):
    """Use the same global batch and no batch normalisation; 24 faces for training, 6 for validation."""
    common = [*SMALL, f"data.root={made_up_imm}"]
    train(compose("train", [*common, "data.batch_size=8", f"output={tmp_path / 'one'}"]))
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=4"]
    done = in_processes([*common, *two, f"output={tmp_path / 'two, [x]'}"])
    assert done.returncode == 0, done.stderr
    one, other = RunFolder(tmp_path / "one"), RunFolder(tmp_path / "two, [x]")
    assert read_status(other).state == "finished"
    assert len(list(tmp_path.rglob("status.json"))) == 2
    for folder in (other.path, other.path / "validation", other.path / "baseline"):
        assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    expected, found = read_history(one), read_history(other)
    assert {"loss/train", "loss/val", "val/mse", "val/variance_ratio"} <= set(expected)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-6)
    assert len(pd.read_csv(other.faces)) == 6


def test_two_processes_stop_together_at_a_nan_loss(made_up_imm, tmp_path):
    two = [
        "trainer=ddp",
        "trainer.accelerator=cpu",
        "trainer.devices=2",
        "optimizer=sgd",
        "optimizer.lr=1e30",
    ]
    done = in_processes([*SMALL, *two, f"data.root={made_up_imm}", f"output={tmp_path / 'run'}"])
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    status = read_status(RunFolder(tmp_path / "run"))
    assert status.state == "failed"
    assert "of epoch 0: the loss is" in status.error


def test_more_processes_than_cores_are_refused(made_up_imm, tmp_path):
    cfg = compose("train", [*SMALL, f"data.root={made_up_imm}", f"output={tmp_path}", "trainer.devices=9999"])
    with pytest.raises(ConfigError, match=r"trainer\.devices=9999 is more than this CPU's \d+ cores"):
        train(cfg)
