import re

import pandas as pd
import pytest

from keypoints.reports.terminal import print_sweep


def test_the_table_has_one_row_per_run_and_the_baseline(capsys):
    row = {
        "best_epoch": 3,
        "last_mse": 0.002,
        "mae_px": 9.0,
        "variance_ratio": 0.8,
        "constant_mse": 0.005,
        "seconds": 20.0,
    }
    failed = dict.fromkeys(row)
    print_sweep(
        pd.DataFrame(
            [
                {
                    "run": "lr-0.01",
                    "best_mse": 0.00123456,
                    "status": "finished",
                    "note": "",
                    "error": "",
                    **row,
                },
                {
                    "run": "lr-9",
                    "best_mse": None,
                    "status": "failed",
                    "note": "",
                    "error": "too fast [1]",
                    **failed,
                },
            ]
        )
    )
    out, err = capsys.readouterr()
    assert "lr-0.01" in out
    assert "0.00123" in out
    assert "mean-shape baseline" in out
    assert "finished" in out
    assert "lr-9: too fast [1]" in err


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (0.00500001, "mean-shape baseline +0.005 *$"),
        (0.008, "0.0077 .* 0.005 +finished"),
        (None, "baseline"),
    ],
)
def test_the_baseline_is_one_row_only_if_all_runs_share_it(capsys, second, says):
    row = {"best_epoch": 1, "last_mse": 0.0077, "mae_px": 1.0, "variance_ratio": 0.8}
    both = {**row, "best_mse": 0.001, "status": "finished", "note": "", "error": ""}
    print_sweep(
        pd.DataFrame(
            [{"run": name, "constant_mse": mse, **both} for name, mse in (("a", 0.005), ("b", second))]
        )
    )
    out = capsys.readouterr().out
    assert re.search(says, out, re.MULTILINE)
    assert ("0.008" in out) == (second == 0.008)
    assert ("mean-shape baseline" in out) == (second != 0.008)


def test_a_large_number_keeps_its_exponent_in_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    names = ("best_mse", "last_mse", "mae_px", "variance_ratio", "constant_mse")
    row = {"run": "a-run-with-a-long-name", "best_epoch": 1, "status": "finished", "note": "", "error": ""}
    print_sweep(pd.DataFrame([{**row, **dict.fromkeys(names, 4.3e18)}]))
    out = capsys.readouterr().out
    assert out.count("4.3e+18") == len(names) - 2
    assert "left out in this width: MAE px, last MSE" in out
    assert "…" not in out


def test_a_cross_validation_ends_with_its_means(capsys):
    row = {"best_epoch": 1, "last_mse": 0.0077, "mae_px": 1.0, "variance_ratio": 0.8, "constant_mse": 0.005}
    rest = {"status": "finished", "note": "", "error": ""}
    print_sweep(
        pd.DataFrame(
            [
                {"run": f"fold-{fold}", "best_mse": mse, **row, **rest}
                for fold, mse in enumerate((0.001, 0.003))
            ]
        )
    )
    out = capsys.readouterr().out
    assert "mean ± standard deviation over folds" in out
    assert re.search(r"all folds +2 of 2 +0\.002 ± 0\.0014 +0\.005", out)
