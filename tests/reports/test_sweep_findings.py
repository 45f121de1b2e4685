import math

import pandas as pd

from keypoints.reports.setting_results import MEASURES, RunResult, by_setting, verdict
from keypoints.reports.sweep_findings import findings


def finished(rows):
    defaults = {"last_mse": 0.001, "best_epoch": 5, "variance_ratio": 0.8, "constant_mse": 0.005}
    return pd.DataFrame([{**defaults, "last_mse": row["best_mse"], **row} for row in rows])


def history(values):
    return pd.DataFrame({"val/mse": values})


def test_findings_rank_the_settings_before_the_baseline():
    rows = [{"run": name, "setting": name, "best_mse": mse} for name, mse in (("a", 0.002), ("b", 0.001))]
    runs = [RunResult(row["run"], row["setting"], "0", None, {"best_mse": row["best_mse"]}) for row in rows]
    settings = by_setting(runs)
    measure = MEASURES["val/mse"]
    first, second, third = findings(finished(rows), {}, (), settings, verdict(settings, measure), measure)
    assert first == "From best to worst by MSE: b 0.001, a 0.002."
    assert second.startswith("No verdict: a: has no table of its validation faces")
    assert third == "The mean-shape baseline scores 0.005; the best setting is 5.0 times better."


def test_findings_name_collapse_overfitting_and_too_short_training():
    rows = [
        {"run": "flat", "setting": "flat", "best_mse": 0.005, "variance_ratio": 0.01},
        {"run": "over", "setting": "over", "best_mse": 0.001, "last_mse": 0.002, "best_epoch": 1},
        {"run": "short", "setting": "short", "best_mse": 0.002, "best_epoch": 9},
    ]
    said = findings(finished(rows), {"short": history([0.01 * 0.8**epoch for epoch in range(10)])})
    assert any(sentence.startswith("flat: this network predicts nearly the same face") for sentence in said)
    assert "The last epoch is over 30% worse than the best in over." in said
    assert any("more epochs may help: short" in sentence for sentence in said)


def test_findings_measure_how_smooth_the_curves_are():
    rows = [{"run": name, "setting": name, "best_mse": 0.001} for name in ("calm", "wild")]
    curves = {"calm": history([1.0, 0.9, 0.81, 0.729]), "wild": history([1.0, 0.5, 1.0, 0.5])}
    assert any("calm 11%, wild 100%" in sentence for sentence in findings(finished(rows), curves))


def test_without_finished_runs_there_are_no_findings():
    assert findings(finished([{"run": "a", "setting": "a", "best_mse": 1.0}]).head(0), {}) == []


def test_runs_with_nan_scores_are_left_out_of_findings():
    rows = [
        {"run": "a", "setting": "a", "best_mse": 0.002, "variance_ratio": math.nan},
        {"run": "b", "setting": "b", "best_mse": math.nan},
    ]
    said = " ".join(findings(finished(rows), {"a": history([0.0, math.inf, 0.002, 0.002])}))
    assert said.startswith("The mean-shape baseline scores 0.005; the best setting is 2.5 times better.")
    assert "nan" not in said
    assert findings(finished(rows[1:]), {}) == []
    worse = " ".join(findings(finished([{**rows[0], "best_mse": 0.02}]), {}))
    assert worse.startswith("The mean-shape baseline scores 0.005; the best setting is 4.0 times worse.")
    exact = " ".join(findings(finished([{**rows[0], "best_mse": 0.0}]), {}))
    assert exact == "The mean-shape baseline scores 0.005."


def test_baselines_of_different_faces_are_not_compared():
    rows = [{"run": name, "setting": name, "best_mse": 0.001} for name in ("a", "b")]
    said = " ".join(findings(finished([{**rows[0], "constant_mse": 0.004}, rows[1]]), {}))
    assert "score differs from run to run" in said
    assert "times better" not in said


def test_collapsed_runs_are_named_by_what_they_predict():
    rows = [
        {"run": f"run {number}", "setting": "a", "best_mse": mse, "variance_ratio": 0.01}
        for number, mse in enumerate((0.005, 0.0051, 0.02))
    ]
    said = findings(finished(rows), {})
    assert "2 runs predict nearly the same face for everyone, about the mean face: run 0, run 1." in said
    assert any(each.startswith("run 2: this network") and "It is not the mean face" in each for each in said)
