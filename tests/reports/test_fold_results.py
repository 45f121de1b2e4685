"""Mean and spread of a sweep's settings over the folds of a cross-validation."""

import math

import pandas as pd
import pytest

from keypoints.reports.fold_results import (
    against_baseline,
    as_table,
    fold_findings,
    over_folds,
    ranked,
    shown_rows,
)


def rows(values, **columns):
    """Return the table of a sweep from MSEs by setting and fold; ``None`` is a failed run."""
    return pd.DataFrame(
        [
            {
                "run": f"fold-{fold}--{setting}",
                "status": "failed" if mse is None else "finished",
                "best_mse": mse,
                "constant_mse": 0.01,
                **columns,
            }
            for setting, found in values.items()
            for fold, mse in enumerate(found)
        ]
    )


TABLE = rows({"lr-0.1": [0.004, 0.006, 0.005], "lr-0.01": [0.001, None, 0.003]})


def test_each_setting_has_mean_and_deviation_over_finished_folds():
    table = as_table(over_folds(TABLE)).set_index("setting")
    assert table.loc["lr-0.1", ["folds", "folds_asked"]].tolist() == [3, 3]
    assert table.loc["lr-0.1", "best_mse_mean"] == pytest.approx(0.005)
    assert table.loc["lr-0.1", "best_mse_std"] == pytest.approx(0.001)  # n - 1, not n
    assert table.loc["lr-0.01", ["folds", "folds_asked"]].tolist() == [2, 3]
    assert table.loc["lr-0.01", "best_mse_std"] == pytest.approx(math.sqrt(2) * 0.001)
    assert table["constant_mse_mean"].tolist() == pytest.approx([0.01, 0.01])


def test_runs_that_do_not_differ_in_the_fold_have_no_folds():
    assert over_folds(rows({"lr-0.1": [0.1], "lr-0.01": [0.2]})) == []
    assert over_folds(TABLE.assign(run=[f"lr-{place}" for place in range(len(TABLE))])) == []


def test_a_sweep_over_folds_alone_is_one_setting():
    table = TABLE.head(3).assign(run=["fold-0", "fold-1", "fold-2"])
    (only,) = over_folds(table)
    assert (only.setting, only.finished, sorted(only.mse)) == ("all folds", "3 of 3", [0, 1, 2])


def test_one_fold_has_no_deviation():
    (row, _) = shown_rows(over_folds(rows({"a": [0.1, None], "b": [0.1, 0.2]})))
    assert (row["folds"], row["SD"]) == ("1 of 2", "–")


def test_the_nme_is_shown_where_runs_have_one():
    assert "NME %, mean" not in shown_rows(over_folds(TABLE))[0]
    (row, _) = shown_rows(over_folds(TABLE.assign(nme=[0.05, 0.07, 0.06, 0.1, 0.1, 0.1])))
    assert (row["NME %, mean"], row["SD of NME %"]) == ("6.00", "1.00")


def test_sentences_rank_the_settings_and_count_the_folds():
    said = " ".join(fold_findings(over_folds(TABLE)))
    assert "lr-0.01 does best: mean validation MSE 0.002 over 2 folds" in said
    assert "smaller than that of lr-0.1 (0.005) in 2 of 2 folds" in said
    assert "the best setting is 5.0 times better" in said
    assert "did not finish: lr-0.01 (2 of 3)" in said


def test_settings_without_a_finished_fold_are_not_ranked():
    results = over_folds(rows({"a": [None, None], "b": [0.2, 0.1]}))
    assert [each.setting for each in ranked(results)] == ["b"]
    assert fold_findings(over_folds(rows({"a": [None, None]}))) == []


def test_a_setting_worse_than_the_baseline_is_called_so():
    assert against_baseline(0.01, 0.02) == (
        "The mean-shape baseline scores 0.01; the best setting is 2.0 times worse."
    )
