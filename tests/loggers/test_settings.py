import json
from pathlib import Path

import pytest

from keypoints.commands import compose
from keypoints.components import UntrustedError, trusting
from keypoints.errors import ConfigError
from keypoints.loggers import settings as module
from keypoints.loggers.settings import check_package, check_recorded, how_resumed, of_run
from keypoints.runs.run_folder import RunFolder

BASE = "pytorch_lightning.loggers."


def chosen(option, *overrides):
    """Return the settings of each logger of an option, as a run records them."""
    cfg = compose("train", [f"logger={option}", "output=/runs/one", "name=nose", *overrides])
    return {name: {key: node[key] for key in node} for name, node in cfg.logger.items()}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ("default", ["csv", "tensorboard"]),
        ("tensorboard", ["csv", "tensorboard"]),
        ("csv", ["csv"]),
        ("wandb", ["csv", "wandb"]),
        ("mlflow", ["csv", "mlflow"]),
        ("many", ["csv", "tensorboard", "wandb", "mlflow"]),
    ],
)
def test_every_option_writes_the_table_and_sends_nothing_by_default(option, names):
    loggers = chosen(option)
    assert list(loggers) == names
    for name, settings in loggers.items():
        check_recorded(settings, f"logger.{name}")


@pytest.mark.parametrize(("option", "extra"), [("wandb", "wandb"), ("mlflow", "mlflow")])
def test_a_missing_package_is_one_line_with_the_command(monkeypatch, option, extra):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=rf"^logger\.x: .*pip install keypoints\[{extra}\].*logger=default$"
    ):
        check_package(chosen(option)[option], "logger.x")
    check_package(chosen("default")["tensorboard"], "logger.x")


@pytest.mark.parametrize(
    ("settings", "package"),
    [
        ({"_target_": f"{BASE}WandbLogger", "mode": "online"}, "wandb"),
        ({"_target_": f"{BASE}WandbLogger"}, "wandb"),
        ({"_target_": f"{BASE}wandb.WandbLogger", "mode": "online", "offline": True}, "wandb"),
        ({"_target_": f"{BASE}WandbLogger", "mode": "offline", "settings": {"mode": "online"}}, "wandb"),
        ({"_target_": f"{BASE}MLFlowLogger", "tracking_uri": "http://127.0.0.1:1"}, "mlflow"),
        ({"_target_": f"{BASE}CometLogger"}, "pytorch_lightning"),
        ({"_target_": "lightning.pytorch.loggers.CometLogger"}, "pytorch_lightning"),
    ],
)
def test_a_recorded_logger_that_may_send_needs_trust(settings, package):
    with pytest.raises(UntrustedError, match=f"logger.x: may send .*trust={package}$"):
        check_recorded(settings, "logger.x")
    with trusting(package):
        check_recorded(settings, "logger.x")


def test_a_run_is_named_by_its_folder_and_keeps_its_identifier():
    run = RunFolder(Path("/runs/a b%/one"))
    loggers = chosen("many")
    assert of_run(loggers["wandb"], run, None) == {"name": "one"}
    assert of_run({**loggers["wandb"], "name": "mine"}, run, "abc") == {"id": "abc"}
    store = {**loggers["mlflow"], "save_dir": "/runs/a b%/one/mlruns"}
    assert of_run(store, run, "r1") == {
        "run_name": "one",
        "run_id": "r1",
        "tracking_uri": "file:///runs/a%20b%25/one/mlruns",
    }
    assert of_run({**loggers["mlflow"], "tracking_uri": "http://x", "run_name": "y"}, run, None) == {}
    assert of_run(loggers["tensorboard"], run, "abc") == {"baseline": True}


def test_only_the_first_run_of_a_sweep_logs_the_baseline(tmp_path):
    run, board = RunFolder(tmp_path), chosen("default")["tensorboard"]
    for job, is_first in ((0, True), (1, False)):
        run.status_file.write_text(json.dumps({"status": "running", "job": job}))
        assert of_run(board, run, None) == {"baseline": is_first}
    assert of_run({**board, "baseline": True}, run, None) == {}


def test_the_users_variables_choose_the_server(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    loggers = chosen("many")
    assert loggers["wandb"]["mode"] == "online"
    assert loggers["mlflow"]["tracking_uri"] == "http://127.0.0.1:5000"


def test_a_resumed_run_says_which_logger_begins_another_run():
    loggers = chosen("many")
    assert how_resumed(loggers["tensorboard"], None) is None
    assert how_resumed(loggers["mlflow"], "r1") is None
    assert "begins another one" in how_resumed(loggers["mlflow"], None)
    assert "same identifier abc" in how_resumed(loggers["wandb"], "abc")
    assert how_resumed({**loggers["wandb"], "mode": "online"}, "abc") is None
    assert "begins another one" in how_resumed({"_target_": "mine.Logger"}, None)
