import json
import re
import shlex
import shutil
import threading

import pandas as pd
import pytest
import yaml

from keypoints.cli import main
from keypoints.commands.jobs import _remaining_work, _run_locked, check_swept_folds, end_sweep
from keypoints.config.compose import preview
from keypoints.runs.run_folder import OWN_SWEEP_FILE, RunFolder
from tests.conftest import SMALL


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["data.folds=5", "data.fold=range(6)"], "fold is a number from 0 to 4, .* not 5"),
        (["data.folds=5,3", "data.fold=0,3"], "fold is a number from 0 to 2, .* not 3"),
        (["data.folds=1", "data.fold=0,1"], "folds is a number from 2 up, or null, not 1"),
        (["data=labelled", "data.train=list.csv", "data.fold=0,1"], "fold 0 needs the number of folds"),
    ],
)
def test_folds_out_of_range_are_refused_before_the_first_run(typed, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").touch()
    with pytest.raises(SystemExit):
        main(["train", "-m", *SMALL, *typed, f"output={tmp_path / 'sweep'}"])
    assert re.search(says, capsys.readouterr().err)
    assert not (tmp_path / "sweep").exists()


def test_folds_of_several_data_sets_are_checked_by_their_runs():
    overrides = ["data=imm,udacity", "data.fold=0,4"]
    check_swept_folds(preview("train", ["-m"], overrides), overrides)


def test_a_repeated_setting_keeps_its_first_result(made_up_imm, tmp_path, capsys):
    folder = tmp_path / "sweep"
    given = [*SMALL, "trainer.max_epochs=1", f"data.root={made_up_imm}", f"output={folder}"]
    main(["train", "-m", *given, "optimizer.lr=1e-3,0.001,1e-2"])
    summary = pd.read_csv(folder / "summary.csv")
    assert list(summary["run"]) == ["lr-0.001", "lr-0.01"]
    assert list(summary["optimizer.lr"]) == [1e-3, 1e-2]
    assert list(summary["status"]) == ["finished"] * 2
    assert (folder / "lr-0.001" / "train.log").read_text().count("its result is kept") == 1
    begun = {path: path.stat().st_mtime_ns for path in folder.glob("*/status.json")}
    main(["train", f"resume={folder}"])
    assert begun == {path: path.stat().st_mtime_ns for path in folder.glob("*/status.json")}
    assert list(pd.read_csv(folder / "summary.csv")["run"]) == ["lr-0.001", "lr-0.01"]


def test_a_repeated_setting_that_failed_counts_once(made_up_imm, tmp_path, capsys):
    folder, empty = tmp_path / "sweep", tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SystemExit, match="1"):
        main(["train", "-m", *SMALL, f"data.root={empty}", "seed=0,0", f"output={folder}"])
    assert "1 of the sweep's runs did not finish" in capsys.readouterr().err
    (error,) = pd.read_csv(folder / "summary.csv")["error"]
    assert "empty" in error


def test_a_search_reuses_the_result_of_a_repeated_sample(made_up_imm, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="the extra search is not installed")
    folder = tmp_path / "sweep"
    given = [*SMALL, "trainer.max_epochs=1", f"data.root={made_up_imm}", f"output={folder}", "seed=choice(3)"]
    main(["train", "-m", *given, "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3"])
    assert [path.name for path in folder.glob("*/")] == ["seed-3"]
    best = json.loads((folder / "seed-3" / "status.json").read_text())["metrics"]["best/mse"]
    found = yaml.safe_load((folder / "optimization_results.yaml").read_text())
    assert found["best_value"] == pytest.approx(best)


def test_a_search_without_results_fails_with_one_line(tmp_path, capsys):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="the extra search is not installed")
    given = [*SMALL, f"data.root={tmp_path}", f"output={tmp_path / 'sweep'}", "seed=0,1"]
    with pytest.raises(SystemExit, match="1"):
        main(["train", *given, "sweep=search", "hydra.sweeper.n_trials=1"])
    assert re.search(r"error: 1 of the sweep's runs did not finish \(.+\)\n$", capsys.readouterr().err)


def test_a_job_waits_for_another_with_the_same_setting(tmp_path):
    looked = threading.Event()
    order = []

    def second():
        with _run_locked(tmp_path / "run"):
            order.append("second")

    with _run_locked(tmp_path / "run"):
        other = threading.Thread(target=second)
        other.start()
        looked.wait(0.3)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_lists_can_be_swept(made_up_imm, tmp_path):
    photo = next(made_up_imm.glob("*.jpg"))
    for name in ("t, 1", "v"):
        rows = [f"{photo.name},{10 + step},10,60,60,{30 + step},40,50,{42 + step}" for step in range(3)]
        rows = ["image,left,top,width,height,x0,y0,x1,y1", *rows]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows) + "\n")
    lists = f"data.train='{tmp_path / 't, 1.csv'}',{tmp_path / 'v.csv'}"
    folder = tmp_path / "sweep"
    with pytest.raises(SystemExit):  # one photo cannot be in both training and validation
        main(["train", "-m", "data=labelled", f"data.root={made_up_imm}", lists, f"output={folder}"])
    runs = sorted(path.name for path in folder.glob("*/"))
    assert runs == sorted(f"train-{tmp_path.name.replace('_', '-')}-{name}.csv" for name in ("t-1", "v"))
    said = pd.read_csv(folder / "summary.csv")
    assert list(said["data.train"]) == [str(tmp_path / "t, 1.csv"), str(tmp_path / "v.csv")]


def test_the_command_that_resumes_failed_runs_can_be_pasted(finished_sweep, tmp_path, capsys):
    copy = shutil.copytree(finished_sweep, tmp_path / "a sweep, [1]")
    assert end_sweep(copy, stopped=False) == 2
    (command,) = re.findall("resume with: (.*)", capsys.readouterr().out)
    assert shlex.split(command) == ["keypoints", "train", f"resume={copy}"]


def test_a_report_is_made_again(finished_run, finished_sweep, tmp_path, capsys):
    for kind, folder in (("run", finished_run), ("sweep", finished_sweep)):
        copy = tmp_path / f"{kind}=1, [x]"  # a name that Hydra's grammar rejects unquoted
        shutil.copytree(folder, copy)
        (copy / "report.html").unlink()
        main(["report", str(copy)])
        assert (copy / "report.html").is_file()


def test_synthesize_prints_how_to_use_the_faces(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["data", "synthesize", "persons=1", "faces=6"])
    assert "paths.data=data/synthetic" in capsys.readouterr().out


def test_a_run_with_checkpoints_of_other_names_is_not_cleared(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    (tmp_path / OWN_SWEEP_FILE).touch()
    own = run.path / "checkpoints" / "epoch=3.ckpt"
    for checkpoints, left in (([own], "some"), ([], "all")):
        run.status_file.write_text('{"status": "failed"}')
        own.parent.mkdir(exist_ok=True)
        own.unlink(missing_ok=True)
        for path in checkpoints:
            path.touch()
        assert _remaining_work(run.path) == left
        assert own.exists() == (own in checkpoints)
