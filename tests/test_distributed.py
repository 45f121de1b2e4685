"""Training in several processes."""

import os

import pandas as pd
import pytest
from lightning_fabric.utilities.rank_zero import rank_zero_only

from keypoints.commands import compose
from keypoints.distributed import is_first, others_join, run_to_join
from keypoints.errors import ConfigError
from keypoints.runs.history import read_history
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from tests.command_lines import BLANK_FIGURES, in_forks
from tests.conftest import SMALL
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


AS_A_MODULE = """
import __main__, keypoints.__main__
import pytorch_lightning, torch.utils.tensorboard  # once, and not in each fork

__main__.__spec__ = keypoints.__main__.__spec__
"""
"""Code after which Lightning starts further processes as from ``python -m keypoints``."""


@pytest.fixture(scope="module")
def ended(made_up_imm, tmp_path_factory):
    """Folder of two trainings in two processes each, and how their commands ended.

    One of them diverges.
    """
    folder = tmp_path_factory.mktemp("distributed")
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", f"data.root={made_up_imm}"]
    own = {"two, [x]": ["data.batch_size=4"], "diverging": ["optimizer=sgd", "optimizer.lr=1e30"]}
    commands = {
        name: ["train", *SMALL, *two, *given, f"output={folder / name}"] for name, given in own.items()
    }
    first = BLANK_FIGURES + AS_A_MODULE
    return folder, in_forks(commands, folder / "forks", first, OMP_NUM_THREADS="1")


def test_two_processes_give_the_metrics_of_one(ended, made_up_imm, tmp_path):
    """Use the same global batch and no batch normalisation; 24 faces for training, 6 for validation."""
    one, other = RunFolder(tmp_path / "one"), RunFolder(ended[0] / "two, [x]")
    train(compose("train", [*SMALL, f"data.root={made_up_imm}", "data.batch_size=8", f"output={one.path}"]))
    done = ended[1]["two, [x]"]
    assert done.returncode == 0, done.stderr
    assert read_status(other).state == "finished"
    assert len(list(ended[0].rglob("status.json"))) == 2  # with that of the diverging run
    for folder in (other.path, other.path / "validation", other.path / "baseline"):
        assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    expected, found = read_history(one), read_history(other)
    assert {"loss/train", "loss/val", "val/mse", "val/variance_ratio"} <= set(expected)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-6)
    assert len(pd.read_csv(other.faces)) == 6


def test_two_processes_stop_together_at_a_nan_loss(ended):
    done = ended[1]["diverging"]
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    status = read_status(RunFolder(ended[0] / "diverging"))
    assert status.state == "failed"
    assert "of epoch 0: the loss is" in status.error


def test_more_processes_than_cores_are_refused(made_up_imm, tmp_path):
    cfg = compose("train", [*SMALL, f"data.root={made_up_imm}", f"output={tmp_path}", "trainer.devices=9999"])
    with pytest.raises(ConfigError, match=r"trainer\.devices=9999 is more than this CPU's \d+ cores"):
        train(cfg)
