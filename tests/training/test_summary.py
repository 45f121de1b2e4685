import math
import re
import warnings

from keypoints.runs.history import read_history
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from tests.working import train


def test_the_result_equals_the_logged_metrics(configured, tmp_path):
    metrics = train(configured())
    history = read_history(RunFolder(tmp_path / "run"))
    assert metrics["best/mse"] == history["val/mse"].min()
    assert metrics["best/epoch"] == history["val/mse"].idxmin()
    assert metrics["last/mse"] == history["val/mse"].iloc[-1]
    assert metrics["constant/mse"] == history["val/mse_constant"].iloc[0]


def test_one_validation_face_gives_a_report_without_variance_ratio(configured, own_imm, tmp_path, caplog):
    for photo in own_imm.glob("33-[2-6]m.*"):
        photo.unlink()
    with caplog.at_level("INFO", "keypoints"), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        metrics = train(configured(f"data.root={own_imm}"))
    run = RunFolder(tmp_path / "run")
    assert math.isnan(metrics["best/variance_ratio"])
    assert read_status(run).metrics["best/variance_ratio"] is None
    assert "variance ratio –" in caplog.text
    assert "same face for everyone" not in caplog.text + run.report.read_text()
    assert "<td>–</td>" in run.report.read_text()
    assert not re.search(r"\bnan\b", caplog.text + re.sub('base64,[^"]+', "", run.report.read_text()))


def test_a_training_that_stops_early_says_so(configured, caplog):
    with caplog.at_level("INFO", "keypoints"):
        early = configured(
            "callbacks=early_stopping",
            "callbacks.early_stopping.patience=1",
            "callbacks.early_stopping.min_delta=9",
            "trainer.max_epochs=9",
        )
        metrics = train(early)
    assert metrics["last/epoch"] == 1
    assert "stopped early, after epoch 1: val/mse did not improve in 1 validation" in caplog.text


def test_a_training_that_reaches_a_threshold_says_so(configured, caplog):
    with caplog.at_level("INFO", "keypoints"):
        train(configured("callbacks=early_stopping", "+callbacks.early_stopping.stopping_threshold=9"))
    assert "stopped early, after epoch 0: Stopping threshold reached: val/mse =" in caplog.text
    assert "did not improve" not in caplog.text


def test_a_training_that_a_time_limit_ends_says_so(configured, caplog):
    with caplog.at_level("INFO", "keypoints"):
        train(configured("trainer.max_time=00:00:00:01", "trainer.max_epochs=-1"))
    assert "stopped after trainer.max_time" in caplog.text
