from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from keypoints.reports.sweep_pictures import draw_pictures, ranked_places
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.sweep_folder import SweepFolder

GOOD, BAD = "kernel-sizes-7-5-3", "kernel-sizes-5-3-2"


@pytest.fixture
def compared(compared):
    finished = compared.table["status"] == "finished"
    return replace(compared, table=compared.table.assign(variance_ratio=np.where(finished, 0.9, np.nan)))


@pytest.fixture
def chosen(monkeypatch):
    """Photos of the faces that are plotted, for each call."""
    calls = []

    def drawn_faces(table, label=""):
        calls.append(table["photo"].tolist())
        return []

    monkeypatch.setattr("keypoints.reports.face_figures.drawn_faces", drawn_faces)
    monkeypatch.setattr("keypoints.reports.face_figures.faces", lambda rows, *_: rows)
    monkeypatch.setattr("keypoints.reports.figures.save", lambda figure, path: path)
    return calls


def drawn(compared, folder):
    return {picture.title: picture for picture in draw_pictures(compared, SweepFolder(folder), ())}


def test_a_collapsed_run_does_not_choose_the_faces(compared, chosen, tmp_path):
    table = compared.table.copy()
    table.loc[table["setting"] == BAD, "variance_ratio"] = 0.01
    pictures = drawn(replace(compared, table=table), tmp_path)
    (run,) = (run for run in table[table["setting"] == GOOD].sort_values("best_mse")["run"][:1])
    faces = compared.faces[run].sort_values("error_px")["photo"].tolist()
    assert chosen[0] == chosen[1] == faces[:3]
    assert chosen[2] == chosen[3] == faces[::-1][:3]
    assert f"Not chosen by {BAD}--seed-" in pictures["Good faces by run"].caption


def test_collapsed_runs_choose_the_faces_if_all_are(compared, chosen, tmp_path):
    table = compared.table.assign(variance_ratio=0.01)
    assert "Not chosen" not in drawn(replace(compared, table=table), tmp_path)["Bad faces by run"].caption
    assert len(chosen) == 4


def test_captions_name_the_settings_that_are_left_out(compared, tmp_path, monkeypatch):
    monkeypatch.setattr("keypoints.reports.sweep_pictures._COLUMNS", 1)
    monkeypatch.setattr("keypoints.reports.sweep_pictures._PANELS", 1)
    pictures = drawn(compared, tmp_path)
    ranked = compared.finished.sort_values("best_mse")["setting"].drop_duplicates().tolist()
    for title in ("Good faces by run", "Bad faces by run", "First-layer filters by run"):
        assert f"Left out: {ranked[1]}." in pictures[title].caption
    assert "1 setting is left out" in pictures["Training beside validation"].caption
    assert all(picture.path.is_file() for picture in pictures.values())


@pytest.mark.parametrize("contents", [b"", b"\x93NUMPY", b"no array"])
def test_unreadable_filters_are_left_out(compared, tmp_path, contents):
    runs = {}
    for name, run in compared.runs.items():
        copy = RunFolder(tmp_path / name)
        (copy.path / "figures").mkdir(parents=True)
        copy.filters.write_bytes(contents)
        for file in (run.faces, run.metrics, run.landmarks, run.config):
            if file.is_file():
                (copy.path / file.name).write_bytes(file.read_bytes())
        runs[name] = copy
    (tmp_path / "out").mkdir()
    assert "First-layer filters by run" not in drawn(replace(compared, runs=runs), tmp_path / "out")


def test_filters_are_of_the_best_run_of_each_setting(compared, tmp_path, monkeypatch):
    seen = {}

    def filters_of_runs(weights, title):
        seen.update(weights)
        return Figure()

    monkeypatch.setattr("keypoints.reports.filter_figures.filters_of_runs", filters_of_runs)
    drawn(compared, tmp_path)
    best = compared.finished.sort_values("best_mse").drop_duplicates("setting")["run"]
    assert list(seen) == list(best)
    assert all(weight.ndim == 4 and np.isfinite(weight).all() for weight in seen.values())


def test_faces_without_labels_are_not_among_the_bad_faces():
    tables = [
        pd.DataFrame({"error_px": [2.0, np.nan, 5.0, 1.0]}),
        pd.DataFrame({"error_px": [2, np.nan, 1, 6]}),
    ]
    assert ranked_places(tables) == [0, 2, 3]
