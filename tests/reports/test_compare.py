import json
import re
import shutil

import pandas as pd
import pytest
from omegaconf import OmegaConf

from keypoints.errors import DataError
from keypoints.reports.compare import compare_folders
from keypoints.runs.run_folder import RunFolder


def runs_of(sweep, *names):
    return [sweep / name for name in names]


def evaluation(folder, run, mse, nme=0.05):
    """Write an evaluation's folder with the faces of a run."""
    folder.mkdir(parents=True)
    shutil.copy(run / "faces.csv", folder / "faces.csv")
    metrics = {"mse": mse, "nme": nme, "mae_px": 3.0, "variance_ratio": 0.9}
    values = {
        "checkpoint": str(run / "checkpoints" / "best.ckpt"),
        "metrics": metrics,
        "constant": {"mse": 0.01},
    }
    (folder / "metrics.json").write_text(json.dumps(values))
    return folder


def test_runs_that_differ_in_the_seed_are_one_setting(finished_sweep, tmp_path):
    copies = [
        shutil.copytree(finished_sweep / f"kernel-sizes-{name}--seed-{seed}", tmp_path / f"{name}{seed}")
        for name in ("5-3-2", "7-5-3")
        for seed in (0, 1)
    ]
    settings = compare_folders(copies, tmp_path / "out")
    assert list(settings["setting"]) == ["5-3-20", "7-5-30"]
    assert list(settings["seeds"]) == [2, 2]
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert list(summary["setting"]) == ["5-3-20", "5-3-20", "7-5-30", "7-5-30"]
    assert list(summary["model.net.kernel_sizes"]) == ["[5, 3, 2]"] * 2 + ["[7, 5, 3]"] * 2
    html = (tmp_path / "out" / "report.html").read_text()
    assert '<a href="../5-3-20/report.html">' in html


def test_a_run_that_was_trained_twice_is_no_further_seed(finished_sweep, tmp_path, caplog):
    run = finished_sweep / "kernel-sizes-5-3-2--seed-0"
    again = shutil.copytree(run, tmp_path / "again")
    settings = compare_folders([finished_sweep, again], tmp_path / "out")
    assert list(settings["seeds"]) == [2, 2]
    assert "the same settings and seed: " in caplog.text
    assert "4 runs of 2 settings · 1 repeated and left out" in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(DataError, match=r"again: has the settings and the seed of .*; name runs that differ"):
        compare_folders([run, again], tmp_path / "out")


def test_folds_of_a_seed_are_compared_together(finished_sweep, tmp_path):
    folders = []
    for name in ("5-3-2", "7-5-3"):
        for fold in (0, 1):
            source = finished_sweep / f"kernel-sizes-{name}--seed-0"
            run = RunFolder(shutil.copytree(source, tmp_path / f"{name} {fold}"))
            values = OmegaConf.load(run.config)
            values.data.fold = fold
            OmegaConf.save(values, run.config)
            pd.read_csv(run.faces).iloc[fold::2].to_csv(run.faces, index=False)
            folders.append(run.path)
    settings = compare_folders(folders, tmp_path / "out")
    assert list(settings["seeds"]) == [1, 1]
    assert list(settings["verdict"]).count("no interval") == 1
    faces = len(pd.read_csv(source / "faces.csv"))
    assert f"{faces} faces of" in (tmp_path / "out" / "report.html").read_text()


def test_a_sweep_stands_for_its_finished_runs(finished_sweep, tmp_path):
    settings = compare_folders([finished_sweep], tmp_path / "out", reference="kernel-sizes-7-5-3")
    assert list(settings["setting"]) == ["kernel-sizes-7-5-3", "kernel-sizes-5-3-2"]
    assert settings["verdict"][0] == "reference"


def test_evaluations_are_compared_with_times(finished_sweep, tmp_path, monkeypatch):
    monkeypatch.setattr("keypoints.reports.compare._SECONDS", 0)  # shortest time that is measured
    runs = [finished_sweep / f"kernel-sizes-{name}--seed-0" for name in ("5-3-2", "7-5-3")]
    folders = [evaluation(tmp_path / name / "val", run, 0.001) for name, run in zip("ab", runs, strict=True)]
    settings = compare_folders(folders, tmp_path / "out", measure="mse", which="best")
    assert list(settings["setting"]) == ["a--val", "b--val"]
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert (summary["ms_per_face"] > 0).all()
    page = re.sub('base64,[^"]+', "", (tmp_path / "out" / "report.html").read_text())
    assert "ms a face" in page
    assert "No interval is honest, because" in page


def test_a_comparison_is_written_again_over_an_earlier_one(finished_sweep, tmp_path):
    compare_folders([finished_sweep], tmp_path / "out")
    first = (tmp_path / "out" / "settings.csv").read_text()
    compare_folders([finished_sweep], tmp_path / "out")
    assert (tmp_path / "out" / "settings.csv").read_text() == first


def test_what_cannot_be_compared_is_refused_in_one_line(finished_sweep, tmp_path):
    one, other = runs_of(finished_sweep, "kernel-sizes-5-3-2--seed-0", "kernel-sizes-5-3-2--seed-1")
    failed = finished_sweep / "kernel-sizes-90-5-3--seed-0"
    broken = evaluation(tmp_path / "broken", one, 0.1)
    (broken / "metrics.json").write_text('{"metrics": 3}')
    for folders, says in (
        ([one], "is the only run; name two or more"),
        ([one, one], "is given twice"),
        ([one, tmp_path], "is no folder of a run, of a sweep or of an evaluation"),
        ([one, failed], r"is a run that is not finished \(failed\)"),
        ([one, broken], r"metrics\.json: is no result of an evaluation"),
    ):
        with pytest.raises(DataError, match=says):
            compare_folders(folders, tmp_path / "out")
    with pytest.raises(DataError, match="has no NME %; compare another measure"):
        compare_folders([one, other], tmp_path / "out", measure="nme")
    gone = evaluation(tmp_path / "gone", one, 0.1)
    values = json.loads((gone / "metrics.json").read_text())
    (gone / "metrics.json").write_text(json.dumps({**values, "checkpoint": "nowhere.ckpt"}))
    with pytest.raises(DataError, match=r"its model nowhere\.ckpt is not there"):
        compare_folders([gone, one], tmp_path / "out", measure="mse", which="best")
    assert not (tmp_path / "out").exists()
    assert RunFolder(one).faces.is_file()
