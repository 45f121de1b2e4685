import os
import subprocess
import sys
from importlib.util import find_spec

import psutil
import pytest

from keypoints.workers import end_with
from tests.conftest import ROOT

POOLS = {
    "processes": """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import os, sys
from keypoints.workers import serve
from slow import work
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=serve, initargs=(os.getpid(),))
    pool.submit(work, None).result()
""",
    "loky": """
import os
from joblib import Parallel, delayed
from slow import work
if __name__ == "__main__":
    Parallel(2, backend="loky")(delayed(work)(os.getpid()) for _ in range(2))
""",
}
SLOW = """
import os, time
from keypoints.workers import end_with
def work(parent):
    if parent is not None:
        end_with(parent)
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(600)
"""


@pytest.mark.parametrize("pool", POOLS)
def test_a_worker_ends_when_its_parent_is_killed(tmp_path, pool):
    if pool == "loky" and find_spec("joblib") is None:
        pytest.skip("joblib is not installed")
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "parent.py").write_text(POOLS[pool])
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True, env=environment
    )
    worker = psutil.Process(int(parent.stdout.readline()))
    assert worker.pid != parent.pid
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([worker], timeout=60)
    for process in alive:
        process.kill()
    assert not alive


def test_the_parent_and_processes_of_a_cluster_watch_no_process():
    end_with(os.getpid())
    end_with(1)
