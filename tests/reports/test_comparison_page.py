import re
from dataclasses import replace

import pandas as pd

from keypoints.reports.comparison_page import PageText, replaced_report, write_comparison
from keypoints.runs.sweep_folder import SweepFolder

TEXT = PageText("two runs", "Ranked by MSE.", {}, "keypoints compare a b")


def written(compared, folder, text=TEXT, levels=None):
    with replaced_report(SweepFolder(folder)) as new:
        write_comparison(compared, new, text, levels or {})
    return re.sub('base64,[^"]+', "", (folder / "report.html").read_text())


def test_the_page_has_the_settings_as_text_to_paste(compared, tmp_path):
    page = written(compared, tmp_path / "out")
    assert "| setting | verdict | seeds | MSE |" in page
    assert r"\begin{tabular}" in page
    assert "Ranked by MSE." in page
    settings = pd.read_csv(tmp_path / "out" / "settings.csv")
    assert list(settings["seeds"]) == [2, 2]


def test_two_factors_have_a_shaded_table_and_effects(compared, tmp_path):
    names = [each.setting for each in compared.settings]
    levels = {names[0]: {"lr": "1"}, names[1]: {"lr": "2"}}
    assert "Effect of each factor" not in written(compared, tmp_path / "one", levels=levels)
    both = {names[0]: {"lr": "1", "k": "3"}, names[1]: {"lr": "2", "k": "5"}}
    page = written(compared, tmp_path / "two", levels=both)
    assert "MSE by lr and k" in page
    assert set(re.findall(r"--shade: ([\d.]+)", page)) == {"0.00", "1.00"}


def test_only_runs_with_a_page_have_a_link(compared, tmp_path):
    first = compared.table["run"][0]
    page = written(compared, tmp_path / "out", replace(TEXT, links={first: "a&b/report.html"}))
    assert re.findall(r'<a href="([^"]+)">([^<]+)</a>', page) == [("a&amp;b/report.html", first)]


def test_files_of_an_earlier_report_are_removed(compared, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "folds.csv").write_text("old")
    (out / "mine.txt").write_text("kept")
    written(compared, out)
    assert not (out / "folds.csv").exists()
    assert (out / "mine.txt").read_text() == "kept"


def test_a_run_of_the_mean_face_is_marked_beside_its_name(compared, tmp_path):
    table = compared.table.assign(note=["predicts the mean face", *[""] * (len(compared.table) - 1)])
    page = written(replace(compared, table=table), tmp_path / "out")
    name = table["run"][0]
    assert f"<td>{name}</td><td>predicts the mean face</td>" in page
    assert f"<td>{table['run'][1]}</td><td>finished</td>" in page
