"""Commands that a signal stops in the middle of a training."""

import shlex
import signal

import pandas as pd
import pytest

from keypoints.cli import main
from keypoints.runs.history import read_history
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from tests.command_lines import BLANK_FIGURES, in_forks
from tests.conftest import SMALL

SIGNALS = {
    "a run, [1]": (signal.SIGTERM, 143, "stopped by SIGTERM"),
    "another run": (signal.SIGINT, 130, "stopped by Ctrl-C"),
    "lr-0.001": (signal.SIGTERM, 143, "stopped by SIGTERM"),
}
"""Signal that stops the run in a folder, by its name; the command's exit status and message."""
RUNS, SWEEP = ("a run, [1]", "another run"), "a sweep, [1]"

STOPPING = """
import cv2, torch.utils.tensorboard  # which every fork would import
from keypoints.tasks.base import Task

before = Task.training_step

def training_step(self, batch, batch_idx):
    name = os.path.basename(self.trainer.default_root_dir)
    if self.trainer.global_step == 7 and name in {signals}:
        os.kill(os.getpid(), {signals}[name])
    return before(self, batch, batch_idx)

Task.training_step = training_step
"""
"""Code that stops a run at the second step of its third epoch."""


@pytest.fixture(scope="module")
def stopped(made_up_imm, tmp_path_factory):
    """Folder of two runs and a sweep that were stopped, and how their commands ended, by their names.

    A run has three epochs with three steps each, and a checkpoint per epoch.
    """
    folder = tmp_path_factory.mktemp("stopped")
    typed = [
        *("train", *SMALL, "trainer.max_epochs=3", "data.batch_size=8"),
        *("callbacks.last_checkpoint.seconds=0", f"data.root={made_up_imm}"),
    ]
    commands = {name: [*typed, f"output={folder / name}"] for name in RUNS}
    commands[SWEEP] = [*typed, "sweep=learning_rate", f"output={folder / SWEEP}"]
    numbers = {name: int(number) for name, (number, _, _) in SIGNALS.items()}
    first = BLANK_FIGURES + STOPPING.format(signals=numbers)
    return folder, in_forks(commands, folder / "forks", first)


@pytest.mark.parametrize("name", RUNS)
def test_a_stopped_run_reports_its_kept_epochs(stopped, capsys, name):
    folder, done = stopped[0] / name, stopped[1][name]
    _, status, says = SIGNALS[name]
    assert done.returncode == status, done.stderr
    said = done.stderr.splitlines()
    resume = shlex.quote(f"resume={folder}")
    assert said == [f"{says}; 2 epochs are kept; resume with: keypoints train {resume}"]
    run = RunFolder(folder)
    assert (read_status(run).state, read_status(run).error) == ("interrupted", says)
    assert read_status(run).metrics["last/epoch"] == 1
    assert says in run.report.read_text()
    assert (folder / "train.log").read_text().rstrip().endswith(said[0])
    main(["train", f"resume={folder}"])
    assert capsys.readouterr().out.startswith(f"reading the run in {folder}")
    assert (read_status(run).state, read_status(run).metrics["last/epoch"]) == ("finished", 2)
    assert f"resuming {folder}" in (folder / "train.log").read_text()
    with pytest.raises(SystemExit, match="1"):
        main(["train", f"resume={folder}"])
    assert "is finished; there is nothing to resume" in capsys.readouterr().err


def test_a_stopped_sweep_lists_the_runs_that_had_not_started(stopped, capsys):
    sweep, done = stopped[0] / SWEEP, stopped[1][SWEEP]
    assert done.returncode == 143, done.stderr
    resume = shlex.quote(f"resume={sweep}")
    assert done.stderr.splitlines()[-1] == (
        f"stopped by SIGTERM; 1 of 3 runs is finished; resume with: keypoints train {resume}"
    )
    table = pd.read_csv(sweep / "summary.csv")
    assert list(table["run"]) == ["lr-0.01", "lr-0.001", "lr-0.0001"]
    assert list(table["status"]) == ["finished", "interrupted", "not begun"]
    curve = read_history(RunFolder(sweep / "lr-0.001"))["val/mse"].dropna()
    assert table["last_mse"][1] == pytest.approx(curve.iloc[-1])
    assert "lr-0.0001" in (sweep / "report.html").read_text()
    before = (sweep / "lr-0.01" / "status.json").stat().st_mtime_ns
    main(["train", f"resume={sweep}"])
    summary = pd.read_csv(sweep / "summary.csv")
    assert list(summary["run"]) == list(table["run"])
    assert list(summary["status"]) == ["finished"] * 3
    assert (sweep / "lr-0.01" / "status.json").stat().st_mtime_ns == before
    assert "lr-0.0001" in capsys.readouterr().out
