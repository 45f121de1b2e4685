import math

import pandas as pd
import pytest

from keypoints.reports.fold_results import (
    as_table,
    best_of,
    deviation,
    fold_findings,
    mean,
    mean_of_all,
    over_folds,
    over_seeds,
    ranked,
    shown_rows,
)


def table(errors, **columns):
    """Return rows of a sweep's table; ``None`` is a run that failed."""
    rows = [
        {
            "run": f"fold-{fold}--{setting}" if setting else f"fold-{fold}",
            "best_mse": error,
            "constant_mse": None if error is None else 0.01 * (fold + 1),
            "status": "failed" if error is None else "finished",
            **{name: values[fold] for name, values in columns.items()},
        }
        for setting, values in errors.items()
        for fold, error in enumerate(values)
    ]
    return pd.DataFrame(rows)


TWO = {"a": (0.002, 0.004, 0.006), "b": (0.001, 0.005, 0.003)}


def test_each_setting_has_mean_and_deviation_over_its_folds():
    found = as_table(over_folds(table(TWO))).set_index("setting")
    assert list(found["best_mse_mean"]) == pytest.approx([0.004, 0.003])
    assert list(found["best_mse_std"]) == pytest.approx([0.002, 0.002])  # with n - 1 as divisor
    assert list(found["constant_mse_mean"]) == pytest.approx([0.02, 0.02])
    assert list(found["folds"]) == list(found["folds_asked"]) == [3, 3]
    assert "nme_mean" not in found


def test_the_nme_is_averaged_too():
    results = over_folds(table({"": (0.001, 0.003)}, nme=(0.05, 0.07)))
    assert as_table(results)["nme_mean"][0] == pytest.approx(0.06)
    (row,) = shown_rows(results)
    assert row == {
        "setting": "all folds",
        "folds": "2 of 2",
        "best MSE": "0.002 ± 0.0014",
        "NME %": "6.00 ± 1.41",
        "baseline": "0.015",
    }


def test_folds_without_a_result_are_counted():
    rows = table({"a": (0.002, None, 0.004), "b": (None, None, None)})
    late = {"run": "fold-3--a", "best_mse": 0.9, "constant_mse": 0.1, "status": "interrupted"}
    absent = {"run": "fold-4--a", "status": "not begun"}
    results = over_folds(pd.concat([rows, pd.DataFrame([late, absent])]))
    assert [each.finished for each in results] == ["2 of 5", "0 of 3"]
    assert results[0].mse == {0: 0.002, 2: 0.004}
    assert [row["best MSE"] for row in shown_rows(results)] == ["0.003 ± 0.0014", "–"]
    assert [each.setting for each in ranked(results)] == ["a"]
    assert fold_findings(results)[-1].endswith("Folds that did not finish: a (2 of 5), b (0 of 3).")


def test_runs_of_one_fold_or_none_are_no_cross_validation():
    assert over_folds(pd.DataFrame([{"run": "lr-0.1", "status": "finished", "best_mse": 1.0}])) == []
    assert over_folds(table({"a": (0.1,), "b": (0.1,)})) == []


def test_seeds_are_separate_settings():
    rows = table({"lr-1--seed-0": (0.1, 0.2), "lr-1--seed-1": (0.3, 0.4)})
    results = over_folds(rows)
    assert [each.setting for each in results] == ["lr-1--seed-0", "lr-1--seed-1"]
    assert best_of(results) is None


def test_findings_are_of_the_mean_over_seeds():
    rows = table({"a--seed-0": (0.1, 0.2), "a--seed-1": (0.3, None), "b--seed-0": (0.3, 0.3)})
    (first, second) = over_seeds(over_folds(rows))
    assert (first.setting, second.setting) == ("a", "b")
    assert first.mse == pytest.approx({0: 0.2, 1: 0.2})
    said = " ".join(fold_findings(over_folds(rows)))
    assert "a does best: mean validation MSE 0.2 over 2 folds (in each the mean over seeds)" in said
    assert "in 2 of 2 folds" in said
    assert "did not finish: a--seed-1 (1 of 2)" in said


def test_the_best_setting_has_the_smallest_mean():
    assert best_of(over_folds(table(TWO))) == 1
    assert best_of(over_folds(table({"": (0.1, 0.2)}))) is None


def test_means_of_no_fold_are_nan():
    assert math.isnan(mean({}))
    assert math.isnan(deviation({0: 0.1}))
    assert mean_of_all([{0: 1.0, 1: 3.0}, {0: 1.0}]) == 2.0


def test_findings_compare_settings_fold_by_fold():
    said = " ".join(fold_findings(over_folds(table(TWO))))
    assert "b does best: mean validation MSE 0.003 over 3 folds, standard deviation 0.002." in said
    assert "smaller than that of a (0.004) in 2 of 3 folds" in said
    assert "by the mean over folds: b 0.003, a 0.004" in said
    assert "baseline scores 0.02 on average over its folds; the best setting is 6.7 times better" in said
    assert "did not finish" not in said


def test_findings_of_one_setting_or_of_other_folds():
    (first, *_) = fold_findings(over_folds(table({"": (0.001, 0.003)})))
    assert first == "all folds: mean validation MSE 0.002 over 2 folds, standard deviation 0.0014."
    apart = fold_findings(over_folds(table({"a": (0.1, None), "b": (None, 0.2)})))
    assert "b, the second, has finished other folds." in apart[0]
    assert fold_findings(over_folds(table({"a": (None, None)}))) == []
