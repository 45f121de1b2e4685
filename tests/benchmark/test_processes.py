import os
import sys

from keypoints.benchmark.processes import run_command


def test_a_command_runs_in_a_folder_with_its_variables(tmp_path):
    code = "import os, sys; print(os.getcwd(), os.environ['KIND'])"
    ran = run_command([sys.executable, "-c", code], tmp_path / "log", {"KIND": "mine"}, tmp_path)
    assert ran.status == 0
    assert ran.last_line == f"{os.path.realpath(tmp_path)} mine"
    assert min(ran.seconds, ran.processor_s, ran.memory_mb) > 0


def test_a_failed_command_has_its_last_line(tmp_path):
    ran = run_command(
        [sys.executable, "-c", "import sys; print('first'); sys.exit('last')"], tmp_path / "log"
    )
    assert (ran.status, ran.last_line) == (1, "last")
