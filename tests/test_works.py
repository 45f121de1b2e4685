import json
import shutil
import signal

import pandas as pd
import pytest

from keypoints.cli import main
from tests.conftest import SMALL


def test_a_sweep_is_interrupted_and_goes_on_with_what_is_missing(made_up_imm, tmp_path, monkeypatch, capsys):
    from keypoints.tasks.base import Task

    step, handler = Task.training_step, signal.getsignal(signal.SIGINT)

    def interrupted(task, batch, batch_idx):
        if task.hparams["optimizer"]["lr"] == 1e-3:
            raise KeyboardInterrupt
        return step(task, batch, batch_idx)

    folder = tmp_path / "a sweep, [1]"
    monkeypatch.setattr(Task, "training_step", interrupted)
    with pytest.raises(SystemExit):
        main(["train", *SMALL, "sweep=learning_rate", f"data.root={made_up_imm}", f"output={folder}"])
    signal.signal(signal.SIGINT, handler)  # Lightning ignores the signal from its first one on
    assert list(pd.read_csv(folder / "summary.csv")["status"]) == ["finished", "interrupted", "not begun"]
    before = (folder / "lr-0.01" / "status.json").stat().st_mtime_ns

    monkeypatch.setattr(Task, "training_step", step)
    main(["train", f"resume={folder}"])
    summary = pd.read_csv(folder / "summary.csv")
    assert list(summary["run"]) == ["lr-0.01", "lr-0.001", "lr-0.0001"]
    assert list(summary["status"]) == ["finished"] * 3
    assert (folder / "lr-0.01" / "status.json").stat().st_mtime_ns == before
    assert "lr-0.0001" in capsys.readouterr().out


def test_a_run_is_interrupted_and_goes_on_where_it_was(made_up_imm, tmp_path, monkeypatch, capsys):
    from keypoints.tasks.base import Task

    step, handler = Task.training_step, signal.getsignal(signal.SIGINT)

    def interrupted(task, batch, batch_idx):
        if task.trainer.current_epoch == 1:
            raise KeyboardInterrupt
        return step(task, batch, batch_idx)

    folder = tmp_path / "a run, [1]"
    monkeypatch.setattr(Task, "training_step", interrupted)
    with pytest.raises(SystemExit):
        main(["train", *SMALL, f"data.root={made_up_imm}", f"output={folder}"])
    signal.signal(signal.SIGINT, handler)  # Lightning ignores the signal from its first one on
    monkeypatch.setattr(Task, "training_step", step)
    main(["train", f"resume={folder}"])
    status = json.loads((folder / "status.json").read_text())
    assert status["status"] == "finished"
    assert status["metrics"]["last/epoch"] == 1
    assert f"going on with {folder}" in (folder / "train.log").read_text()
    with pytest.raises(SystemExit, match="1"):
        main(["train", f"resume={folder}"])
    assert "is finished; there is nothing to resume" in capsys.readouterr().err


def test_a_report_is_made_again(finished_run, finished_sweep, tmp_path, capsys):
    for kind, folder in (("run", finished_run), ("sweep", finished_sweep)):
        copy = tmp_path / f"{kind}=1, [x]"  # a name that Hydra's grammar would not take
        shutil.copytree(folder, copy)
        (copy / "report.html").unlink()
        main(["report", str(copy)])
        assert (copy / "report.html").is_file()


def test_making_up_faces_says_how_to_use_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["data", "synthesize", "persons=1", "faces=6"])
    assert "paths.data=data/synthetic" in capsys.readouterr().out
