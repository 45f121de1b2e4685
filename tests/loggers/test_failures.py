import errno
import logging

import pandas as pd
import pytest
import pytorch_lightning as pl

from keypoints.loggers.failures import attempt, guard
from keypoints.runs.metrics_table import MetricsTable
from tests.loggers.recorder import Failing, Plain, Recorder
from tests.working import train


def test_a_training_continues_without_a_logger_that_fails(configured, finished_run, tmp_path, caplog):
    Recorder.made.clear()
    with caplog.at_level(logging.WARNING):
        train(configured("logger=csv", f"+logger.own._target_={Failing.__module__}.Failing"))
    (recorder,) = Recorder.made
    assert len(recorder.metrics) == 2
    said = [each.getMessage() for each in caplog.records if "Failing" in each.getMessage()]
    assert said == [
        "Failing failed (ConnectionError: no answer); the training continues without it, and metrics.csv "
        "has all metrics"
    ]
    assert len(pd.read_csv(tmp_path / "run" / "metrics.csv")) == len(
        pd.read_csv(finished_run / "metrics.csv")
    )


@pytest.fixture
def trainer():
    made = pl.Trainer(logger=[MetricsTable(), Plain()], enable_checkpointing=False, accelerator="cpu")
    guard(made)
    return made


def test_a_failed_logger_is_not_called_again(trainer, monkeypatch):
    table, plain = trainer.loggers
    with attempt(trainer, plain):
        raise ConnectionError
    plain.log_metrics({"a": 1.0}, 3)
    assert plain.metrics == []
    assert trainer.loggers == [table]


def test_a_full_disk_and_a_failing_table_stop_the_training(trainer):
    table, plain = trainer.loggers
    with pytest.raises(OSError, match="full"), attempt(trainer, plain):
        raise OSError(errno.ENOSPC, "full")
    with pytest.raises(ValueError, match="wrong"), attempt(trainer, table):
        raise ValueError("wrong")
    assert trainer.loggers == [table, plain]
