"""Commands that a signal stops in the middle of a training."""

import signal
import subprocess
import sys

import pandas as pd
import pytest

from keypoints.cli import main
from keypoints.runs.history import read_history
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from tests.conftest import ROOT, SMALL

STOPPED = """
import os, sys
from keypoints.__main__ import run
from keypoints.tasks.base import Task

before = Task.training_step

def training_step(self, batch, batch_idx):
    if self.trainer.global_step == 20 and str(self.trainer.default_root_dir).endswith({where!r}):
        os.kill(os.getpid(), {number})
    return before(self, batch, batch_idx)

Task.training_step = training_step
run()
"""
"""Command line that stops the run in the folder ``where`` at the third step of its third epoch."""


def stopped(number, where, *typed):
    script = STOPPED.format(number=int(number), where=where)
    return subprocess.run(
        [sys.executable, "-c", script, *typed], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture
def typed(made_up_imm):
    """Arguments of a training of four epochs with nine steps each, and a checkpoint per epoch."""
    return [
        *("train", *SMALL, "trainer.max_epochs=4", "data.batch_size=3", "data.train_persons=4"),
        *("callbacks.last_checkpoint.seconds=0", f"data.root={made_up_imm}"),
    ]


@pytest.mark.parametrize(
    ("number", "status", "says"),
    [(signal.SIGTERM, 143, "stopped by SIGTERM"), (signal.SIGINT, 130, "stopped by Ctrl-C")],
)
def test_a_stopped_run_reports_its_kept_epochs(typed, tmp_path, number, status, says):
    folder = tmp_path / "a run"
    done = stopped(number, "a run", *typed, f"output={folder}")
    assert done.returncode == status, done.stderr
    said = done.stderr.splitlines()
    assert said == [f"{says}; 2 epochs are kept; resume with: keypoints train 'resume={folder}'"]
    run = RunFolder(folder)
    assert (read_status(run).state, read_status(run).error) == ("interrupted", says)
    assert read_status(run).metrics["last/epoch"] == 1
    assert says in run.report.read_text()
    assert (folder / "train.log").read_text().rstrip().endswith(said[0])
    main(["train", f"resume={folder}"])
    assert read_status(run).metrics["last/epoch"] == 3


def test_a_stopped_sweep_lists_the_runs_that_had_not_started(typed, tmp_path):
    sweep = tmp_path / "sweep"
    done = stopped(signal.SIGTERM, "seed-1", *typed, "-m", "seed=0,1,2", f"output={sweep}")
    assert done.returncode == 143, done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"stopped by SIGTERM; 1 of 3 runs is finished; resume with: keypoints train resume={sweep}"
    )
    table = pd.read_csv(sweep / "summary.csv")
    assert list(table["run"]) == ["seed-0", "seed-1", "seed-2"]
    assert list(table["status"]) == ["finished", "interrupted", "not begun"]
    curve = read_history(RunFolder(sweep / "seed-1"))["val/mse"].dropna()
    assert table["last_mse"][1] == pytest.approx(curve.iloc[-1])
    assert "seed-2" in (sweep / "report.html").read_text()
    main(["train", f"resume={sweep}"])
    assert set(pd.read_csv(sweep / "summary.csv")["status"]) == {"finished"}
