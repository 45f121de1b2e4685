"""Runs logged by the real wandb, offline, and the real mlflow, in a folder: `make test-extras`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from keypoints.cli import main
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from tests.conftest import ROOT, SMALL
from tests.working import interrupted_at, resume, train

PICTURES = {"first-layer filters", "first-layer feature maps", "training batch", "validation faces"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")


@pytest.fixture
def wandb():
    return pytest.importorskip("wandb", reason="wandb is not installed (extra wandb)")


@pytest.fixture
def mlflow():
    return pytest.importorskip("mlflow", reason="mlflow is not installed (extra mlflow)")


@pytest.fixture
def ended(wandb, monkeypatch):
    """Summary, configuration and name of each run of Weights & Biases that ended."""
    runs, finish = [], wandb.Run.finish

    def record(run, *args, **kwargs):
        runs.append((dict(run.summary), dict(run.config), run.name, run.project))
        finish(run, *args, **kwargs)

    monkeypatch.setattr(wandb.Run, "finish", record)
    return runs


def identifiers(folder):
    return json.loads(RunFolder(folder).logger_ids.read_text())


def store(mlflow, folder):
    """Return MLflow's client for the store of a run, and the run."""
    client = mlflow.MlflowClient((folder / "mlruns").resolve().as_uri())
    return client, client.get_run(identifiers(folder)["mlflow"])


def check_wandb(ended, folder, metrics):
    ((summary, config, name, project),) = ended
    assert {key: summary[key] for key in ("best/mse", "last/mse")} == {
        key: metrics[key] for key in ("best/mse", "last/mse")
    }
    assert config["trainer.max_epochs"] == 2
    assert (name, project) == (folder.name, "nose_tip")
    (media,) = folder.glob(f"wandb/offline-run-*-{identifiers(folder)['wandb']}/files/media")
    pictures = list(media.glob("images/*.png"))
    assert {path.name.partition("_")[0] for path in pictures} == PICTURES
    assert all(Image.open(path).size[0] > 50 for path in pictures)
    assert len(list(media.glob("table/architecture*"))) == 1


def check_mlflow(mlflow, folder, metrics):
    client, found = store(mlflow, folder)
    assert found.info.status == "FINISHED"
    assert {key: found.data.metrics[key] for key in ("best/mse", "last/mse")} == {
        key: metrics[key] for key in ("best/mse", "last/mse")
    }
    assert found.data.params["trainer.max_epochs"] == "2"
    assert found.data.tags["mlflow.runName"] == folder.name
    images = [each.path for each in client.list_artifacts(found.info.run_id, "images")]
    assert {Path(path).name.split("+")[0] for path in images} == PICTURES
    assert "architecture.txt" in [each.path for each in client.list_artifacts(found.info.run_id)]


def test_wandb_offline_stores_a_complete_run(configured, ended, tmp_path):
    metrics = train(configured("logger=wandb"))
    check_wandb(ended, tmp_path / "run", metrics)


def test_mlflow_stores_a_complete_run_in_the_runs_folder(configured, mlflow, tmp_path):
    metrics = train(configured("logger=mlflow", output="a b#%é"))
    check_mlflow(mlflow, tmp_path / "a b#%é", metrics)


def test_a_resumed_run_continues_both(configured, ended, mlflow, tmp_path):
    folder = tmp_path / "run"
    cfg = configured("logger=many", "callbacks.last_checkpoint.seconds=0", "trainer.max_epochs=4")
    with interrupted_at(14):
        train(cfg)
    before = identifiers(folder)
    assert store(mlflow, folder)[1].info.status == "FAILED"
    metrics = resume(folder)
    assert identifiers(folder) == before
    client, found = store(mlflow, folder)
    assert found.info.status == "FINISHED"
    assert found.data.metrics["last/mse"] == metrics["last/mse"]
    history = client.get_metric_history(found.info.run_id, "val/mse")
    assert [each.step for each in history] == [5, 11, 17, 23]
    assert len(ended) == 2


def test_each_run_of_a_sweep_is_logged_apart(made_up_imm, ended, mlflow, tmp_path):
    given = [f"data.root={made_up_imm}", f"output={tmp_path}", "logger=many"]
    main(["train", "-m", *SMALL, *given, "seed=0,1"])
    assert [name for _, _, name, _ in ended] == ["seed-0", "seed-1"]
    for name in ("seed-0", "seed-1"):
        assert store(mlflow, tmp_path / name)[1].data.params["seed"] == name[-1]


def test_only_the_first_of_two_processes_logs(made_up_imm, wandb, mlflow, tmp_path):
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "logger=many"]
    arguments = [*SMALL, *two, f"data.root={made_up_imm}", f"output={tmp_path / 'run'}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "keypoints", "train", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=270, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "run").glob("wandb/offline-run-*"))) == 1
    client, found = store(mlflow, tmp_path / "run")
    assert len(client.search_runs([found.info.experiment_id])) == 1


def test_wandb_without_a_key_is_one_line(configured, wandb, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    from keypoints.errors import ConfigError

    with pytest.raises(ConfigError, match=r"^logger\.wandb: .*~logger\.wandb$"):
        train(configured("logger=wandb"))
    assert read_status(RunFolder(tmp_path / "run")).state == "failed"


def test_an_unreachable_mlflow_server_is_one_line(configured, mlflow, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    from keypoints.errors import ConfigError

    with pytest.raises(ConfigError, match=r"^logger\.mlflow: .*~logger\.mlflow$"):
        train(configured("logger=mlflow"))
