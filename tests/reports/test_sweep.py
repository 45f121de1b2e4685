import json
import math
import re
import shlex
import shutil
import subprocess
import sys
import warnings

import pandas as pd
import pytest
from PIL import Image

from keypoints.cli import main
from keypoints.commands.jobs import end_sweep
from keypoints.errors import DataError
from keypoints.reports.sweep import command_of, report_sweep
from keypoints.reports.terminal import print_sweep
from keypoints.runs.history import read_history, read_logged
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.sweep_folder import SweepFolder
from tests.conftest import SMALL, wild_points


def test_the_page_compares_the_runs(finished_sweep):
    html = (finished_sweep / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 5
    assert "Good faces by run" in html
    assert "Bad faces by run" in html
    assert "2 of 6 runs did not finish" in html
    assert "larger than the 80 × 60" in html
    assert "Settings: mean ± standard deviation over seeds" in html
    assert "First-layer filters by run" in html
    linked = re.findall(r'<a href="([^"]+)">', html)
    assert "kernel-sizes-7-5-3--seed-0/report.html" in linked
    assert all((finished_sweep / page).is_file() for page in linked)
    assert "keypoints train -m experiment=nose_tip" in html


def test_the_report_can_be_made_again(finished_sweep, tmp_path):
    copy = SweepFolder(shutil.copytree(finished_sweep, tmp_path / "sweep"))
    for made in (copy.summary, copy.comparison, copy.report):
        made.unlink()
    table = report_sweep(copy)
    assert len(table) == 6
    assert all(made.is_file() for made in (copy.summary, copy.comparison, copy.report))


def test_a_report_that_fails_does_not_change_the_old_one(finished_sweep, tmp_path, monkeypatch):
    copy = SweepFolder(shutil.copytree(finished_sweep, tmp_path / "sweep"))
    files = {path: path.read_bytes() for path in copy.path.iterdir() if path.is_file()}
    monkeypatch.setattr("keypoints.reports.comparison_page.write_page", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report_sweep(copy)
    assert {path: path.read_bytes() for path in copy.path.iterdir() if path.is_file()} == files


def test_missing_landmark_files_are_allowed_and_damaged_ones_are_refused(finished_sweep, tmp_path):
    copy = SweepFolder(shutil.copytree(finished_sweep, tmp_path / "sweep"))
    files = list(copy.path.glob("*/landmarks.json"))
    for file in files:
        file.unlink()
    assert len(report_sweep(copy)) == 6
    for file in files:
        file.write_text("{")
    with pytest.raises(DataError, match=r"landmarks\.json: cannot be read"):
        end_sweep(copy.path, stopped=False)


def test_commands_on_the_page_train_single_runs_of_a_sweep_file(finished_sweep, tmp_path, monkeypatch):
    run = RunFolder(shutil.copytree(finished_sweep / "kernel-sizes-5-3-2--seed-0", tmp_path / "run"))
    status = json.loads(run.status_file.read_text())
    own = {"command": ["keypoints", "train", "--config-dir", "my conf", "sweep=learning_rate"]}
    status |= own | {"overrides": [*status["overrides"], "optimizer.lr=0.01", "sweep=learning_rate"]}
    run.status_file.write_text(json.dumps(status))
    (tmp_path / "my conf").mkdir()
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command_of(run))
    assert words[:4] == ["keypoints", "train", "--config-dir", "my conf"]
    main([*words[1:], "output=again"])
    assert RunFolder(tmp_path / "again").status_file.is_file()


def test_a_folder_without_runs_has_no_report(tmp_path):
    with pytest.raises(DataError, match="holds no run yet"):
        report_sweep(SweepFolder(tmp_path))
    assert end_sweep(tmp_path, stopped=False) == 0
    assert not list(tmp_path.iterdir())


def test_the_report_imports_no_slow_packages(finished_sweep, tmp_path):
    for name in ("kernel-sizes-5-3-2--seed-0", "kernel-sizes-90-5-3--seed-0"):  # finished, and failed
        shutil.copytree(finished_sweep / name, tmp_path / name)
    code = (
        "import sys; from pathlib import Path\n"
        "from keypoints.reports.sweep import report_sweep\n"
        "from keypoints.reports.terminal import print_sweep\n"
        "from keypoints.runs.sweep_folder import SweepFolder\n"
        f"print_sweep(report_sweep(SweepFolder(Path({str(tmp_path)!r}))))\n"
        "print(sorted({'albumentations', 'pytorch_lightning', 'torch', 'torchmetrics'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_sweep_without_any_metric_has_a_report(finished_sweep, tmp_path, capsys):
    copy = SweepFolder(shutil.copytree(finished_sweep, tmp_path / "sweep"))
    for run in copy.runs():
        status = json.loads(run.status_file.read_text())
        metrics = dict.fromkeys(status.get("metrics", {}))
        run.status_file.write_text(json.dumps({**status, "metrics": metrics}))
        if run.metrics.exists():
            table = read_logged(run)
            table.loc[:, table.columns.str.startswith("val/")] = math.nan
            table.to_csv(run.metrics, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            table = report_sweep(copy)
            print_sweep(table)
    assert table["best_mse"].isna().all()
    page = re.sub('base64,[^"]+', "", copy.report.read_text())
    assert "<td>–</td>" in page
    assert not re.search(r"\bnan\b", page + capsys.readouterr().out)


def write_list(folder):
    """Write photos of twelve faces, two of each group, and a list of them."""
    columns = [f"{axis}{index}" for index in range(68) for axis in "xy"]
    rows = [["image", "group", *columns]]
    for number in range(12):
        Image.new("L", (200, 160), 20 * number).save(folder / f"{number}.png")
        points = wild_points(5 * number).ravel()
        rows.append([f"{number}.png", f"person {number // 2}", *(f"{value:.3f}" for value in points)])
    path = folder / "list.csv"
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """Folder of a small cross-validation of two settings, one of which fails in its last fold."""
    from keypoints.tasks.base import Task

    def failing(task, batch, batch_idx):
        if task.hparams["optimizer"]["lr"] == 1e-3 and task.trainer.datamodule.fold == 2:
            raise DataError("made to fail")
        return step(task, batch, batch_idx)

    folder, step = tmp_path_factory.mktemp("sweeps") / "folds", Task.training_step
    listed = [f"data.train={write_list(folder.parent)}", "data.scheme=ibug68", "data.source=image"]
    small = [*SMALL[1:], "data=labelled", "model=convnet", *listed, "data.width=80", "data.height=60"]
    varied = ["optimizer.lr=1e-2,1e-3", "data.folds=3", "data.fold=0,1,2"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Task, "training_step", failing)
        with pytest.raises(SystemExit):
            main(["train", "-m", *small, *varied, f"output={folder}"])
    return folder


def test_a_cross_validation_has_means_over_its_folds(folds):
    summary, table = pd.read_csv(folds / "summary.csv"), pd.read_csv(folds / "folds.csv")
    assert list(summary["setting"]) == ["lr-0.01"] * 3 + ["lr-0.001"] * 3
    assert list(summary["status"]) == ["finished"] * 5 + ["failed"]
    assert list(table["setting"]) == ["lr-0.01", "lr-0.001"]
    assert list(table["folds"]) == [3, 2]
    assert list(table["folds_asked"]) == [3, 3]
    for row, runs in zip(table.to_dict("records"), (summary[:3], summary[3:5]), strict=True):
        assert row["best_mse_mean"] == pytest.approx(runs["best_mse"].mean())
        assert row["best_mse_std"] == pytest.approx(runs["best_mse"].std(ddof=1))
        assert row["nme_mean"] == pytest.approx(runs["nme"].mean())
    for row in summary[:5].to_dict("records"):
        logged = read_history(RunFolder(folds / row["run"]))
        assert row["nme"] == pytest.approx(logged["val/nme"][row["best_epoch"]])


def test_every_face_of_a_cross_validation_validates_once(folds):
    validated = [
        photo
        for fold in range(3)
        for photo in pd.read_csv(folds / f"fold-{fold}--lr-0.01" / "faces.csv")["photo"]
    ]
    assert len(validated) == len(set(validated)) == 12


def test_the_page_of_a_cross_validation_shows_its_folds(folds):
    html = re.sub('base64,[^"]+', "", (folds / "report.html").read_text())
    assert "Settings: mean ± standard deviation over folds" in html
    assert "over seeds" not in html
    assert "<td>3 of 3</td>" in html
    assert "<td>2 of 3</td>" in html
    assert "by the mean over folds" in html
    assert "Folds that did not finish: lr-0.001 (2 of 3)" in html
    assert (folds / "folds.png").is_file()
    assert "Good faces by run" in html  # of the same fold


def test_a_sweep_without_folds_has_no_files_of_folds(finished_sweep):
    assert not (finished_sweep / "folds.csv").exists()
    assert not (finished_sweep / "folds.png").exists()
    assert "nme" not in pd.read_csv(finished_sweep / "summary.csv")
