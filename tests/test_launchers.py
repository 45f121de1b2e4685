"""Jobs of a sweep in parallel, on a cluster, and chosen by a search."""

import io
import os
import signal
import threading
from contextlib import redirect_stderr
from importlib.util import find_spec
from time import sleep

import psutil
import pytest
import yaml

from keypoints.cli import EXTRAS, _message, main
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import is_resumable, read_status
from tests.conftest import SMALL

PLUGINS = {
    "parallel": "hydra_plugins.hydra_joblib_launcher",
    "slurm": "hydra_plugins.hydra_submitit_launcher",
    "search": "hydra_plugins.hydra_optuna_sweeper",
}


def needs(extra):
    """Return a mark that skips a test if an extra is not installed."""
    try:
        there = find_spec(PLUGINS[extra]) is not None
    except ModuleNotFoundError:
        there = False
    return pytest.mark.skipif(not there, reason=f"the extra {extra} is not installed")


@pytest.fixture
def sweep(made_up_imm, tmp_path):
    """Function that runs a sweep of fast trainings and returns its folder."""

    def run(*arguments):
        given = [f"data.root={made_up_imm}", "trainer.max_epochs=1", f"output={tmp_path / 'sweep'}"]
        main(["train", *SMALL, *given, "-m", *arguments])
        return tmp_path / "sweep"

    return run


@pytest.fixture(scope="module")
def parallel(made_up_imm, tmp_path_factory):
    """Sweep of four parallel jobs, of which one finishes, and what its command wrote to standard error.

    One of two networks cannot be built, and two jobs ask for two processes each.
    """
    folder, said = tmp_path_factory.mktemp("parallel") / "sweep", io.StringIO()
    given = ["trainer.max_epochs=1", f"data.root={made_up_imm}", f"output={folder}"]
    jobs = "model.net.kernel_sizes=[90,5,3],[5,3,2]", "trainer.devices=1,2"
    with redirect_stderr(said), pytest.raises(SystemExit, match="1"):
        main(["train", *SMALL, *given, "-m", "launch=cores", *jobs])
    return folder, said.getvalue()


@needs("parallel")
def test_a_failed_parallel_job_stops_no_other_and_is_counted(parallel):
    folder, said = parallel
    assert "3 of the sweep's runs did not finish" in said
    states = [read_status(RunFolder(run.parent)).state for run in folder.glob("*/status.json")]
    assert sorted(states) == ["failed", "failed", "failed", "finished"]
    assert (folder / "summary.csv").is_file()
    assert not [child for child in psutil.Process().children() if "LokyProcess" in " ".join(child.cmdline())]


@needs("parallel")
def test_parallel_jobs_cannot_use_several_processes_each(parallel):
    folder, _ = parallel
    runs = [RunFolder(path.parent) for path in folder.glob("*devices-2*/status.json")]
    assert len(runs) == 2
    for run in runs:
        assert read_status(run).error.endswith("leave launch=cores out, or take trainer.devices=1")


@needs("parallel")
def test_a_killed_worker_is_reported_and_its_run_can_resume(sweep, tmp_path, capsys):
    folder, killed = tmp_path / "sweep", []

    def kill_the_first():
        while not killed:
            for path in folder.glob("*/checkpoints/last.ckpt"):
                killed.append(path.parents[1].name)
                os.kill(read_status(RunFolder(path.parents[1])).process, signal.SIGKILL)
                return
            sleep(0.05)

    killer = threading.Thread(target=kill_the_first, daemon=True)
    killer.start()
    epochs = ["trainer.max_epochs=400", "callbacks.last_checkpoint.seconds=0"]
    with pytest.raises(SystemExit, match="1"):
        sweep("launch=cores", "seed=0", *epochs)  # the second worker has no job, and imports nothing
    killer.join()
    said = capsys.readouterr().err
    (*_, line) = said.splitlines()
    assert line.startswith("error: a process of launch=cores was killed, perhaps for lack of memory")
    assert f"unfinished: {killed[0]}; " in line
    assert line.endswith(f"resume with: keypoints train resume={folder}")
    assert f"{killed[0]}: its process was killed" in said
    assert "Traceback" not in said
    assert is_resumable(RunFolder(folder / killed[0]))


@needs("search")
def test_a_search_minimises_the_validation_error(sweep):
    folder = sweep("sweep=search", "hydra.sweeper.n_trials=2")
    found = yaml.safe_load((folder / "optimization_results.yaml").read_text())
    runs = [RunFolder(path.parent) for path in folder.glob("*/status.json")]
    assert len(runs) == 2
    assert found["best_value"] == min(read_status(run).metrics["best/mse"] for run in runs)
    assert all(len(run.path.name) < 40 for run in runs)
    main(["train", f"resume={folder}"])  # samples the same values, whose runs are finished
    assert len(list(folder.glob("*/status.json"))) == 2


@needs("slurm")
def test_slurm_is_an_option_of_launch(capsys):
    main(["train", "launch=slurm", "hydra.launcher.partition=long", "--cfg", "hydra"])
    said = capsys.readouterr().out
    assert "SlurmLauncher" in said
    assert "partition: long" in said


@pytest.mark.parametrize(("choice", "extra"), EXTRAS.items())
def test_a_missing_package_is_reported_with_its_extra(choice, extra):
    from hydra.errors import ConfigCompositionException

    error = ConfigCompositionException(f"In 'train': Could not find 'hydra/{choice}'\nAvailable: basic")
    install = f"pip install -c constraints.txt -e '.[{extra}]'"
    assert _message(error) == f"hydra/{choice} is not installed: in the checkout, {install}"
