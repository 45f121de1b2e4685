import pandas as pd

from keypoints.reports.terminal import print_sweep


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
