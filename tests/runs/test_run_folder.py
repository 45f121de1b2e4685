import errno
import json
import math
import os
import signal
import socket

import psutil
import pytest

from keypoints.errors import CheckpointError, ConfigError, DataError
from keypoints.files import write_whole
from keypoints.landmarks import IMM58
from keypoints.runs.run_folder import RunFolder, find_checkpoint, predicts_the_mean
from keypoints.stopping import Stopped


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def test_a_run_is_running_until_it_has_finished(run):
    with run.recorded() as metrics:
        assert run.status()["status"] == "running"
        metrics["best/mse"] = 0.5
    status = run.status()
    assert status["status"] == "finished"
    assert status["metrics"] == {"best/mse": 0.5}
    assert status["seconds"] >= 0


def test_the_landmarks_are_read_or_it_is_said_that_they_cannot_be(run):
    run.path.mkdir()
    assert run.scheme() is None
    write_whole(run.landmarks, json.dumps(IMM58.to_dict()))
    assert run.scheme() == IMM58
    for damage in ("{", "[1]", '{"name": "x"}'):
        write_whole(run.landmarks, damage)
        with pytest.raises(DataError, match=r"landmarks\.json: cannot be read"):
            run.scheme()


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (DataError("face.jpg:\n truncated"), "failed", "face.jpg: truncated"),
        (ZeroDivisionError("by nought"), "failed", "ZeroDivisionError: by nought"),
        (KeyboardInterrupt(), "interrupted", "stopped by Ctrl-C"),
        (Stopped(signal.SIGTERM), "interrupted", "stopped by SIGTERM"),
        (SystemExit(1), "interrupted", "SystemExit: 1"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_run_that_did_not_finish_says_why_and_lets_the_error_through(run, error, status, says):
    with pytest.raises(type(error)), run.recorded():
        raise error
    assert (run.status()["status"], run.status()["error"]) == (status, says)


def test_a_folder_with_a_run_is_not_overwritten(run):
    with run.recorded():
        pass
    before = run.status_file.read_text()
    with pytest.raises(ConfigError, match="holds a run already"), run.recorded():
        pytest.fail("the block ran")
    assert run.status_file.read_text() == before


def failed(run, config="logger: {csv: {}}\n"):
    """A run that failed before its training began, beside a file of the user's."""
    with pytest.raises(DataError), run.recorded(config=config):
        raise DataError("no faces")
    run.checkpoints.mkdir()
    events, mine = (run.path / "tensorboard" / name for name in ("events.out.tfevents.1", "mine.txt"))
    for path in (run.landmarks, run.figure("batch"), run.metrics, events, mine, run.path / "mine.txt"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("step\n")


def test_a_run_that_never_trained_makes_room_for_the_next(run):
    failed(run)
    (run.path / "train.log").write_text("no faces\n")
    with run.recorded(config="seed: 1\n"):
        left = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
        assert left == {"config.yaml", "mine.txt", "status.json", "tensorboard/mine.txt", "train.log"}
        assert not run.checkpoints.exists()
    assert run.status()["status"] == "finished"
    assert run.config.read_text() == "seed: 1\n"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("checkpoints/best.ckpt", ""),
        ("checkpoints/last.ckpt", ""),
        ("mine/epoch=3.ckpt", ""),
        ("metrics.csv", "step\n0\n"),
        ("lightning/version_0/metrics.csv", "step\n0\n"),
        ("status.json", '{"status": "interrupted"}'),
        ("status.json", "{"),
        ("config.yaml", "[1, 2"),
        ("config.yaml", "logger: {tensorboard: {}}"),
        ("../sweep.yaml", ""),
    ],
)
def test_a_run_that_may_have_trained_is_not_overwritten(run, path, text):
    failed(run)
    (run.path / path).parent.mkdir(parents=True, exist_ok=True)
    (run.path / path).write_text(text)
    before = {each: each.read_bytes() for each in run.path.rglob("*") if each.is_file()}
    with pytest.raises(ConfigError, match="holds a run already"), run.recorded(config="seed: 1\n"):
        pytest.fail("the block ran")
    assert before == {each: each.read_bytes() for each in run.path.rglob("*") if each.is_file()}


def test_a_folder_without_a_run_and_a_damaged_status_are_named(run):
    with pytest.raises(DataError, match="holds no run"):
        run.status()
    run.path.mkdir()
    for damaged in ("{", "[]"):
        run.status_file.write_text(damaged)
        with pytest.raises(DataError, match=r"status\.json"):
            run.status()


def test_the_history_has_a_row_an_epoch(run):
    run.path.mkdir()
    run.metrics.write_text("epoch,loss/train,val/mse,step\n,,,0\n0,,0.5,9\n0,0.7,,9\n1,,0.25,19\n1,0.3,,19\n")
    history = run.history()
    assert list(history.index) == [0, 1]
    assert list(history["val/mse"]) == [0.5, 0.25]
    assert list(history["loss/train"]) == [0.7, 0.3]


@pytest.mark.parametrize("contents", [None, "", "step\n1\n"])
def test_a_run_without_history_says_so(run, contents):
    run.path.mkdir()
    if contents is not None:
        run.metrics.write_text(contents)
    with pytest.raises(DataError, match=r"metrics\.csv"):
        run.history()


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "status.json"
    write_whole(path, json.dumps({"a": 1}))
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\udc80")
    assert path.read_text() == '{"a": 1}'
    assert list(tmp_path.iterdir()) == [path]


def left_running(run, **status):
    run.checkpoints.mkdir(parents=True)
    run.last_checkpoint.touch()
    here = {"status": "running", "host": socket.gethostname(), "process": os.getpid()}
    run.status_file.write_text(json.dumps({**here, **status}))
    return run


def test_a_run_lives_as_long_as_the_process_that_began_it(run):
    began = psutil.Process().create_time()
    left_running(run, process_began=began)
    assert run.alive()
    with pytest.raises(
        ConfigError, match=rf"running at this moment \(process {os.getpid()} on .*write interrupted"
    ):
        run.resumable()


@pytest.mark.parametrize(
    "status",
    [{"process": 0x3FFFFFF0}, {"process": None}, {"process_began": 12345.0}],
    ids=["gone", "none", "reused"],
)
def test_a_number_that_is_no_process_or_another_by_now_is_no_life(run, status):
    assert not left_running(run, **status).alive()
    assert run.resumable()


def test_a_process_that_has_ended_and_was_not_waited_for_is_no_life(run):
    process = os.fork()
    if process == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)  # it is a zombie from here on
        assert psutil.Process(process).status() == psutil.STATUS_ZOMBIE
        assert not left_running(run, process=process).alive()
    finally:
        os.waitpid(process, 0)


def test_a_status_is_true_on_a_disk_that_is_full(run, monkeypatch):
    def full(*_):
        monkeypatch.setattr("keypoints.runs.run_folder.write_whole", full)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"), run.recorded():
        full()
    status = run.status()
    assert (status["status"], "No space left" in status["error"]) == ("failed", True)


def test_of_a_run_on_another_host_nothing_is_known(run):
    assert left_running(run, host="elsewhere", process=0x3FFFFFF0).alive()


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_what_did_not_finish_can_be_resumed_from_a_checkpoint(run, status):
    assert left_running(run, status=status).resumable()
    run.last_checkpoint.unlink()
    assert not run.resumable()


def test_a_damaged_configuration_is_named(run):
    run.path.mkdir()
    for damage in ("[1, 2", "- 1"):
        run.config.write_text(damage)
        with pytest.raises(DataError, match=r"config\.yaml"):
            run.setting("name")


def test_a_missing_checkpoint_says_which_there_are(run, tmp_path):
    run.path.mkdir()
    with pytest.raises(CheckpointError, match="is it a run's folder"):
        find_checkpoint(str(run.path), "best")
    with run.recorded(config=f"callbacks: {{mine: {{dirpath: {tmp_path / 'models'}}}, none: null}}"):
        pass
    with pytest.raises(CheckpointError, match="was told to keep none"):
        find_checkpoint(str(run.path), "best")
    run.checkpoints.mkdir()
    run.last_checkpoint.touch()
    with pytest.raises(CheckpointError, match=rf"its last epoch alone: name {run.last_checkpoint}"):
        find_checkpoint(str(run.path), "best")
    (tmp_path / "models").mkdir()
    others = [run.checkpoints / "mine.ckpt", tmp_path / "models" / "best.ckpt"]
    for other in others:
        other.touch()
    assert run.other_checkpoints() == sorted(others)
    with pytest.raises(CheckpointError, match=rf"that it wrote: .*{others[0]}"):
        find_checkpoint(str(run.path), "best")


@pytest.mark.parametrize("ratio", [None, math.nan, 0.5, math.inf])
def test_only_a_small_ratio_is_a_collapse(ratio):
    assert predicts_the_mean(ratio) is None
    assert "vary 5.0 %" in predicts_the_mean(0.05)
