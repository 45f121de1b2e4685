import os
import subprocess
import sys

import pytest

from keypoints import threads
from keypoints.threads import (
    OPERATIONS_PER_THREAD,
    allowed_cores,
    given_threads,
    limit_libraries,
    mapped_in_threads,
    threads_for,
    threads_of_process,
    wait_passively,
    waiting_passively,
)


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    """Start each test without the variables, and restore all of them afterwards."""
    for name in (
        "OMP_NUM_THREADS",
        "OMP_WAIT_POLICY",
        "GOMP_SPINCOUNT",
        "KMP_BLOCKTIME",
        "SLURM_CPUS_PER_TASK",
    ):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(threads, "_ours", None)


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to cores"
)
def test_only_the_cores_that_are_allowed_count():
    code = (
        "import os; from keypoints.threads import allowed_cores\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(allowed_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def group(system, line, **files):
    """Make the files of a control group below ``system``, and the file that names the process's group."""
    (system / "proc/self").mkdir(parents=True, exist_ok=True)
    (system / "proc/self/cgroup").write_text(line)
    for name, text in files.items():
        folder, _, file = name.rpartition("__")
        place = system / "sys/fs/cgroup" / folder.replace("__", "/")
        place.mkdir(parents=True, exist_ok=True)
        (place / file.replace("cpu_", "cpu.", 1)).write_text(text)
    return system


@pytest.mark.parametrize(
    ("line", "files", "cores"),
    [
        ("0::/\n", {"cpu_max": "250000 100000\n"}, 3),
        ("0::/\n", {"cpu_max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu_max": "50000 100000\n"}, 1),
        ("0::/a/b\n", {"a__cpu_max": "200000 100000", "a__b__cpu_max": "max 100000"}, 2),
        (
            "1:name=systemd:/x\n4:cpu,cpuacct:/x\n",
            {"cpu__x__cpu_cfs_quota_us": "400000", "cpu__x__cpu_cfs_period_us": "100000"},
            4,
        ),
        ("4:cpu,cpuacct:/\n", {"cpu__cpu_cfs_quota_us": "-1", "cpu__cpu_cfs_period_us": "100000"}, 8),
        ("4:cpuset:/\n", {"cpu_max": "100000 100000"}, 8),
        ("no such line", {"cpu_max": "100000 100000"}, 8),
        ("0::/\n", {"cpu_max": "some text"}, 8),
    ],
    ids=[
        "half a core more",
        "no limit",
        "half a core",
        "group above",
        "version 1",
        "1 without",
        "other",
        "damaged",
        "text",
    ],
)
def test_limits_of_control_groups_count(tmp_path, eight_cores, line, files, cores):
    assert allowed_cores(group(tmp_path, line, **files)) == cores


@pytest.mark.parametrize(("cpus", "cores"), [("3", 3), ("64", 8), ("", 8), ("many", 8), ("0", 8)])
def test_cores_of_a_slurm_task_count(tmp_path, eight_cores, monkeypatch, cpus, cores):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", cpus)
    assert allowed_cores(tmp_path) == cores


@pytest.mark.parametrize(
    ("operations", "processes", "expected"),
    [(0, 1, 1), (1.9, 1, 1), (2, 1, 2), (5.5, 1, 5), (100, 1, 8), (100, 4, 2), (100, 16, 1), (None, 1, 8)],
)
def test_threads_follow_the_work_up_to_the_cores(monkeypatch, operations, processes, expected):
    monkeypatch.setattr(threads, "allowed_cores", lambda: 8)
    work = None if operations is None else operations * OPERATIONS_PER_THREAD
    assert threads_for(work, processes) == expected


@pytest.mark.parametrize(
    ("value", "given"), [("3", 3), ("4,2", 4), (" 2 ", 2), ("", None), ("all", None), ("0", None)]
)
def test_the_users_number_of_threads_decides(monkeypatch, value, given):
    monkeypatch.setattr(threads, "allowed_cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert given_threads() == given
    assert threads_for(0) == (given or 1)
    assert threads_of_process() == (given or 8)


def test_in_parallel_runs_the_share_of_the_cores_is_the_most(monkeypatch):
    monkeypatch.setattr(threads.multiprocessing, "parent_process", lambda: "launch=cores")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert (threads_for(0), threads_for(None)) == (1, 4)


def test_libraries_that_do_not_know_the_limits_get_them(monkeypatch, eight_cores):
    monkeypatch.setattr(threads, "allowed_cores", lambda: 8)
    limit_libraries()
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setattr(threads, "allowed_cores", lambda: 2)
    limit_libraries()
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert given_threads() is None, "it is not the user's"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    limit_libraries()
    assert os.environ["OMP_NUM_THREADS"] == "5"


@pytest.mark.parametrize(
    ("name", "value", "policy"),
    [("OMP_WAIT_POLICY", "ACTIVE", "ACTIVE"), ("GOMP_SPINCOUNT", "10", None), ("KMP_BLOCKTIME", "0", None)],
)
def test_the_user_decides_how_threads_wait(monkeypatch, name, value, policy):
    monkeypatch.setenv(name, value)
    wait_passively()
    assert os.environ.get("OMP_WAIT_POLICY") == policy


def test_libraries_of_a_block_wait_passively():
    with waiting_passively():
        assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert "OMP_WAIT_POLICY" not in os.environ
    wait_passively()
    with waiting_passively():
        pass
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_results_of_threads_come_in_the_order_of_the_items(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert list(mapped_in_threads(lambda item: 2 * item, range(100))) == list(range(0, 200, 2))
    assert list(mapped_in_threads(str, [])) == []
    with pytest.raises(ZeroDivisionError):
        list(mapped_in_threads(lambda item: 1 // (item - 50), range(100)))
