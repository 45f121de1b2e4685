import pandas as pd

from keypoints.runs.metrics_table import MetricsTable


def test_rows_are_kept_and_written_with_all_columns(tmp_path):
    table = MetricsTable(tmp_path)
    table.log_metrics({"lr": 0.1}, step=0)
    table.save()
    table.log_metrics({"val/mse": 0.25, "epoch": 0}, step=9)
    table.finalize("finished")
    assert table.rows == [{"lr": 0.1, "step": 0}, {"val/mse": 0.25, "epoch": 0.0, "step": 9}]
    assert (tmp_path / "metrics.csv").read_text() == "epoch,lr,step,val/mse\n,0.1,0,\n0.0,,9,0.25\n"


def test_a_row_with_known_columns_is_appended(tmp_path):
    table = MetricsTable(tmp_path)
    for step in range(3):
        table.log_metrics({"lr": 0.1}, step=step)
        table.save()
        table.save()
        first = (tmp_path / "metrics.csv").stat().st_ino
    assert (tmp_path / "metrics.csv").stat().st_ino == first
    assert list(pd.read_csv(tmp_path / "metrics.csv")["step"]) == [0, 1, 2]


def test_a_resumed_run_replaces_an_incomplete_table_by_checkpointed_rows(tmp_path):
    (tmp_path / "metrics.csv").write_text("lr,step\n0.1,0\n0.")
    table = MetricsTable(tmp_path)
    table.restore([{"lr": 0.1, "step": 0}, {"lr": 0.2, "step": 5}])
    table.log_metrics({"lr": 0.3}, step=7)
    table.save()
    assert pd.read_csv(tmp_path / "metrics.csv").to_dict("list") == {"lr": [0.1, 0.2, 0.3], "step": [0, 5, 7]}


def test_without_a_folder_rows_are_kept_in_memory_only():
    table = MetricsTable()
    table.log_metrics({"lr": 0.1})
    table.save()
    assert (table.rows, table.save_dir) == ([{"lr": 0.1, "step": 0}], None)
