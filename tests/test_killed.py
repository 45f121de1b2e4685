"""Runs, sweeps and resumed runs that are killed at any file operation lose nothing.

A process is not killed at each operation, which would repeat all that was done before it. It runs once, and
its folder is copied before each operation: what a kill would leave.
"""

import os
import re
import shutil
import sys
import traceback
from copy import deepcopy
from functools import partial

import pandas as pd
import pytest

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.commands.jobs import end_sweep
from keypoints.files import locked
from keypoints.runs.history import read_logged
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from tests.conftest import SMALL
from tests.working import resume, train

OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
KILLED, FAILED = 9, 1
RUN_ENDED = "os.remove .0.lock"
"""Operation of a sweep right after its run has ended."""


def in_a_process(action, folder, kill_at=None, copies=None):
    """Run ``action`` in a fork, which is killed before its operation ``kill_at`` in ``folder``.

    With the folder ``copies``, ``folder`` is copied there before each operation, under its number.

    Returns:
        The exit status, and the fork's file operations.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        status = FAILED
        try:
            watch(folder, kill_at, writing, copies)
            action()
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as told:
        operations = told.read().splitlines()
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), operations


def watch(folder, kill_at, told, copies):
    """Record this process's operations on files in ``folder``; see :func:`in_a_process`."""
    done = 0

    def hook(event, arguments):
        nonlocal done
        if event not in OPERATIONS or not str(arguments[0]).startswith(str(folder)):
            return
        reads = event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        there = os.path.lexists(arguments[0])
        idle = (event == "os.remove" and not there) or (event == "os.mkdir" and there)
        if reads or idle or "tfevents" in str(arguments[0]):  # written by another thread
            return
        if done == kill_at:
            os._exit(KILLED)
        if copies is not None and folder.is_dir():
            shutil.copytree(folder, copies / str(done))
        done += 1
        name = re.sub(r"\.\d+-[0-9a-f]+\.part", ".part", os.path.relpath(arguments[0], folder))
        os.write(told, f"{event} {name}\n".encode())

    sys.addaudithook(hook)


@pytest.fixture(scope="module")
def place(made_up_imm, tmp_path_factory):
    """Folder, overrides of a training of two epochs that writes a checkpoint in each, and its result."""
    folder = tmp_path_factory.mktemp("killed")
    overrides = [
        *SMALL,
        "callbacks.last_checkpoint.seconds=0",
        "data.batch_size=12",
        f"data.root={made_up_imm}",
    ]
    run = folder / "whole"
    train(compose("train", [*overrides, f"output={run}"]))
    return folder, overrides, result(run)


def put(copy, folder):
    """Put a copy of a folder in its place; the folder is gone if there is no copy."""
    shutil.rmtree(folder, ignore_errors=True)
    if copy.is_dir():
        shutil.copytree(copy, folder)


def files(folder):
    """Return the names of a folder's files, without the random part of the names of temporary ones."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    return {re.sub(r"\.\d+-[0-9a-f]+\.part", ".part", name) for name in names if "tfevents" not in name}


def result(folder):
    """Return a run's state, its metrics, and its logged rows."""
    run = RunFolder(folder)
    rows = read_logged(run).sort_values(["step", "epoch"], ignore_index=True)
    return read_status(run).state, read_status(run).metrics, rows.reindex(columns=sorted(rows))


def same(found, wanted):
    assert found[:2] == wanted[:2]
    pd.testing.assert_frame_equal(found[2], wanted[2])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Train with one thread: the last digits depend on the number of threads, and a fork has only one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="module")
def without_figures():
    """Plot no figures, which can be plotted again at any time."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("draw_batch", "draw_feature_maps", "report_run"):
            patched.setattr(f"keypoints.reports.run.{name}", lambda *_, **__: None)
        yield


@pytest.fixture(scope="module")
def begun(place):
    """Run that went undisturbed: its folder, a function that begins it, its operations, and their copies."""
    folder, overrides, _ = place
    run, copies = folder / "run", folder / "copies_of_run"
    cfg = compose("train", [*overrides, f"output={run}"])

    def begin():
        train(deepcopy(cfg))

    status, operations = in_a_process(begin, run, copies=copies)
    assert status == 0
    return run, begin, operations, copies


def test_a_kill_leaves_what_was_copied(begun):
    run, begin, operations, copies = begun
    for number in (len(operations) // 3, len(operations) - 2):
        shutil.rmtree(run)
        assert in_a_process(begin, run, number)[0] == KILLED
        assert files(run) == files(copies / str(number))


def test_a_run_killed_at_any_operation_can_be_resumed(place, begun):
    wanted = place[2]
    run, begin, operations, copies = begun
    assert len(operations) > 15
    for number, operation in enumerate(operations):
        put(copies / str(number), run)
        if RunFolder(run).status_file.is_file():
            assert read_status(RunFolder(run)).state == "running", operation
            resume(run)
        else:  # the run had not started: the command can be repeated
            begin()
        same(result(run), wanted)


def test_a_resumed_run_killed_at_any_operation_can_be_resumed(place, begun, tmp_path):
    wanted = place[2]
    run, _, operations, copies = begun
    put(copies / str(1 + operations.index("os.rename checkpoints/.last.ckpt.part")), run)
    again = tmp_path / "copies"
    status, operations = in_a_process(lambda: resume(run), run, copies=again)
    assert status == 0
    same(result(run), wanted)
    assert len(operations) > 10
    for number in range(len(operations)):
        put(again / str(number), run)
        resume(run)
        same(result(run), wanted)


@pytest.fixture(scope="module")
def swept(place):
    """Sweep of one run that went undisturbed: its folder, the command, its operations, and their copies."""
    folder, overrides, _ = place
    sweep, copies = folder / "sweep", folder / "copies_of_sweep"
    typed = ["train", "-m", *overrides, "trainer.max_epochs=1", "seed=0", f"output={sweep}"]
    status, operations = in_a_process(lambda: main(typed), sweep, copies=copies)
    assert status == 0
    return sweep, typed, operations, copies, result(sweep / "0")


def test_a_sweep_killed_outside_its_run_can_be_resumed(swept):
    sweep, typed, operations, copies, wanted = swept
    complete(sweep, wanted)
    names = [each.partition(" ")[2] for each in operations]
    ended = operations.index(RUN_ENDED)
    begins = [number for number, name in enumerate(names[:ended]) if name.partition("/")[0] != "0"]
    assert any("sweep.yaml" in names[number] for number in begins)
    assert any("multirun.yaml" in names[number] for number in begins)
    for number in distinct(copies, [*begins, ended, len(operations) - 1]):
        if number == 0:
            continue  # nothing had begun
        put(copies / str(number), sweep)
        if operations[number] == "os.rename .sweep.yaml.part":
            killed = in_a_process(partial(main, again(sweep, typed)), sweep, number)
            assert killed[0] == KILLED  # a second time
        main(again(sweep, typed))
        complete(sweep, wanted)


def test_a_sweep_killed_while_its_report_is_written_can_be_resumed(swept, tmp_path):
    """Write the report again without the command, whose run is finished: the test above gives the command."""
    sweep, _, operations, copies, wanted = swept
    written = range(operations.index(RUN_ENDED), len(operations))
    for name in ("summary.csv", "comparison.png", "report.html"):
        assert any(name in operations[number] for number in written), name
    for number in distinct(copies, written):
        put(copies / str(number), sweep)
        report(sweep)
        complete(sweep, wanted)
    put(copies / str(operations.index("os.rename .new.part/losses.png")), sweep)
    again = tmp_path / "copies"
    status, operations = in_a_process(partial(report, sweep), sweep, copies=again)
    assert status == 0
    assert len(operations) > 10
    for number in range(0, len(operations), 4):
        put(again / str(number), sweep)  # killed a second time
        report(sweep)
        complete(sweep, wanted)


def report(sweep):
    """End a sweep as the command does that holds its lock."""
    with locked(sweep):
        assert end_sweep(sweep, stopped=False) == 0


def complete(sweep, wanted):
    """Check that a sweep's run and report are those of an undisturbed one, and that no part is left."""
    same(result(sweep / "0"), wanted)
    assert set(pd.read_csv(sweep / "summary.csv")["status"]) == {"finished"}
    assert not list(sweep.glob(".*.part"))
    assert "seed=0" in (sweep / "report.html").read_text()


def distinct(copies, numbers):
    """Return the numbers of copies of which no earlier one holds the same files."""
    found = {}
    for number in numbers:
        copy = copies / str(number)
        held = {path.relative_to(copy): path.is_file() and path.read_bytes() for path in copy.rglob("*")}
        found.setdefault((copy.is_dir(), frozenset(held.items())), number)
    return list(found.values())


def again(sweep, typed):
    """Return the words that resume a sweep, or else begin it."""
    return ["train", f"resume={sweep}"] if (sweep / "sweep.yaml").is_file() else typed
