import re

import pandas as pd
import pytest

from keypoints.reports.terminal import print_bench, print_sweep


def test_the_table_has_a_row_a_run_and_the_constant_predictor(capsys):
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
    assert "constant predictor" in out
    assert "finished" in out
    assert "lr-9: too fast [1]" in err


@pytest.mark.parametrize(
    ("second", "says"),
    [(0.00500001, "constant predictor +0.005 *$"), (0.008, "0.0077 .* 0.005 +finished"), (None, "predictor")],
)
def test_the_constant_predictor_is_one_row_only_if_it_is_the_same_for_all(capsys, second, says):
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
    assert ("constant predictor" in out) == (second != 0.008)


SPREAD = {"median": 20.0, "lowest": 19.0, "highest": 21.0}
SPEED = {
    "name": "nose_tip",
    "images_per_second": dict.fromkeys(("loader", "step", "trainer"), SPREAD),
    "ratio": {"trainer_to_slower_part": {"median": 0.91, "lowest": 0.9, "highest": 0.92}},
    "one_core": {"augmented": 900.0},
    "step_ms": {"the step": 10.0, "logging": 0.01},
    "epoch_ms": {"callback ModelCheckpoint": 30.0},
    "steps_an_epoch": 9,
    "memory_mb": {"resident": 900.0},
}


def test_speed_is_told_with_its_spread_and_what_the_time_goes_to(capsys):
    print_bench(SPEED)
    out = capsys.readouterr().out
    assert "the Trainer over its slower part" in out
    assert "0.91" in out
    assert "one core prepares 900 faces a second, augmented" in out
    assert "each step, ms: the step 10\n" in out  # what hardly counts is left out
    assert "once an epoch, ms: callback ModelCheckpoint 30" in out
    assert "resident 900 MB" in out


def test_a_large_number_keeps_its_exponent_in_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    names = ("best_mse", "last_mse", "mae_px", "variance_ratio", "constant_mse")
    row = {"run": "a-run-with-a-long-name", "best_epoch": 1, "status": "finished", "note": "", "error": ""}
    print_sweep(pd.DataFrame([{**row, **dict.fromkeys(names, 4.3e18)}]))
    assert capsys.readouterr().out.count("4.3e+18") == len(names)
