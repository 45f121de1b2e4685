import shutil

import numpy as np
import pytest

from keypoints.errors import CheckpointError, DataError
from keypoints.reports.opened_run import open_run
from keypoints.tasks.regression import RegressionTask


@pytest.fixture
def own_run(finished_run, tmp_path):
    """Copy of the finished run, which tests may change."""
    return shutil.copytree(finished_run, tmp_path / "run")


def test_a_run_has_its_metrics_faces_and_task(finished_run):
    run = open_run(finished_run)
    assert len(run.metrics) == 2
    assert run.metrics["val/mse"].idxmin() == run.best_epoch
    assert {"epoch", "step", "loss/train_step"} <= set(run.logged)
    assert run.summary.loc["validation MSE", "best"] == run.metrics["val/mse"].min()
    assert run.faces["error_px"].is_monotonic_increasing
    assert isinstance(run.task(), RegressionTask)
    assert run.config.name == run.name
    assert run.status.state == "finished"


def test_notebooks_show_the_run_and_its_figures(finished_run):
    run = open_run(finished_run)
    assert set(run.figures) >= {"curves", "faces", "filters", "batch"}
    assert run.figures["curves"]._repr_png_().startswith(b"\x89PNG")
    page = run._repr_html_()
    assert "<td>" in page
    assert "data:image/png;base64," in page
    best = np.nanmin(run.metrics["val/mse"])
    assert repr(run).startswith(
        f"Run('{finished_run}': finished, best epoch {run.best_epoch}, validation MSE "
    )
    assert f"{best:.3g}" in repr(run)


def test_a_run_without_an_epoch_can_be_opened(own_run):
    for name in ("metrics.csv", "faces.csv", "figures", "checkpoints"):
        path = own_run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    run = open_run(own_run)
    assert repr(run) == f"Run('{own_run}': finished)"
    assert run.summary.empty
    assert not run.figures
    assert "<img" not in run._repr_html_()
    with pytest.raises(DataError, match=r"metrics\.csv: is missing: the run has logged nothing yet"):
        _ = run.metrics
    with pytest.raises(DataError, match=r"faces\.csv: is missing$"):
        _ = run.faces
    with pytest.raises(CheckpointError, match=r"holds no checkpoints/best\.ckpt"):
        run.task()


def test_a_damaged_run_is_shown_in_notebooks(own_run):
    (own_run / "metrics.csv").write_bytes(b"epoch,step,\xff\n")
    run = open_run(own_run)
    assert "metrics.csv: line 1: is not UTF-8" in repr(run)
    assert "metrics.csv: line 1: is not UTF-8" in run._repr_html_()


def test_other_folders_are_refused_in_one_line(finished_sweep, tmp_path):
    with pytest.raises(DataError, match=r"is a sweep's folder, .*open one of them: "):
        open_run(finished_sweep)
    with pytest.raises(DataError, match="holds no run"):
        open_run(tmp_path)
    (tmp_path / "report.html").touch()
    with pytest.raises(DataError, match=r"report\.html: is a file; open the run's folder"):
        open_run(tmp_path / "report.html")
