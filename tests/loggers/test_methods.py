import logging
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from keypoints.loggers.methods import (
    add_charts,
    add_final_metrics,
    add_hyper_parameters,
    add_picture,
    picture_method,
    text_method,
)
from keypoints.loggers.result import Result
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from tests.loggers.recorder import Plain, Recorder
from tests.working import train

PICTURE = np.full((4, 5, 3), 7, np.uint8)


class Client:
    """Recorder with the methods of MLflow's client."""

    def __init__(self):
        self.calls = []

    def log_image(self, run_id, image, key=None, step=None):
        self.calls.append((run_id, image.shape, key, step))

    def log_text(self, run_id, text, artifact_file):
        self.calls.append((run_id, text, artifact_file))

    def get_run(self, run_id):
        return SimpleNamespace(data=SimpleNamespace(params={"seed": "0"}))


class Tracked(Plain):
    """Logger with the attributes of MLflow's logger."""

    run_id = "r1"

    def __init__(self):
        super().__init__()
        self._client = Client()

    @property
    def experiment(self):
        return self._client


def trainer_with(*loggers):
    return SimpleNamespace(loggers=list(loggers), is_global_zero=True, global_step=9)


def test_a_run_gives_its_own_logger_everything(configured, tmp_path):
    Recorder.made.clear()
    metrics = train(configured("logger=csv", f"+logger.own._target_={Recorder.__module__}.Recorder"))
    (recorder,) = Recorder.made
    assert [(step, key) for step, key, _ in recorder.pictures] == [
        (0, "first-layer filters"),
        (0, "first-layer feature maps"),
        (0, "training batch"),
        (12, "validation faces"),
        (12, "first-layer filters"),
        (12, "first-layer feature maps"),
    ]
    assert all(picture.dtype == np.uint8 and picture.shape[2] == 3 for *_, picture in recorder.pictures)
    texts = {name: text for name, _, [[text]] in recorder.texts}
    assert list(texts) == ["architecture", "command", "configuration"]
    assert "Conv2d" in texts["architecture"]
    assert "max_epochs: 2" in texts["configuration"]
    (values,) = recorder.values
    assert values["trainer.max_epochs"] == 2
    final = ("mse", "mae_px", "variance_ratio")
    names = [f"{when}/{name}" for when in ("best", "last") for name in final]
    assert recorder.metrics[-1] == (12, {name: metrics[name] for name in names})
    assert recorder.ended == ["success"]


def test_a_recording_logger_changes_no_metric_and_no_table(configured, finished_run, tmp_path):
    train(configured("logger=csv", f"+logger.own._target_={Recorder.__module__}.Recorder"))
    run, other = RunFolder(tmp_path / "run"), RunFolder(finished_run)
    assert read_status(run).metrics == read_status(other).metrics
    pd.testing.assert_frame_equal(pd.read_csv(run.metrics), pd.read_csv(other.metrics))


def test_a_table_is_written_beside_a_logger_that_is_alone(configured, tmp_path):
    train(configured("logger=null", f"+logger.own._target_={Recorder.__module__}.Recorder"))
    assert "val/mse" in pd.read_csv(tmp_path / "run" / "metrics.csv")


def test_tensorboard_takes_pictures_and_texts_by_its_writer(tmp_path, monkeypatch):
    board, calls = TensorBoardLogger(tmp_path), []
    monkeypatch.setattr(board.experiment, "add_image", lambda *given, **named: calls.append((given, named)))
    monkeypatch.setattr(board.experiment, "add_text", lambda *given: calls.append(given))
    picture_method(board)("face", PICTURE, 3)
    text_method(board)("layers", "a\nb")
    assert calls == [(("face", PICTURE, 3), {"dataformats": "HWC"}), ("layers", "    a\n    b")]


def test_mlflow_takes_pictures_and_texts_by_its_client():
    logger = Tracked()
    picture_method(logger)("face", PICTURE, 3)
    text_method(logger)("layers", "a\nb")
    assert logger.experiment.calls == [("r1", (4, 5, 3), "face", 3), ("r1", "a\nb", "layers.txt")]


def test_hyper_parameters_that_mlflow_has_are_left_out():
    logger = Tracked()
    add_hyper_parameters(trainer_with(logger), {"seed": 0, "trainer.max_epochs": 3})
    assert logger.values == [{"trainer.max_epochs": 3}]


def test_a_logger_without_pictures_is_named_once(caplog):
    trainer = trainer_with(Plain())
    with caplog.at_level(logging.INFO):
        add_picture(trainer, "face", PICTURE, 0)
        add_picture(trainer, "face", PICTURE, 1)
    assert [each.getMessage() for each in caplog.records] == [
        "Plain has no method for pictures, so it gets none"
    ]


def test_other_processes_than_the_first_log_nothing():
    recorder = Recorder()
    trainer = SimpleNamespace(loggers=[recorder], is_global_zero=False, global_step=9)
    add_picture(trainer, "face", PICTURE, 0)
    add_hyper_parameters(trainer, {"seed": 0})
    add_final_metrics(trainer, Result({"seed": 0}, {"last/mse": 1.0}))
    assert (recorder.pictures, recorder.values, recorder.metrics) == ([], [], [])


def test_hyper_parameters_go_with_the_metrics_where_both_are_taken():
    class Joint(Plain):
        def log_hyperparams(self, params, metrics=None):
            self.values.append((params, metrics))

    class Whole(Plain):
        def log_result(self, result):
            self.values.append(result)

    joint, plain, complete = Joint(), Plain(), Whole()
    trainer = trainer_with(joint, plain, complete)
    result = Result({"seed": 0}, {"last/mse": 1.0})
    add_hyper_parameters(trainer, {"seed": 0})
    add_final_metrics(trainer, result)
    add_charts(trainer, {})
    assert (joint.values, joint.metrics) == ([({"seed": 0}, {"last/mse": 1.0})], [])
    assert (plain.values, plain.metrics) == ([{"seed": 0}], [(9, {"last/mse": 1.0})])
    assert (complete.values, complete.metrics) == ([result], [])


@pytest.mark.parametrize("find", [picture_method, text_method])
def test_a_logger_may_lack_methods_for_pictures_and_texts(find):
    assert find(Plain()) is None


def test_lightnings_trainer_has_the_attributes_that_are_used():
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    assert (trainer.loggers, trainer.is_global_zero, trainer.global_step) == ([], True, 0)
