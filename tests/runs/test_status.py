import errno
import json
import os
import signal
import socket

import psutil
import pytest

from keypoints.errors import ConfigError, DataError
from keypoints.library_versions import library_versions
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import command_of, is_alive, is_resumable, read_status, record
from keypoints.stopping import Stopped


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def test_a_run_is_running_until_it_has_finished(run):
    with record(run) as attempt:
        assert read_status(run).state == "running"
        attempt.metrics["best/mse"] = 0.5
    assert run.status_file.read_text(encoding="utf-8").endswith("}\n")  # without the reserve for a full disk
    status = read_status(run)
    assert status.state == "finished"
    assert status.metrics == {"best/mse": 0.5}
    assert status.seconds >= 0


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
def test_an_unfinished_run_records_its_error_and_raises_it(run, error, status, says):
    with pytest.raises(type(error)), record(run):
        raise error
    assert (read_status(run).state, read_status(run).error) == (status, says)


def test_a_folder_with_a_run_is_not_overwritten(run):
    with record(run):
        pass
    before = run.status_file.read_text()
    with pytest.raises(ConfigError, match="holds a run already"), record(run):
        pytest.fail("the block ran")
    assert run.status_file.read_text() == before


def failed(run, config="logger: {csv: {}}\n"):
    """Make a run that failed before its training, with files of the user beside it."""
    with pytest.raises(DataError), record(run, config=config):
        raise DataError("no faces")
    run.checkpoints.mkdir()
    events, mine = (run.path / "tensorboard" / name for name in ("events.out.tfevents.1", "mine.txt"))
    for path in (
        run.landmarks,
        run.network,
        run.figure("batch"),
        run.metrics,
        events,
        run.path / "events.out.tfevents.2",
        run.path / "validation" / "events.out.tfevents.3",
        run.path / "baseline" / "events.out.tfevents.4",
        mine,
        run.path / "mine.txt",
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text("step\n")


def test_a_run_that_never_trained_is_replaced(run):
    failed(run)
    (run.path / "train.log").write_text("no faces\n")
    with record(run, config="seed: 1\n"):
        left = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
        assert left == {"config.yaml", "mine.txt", "status.json", "tensorboard/mine.txt", "train.log"}
        assert not any((run.path / name).exists() for name in ("checkpoints", "validation", "baseline"))
    assert read_status(run).state == "finished"
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
    with pytest.raises(ConfigError, match="holds a run already"), record(run, config="seed: 1\n"):
        pytest.fail("the block ran")
    assert before == {each: each.read_bytes() for each in run.path.rglob("*") if each.is_file()}


def test_a_missing_run_and_a_damaged_status_are_refused(run):
    with pytest.raises(DataError, match="holds no run"):
        read_status(run)
    run.path.mkdir()
    for damaged in ("{", "[]"):
        run.status_file.write_text(damaged)
        with pytest.raises(DataError, match=r"status\.json"):
            read_status(run)


def left_running(run, **status):
    run.checkpoints.mkdir(parents=True)
    run.last_checkpoint.touch()
    here = {"status": "running", "host": socket.gethostname(), "process": os.getpid()}
    run.status_file.write_text(json.dumps({**here, **status}))
    return run


def test_a_run_is_alive_while_its_process_runs(run):
    began = psutil.Process().create_time()
    left_running(run, process_began=began)
    assert is_alive(run)
    with pytest.raises(
        ConfigError,
        match=rf"running at this moment \(process {os.getpid()} on .*change running to interrupted",
    ):
        is_resumable(run)


@pytest.mark.parametrize(
    "status",
    [{"process": 0x3FFFFFF0}, {"process": None}, {"process_began": 12345.0}],
    ids=["gone", "none", "reused"],
)
def test_a_missing_or_reused_process_number_is_not_alive(run, status):
    assert not is_alive(left_running(run, **status))
    assert is_resumable(run)


def test_a_zombie_process_is_not_alive(run):
    process = os.fork()
    if process == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)  # now a zombie
        assert psutil.Process(process).status() == psutil.STATUS_ZOMBIE
        assert not is_alive(left_running(run, process=process))
    finally:
        os.waitpid(process, 0)


def test_the_status_is_correct_on_a_full_disk(run, monkeypatch):
    def full(*_):
        monkeypatch.setattr("keypoints.runs.status.write_atomically", full)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"), record(run):
        full()
    status = read_status(run)
    assert (status.state, "No space left" in status.error) == ("failed", True)


def test_a_run_on_another_host_is_assumed_alive(run):
    assert is_alive(left_running(run, host="elsewhere", process=0x3FFFFFF0))


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_an_unfinished_run_with_a_checkpoint_is_resumable(run, status):
    assert is_resumable(left_running(run, status=status))
    run.last_checkpoint.unlink()
    assert not is_resumable(run)


def test_the_versions_of_the_libraries_are_recorded(run):
    with record(run):
        pass
    assert read_status(run).versions == library_versions()


@pytest.mark.parametrize(("version", "warned"), [("3.4.18", True), (library_versions()["opencv"], False)])
def test_a_run_that_resumes_with_another_opencv_warns(run, version, warned, caplog):
    with pytest.raises(KeyboardInterrupt), record(run):
        raise KeyboardInterrupt
    status = json.loads(run.status_file.read_text())
    status["versions"]["opencv"] = version
    run.status_file.write_text(json.dumps(status))
    with record(run, resumed=True):
        pass
    assert (f"{run.path}: trained with OpenCV 3.4.18, and this is" in caplog.text) == warned
    assert read_status(run).versions == library_versions()


@pytest.mark.parametrize(
    ("overrides", "command"),
    [
        (["seed=1", "output='my run'"], "keypoints train seed=1"),
        (["data.root='/my data'"], """keypoints train "data.root='/my data'\""""),
        (["~scheduler=null"], "keypoints train '~scheduler'"),
        (
            ["optimizer.lr=0.1", "sweep=learning_rate"],
            "keypoints train optimizer.lr=0.1 sweep=learning_rate hydra.mode=RUN",
        ),
    ],
    ids=["output", "path", "removed key", "run of a sweep"],
)
def test_the_command_of_a_run_trains_it_alone(run, overrides, command):
    with record(run, overrides):
        pass
    assert command_of(run) == command
