import logging
import shutil
from functools import cache

import pytest
import torch
from omegaconf import OmegaConf

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.errors import ConfigError
from keypoints.runs.history import read_history, read_logged
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import command_of, read_status
from tests.conftest import SMALL
from tests.working import interrupted_at, resume, train


@pytest.fixture(scope="module")
def trained(made_up_imm, tmp_path_factory):
    """Return a function that trains, once for equal overrides, and returns the folder and a copy of it."""

    @cache
    def train_once(*overrides):
        folder = tmp_path_factory.mktemp("runs") / "run"
        small = [*SMALL, "callbacks.last_checkpoint.seconds=0", f"data.root={made_up_imm}"]
        train(compose("train", [*small, f"output={folder}", *overrides]))
        return folder, shutil.copytree(folder, folder.with_name("copy"))

    return train_once


@pytest.fixture
def finished(trained):
    """Return a function that returns the folder of a training of two epochs of 6 steps.

    The folder is as the training left it, whatever other tests did to it.
    """

    def restored(*overrides):
        folder, copy = trained(*overrides)
        shutil.rmtree(folder)
        return RunFolder(shutil.copytree(copy, folder))

    return restored


def change_setting(run, key, value):
    """Change a setting in a run's recorded configuration."""
    cfg = OmegaConf.load(run.config)
    OmegaConf.update(cfg, key, value, force_add=True)
    run.config.write_text(OmegaConf.to_yaml(cfg))


def rates(run):
    return read_logged(run)["lr-Adam"].dropna().tolist()


@pytest.mark.parametrize("scheduler", ["none", "plateau"])
def test_a_lengthened_run_equals_a_longer_one(finished, scheduler):
    run = finished(f"scheduler={scheduler}")
    whole = finished(f"scheduler={scheduler}", "trainer.max_epochs=4")
    assert resume(run.path, 4) == read_status(whole).metrics
    one, other = (torch.load(each.last_checkpoint, weights_only=True)["state_dict"] for each in (run, whole))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert list(read_history(run).index) == [0, 1, 2, 3]
    assert run.configuration().trainer.max_epochs == 4


@pytest.mark.parametrize("scheduler", ["cosine", "one_cycle"])
def test_a_schedule_becomes_that_of_the_new_length(finished, caplog, scheduler):
    run = finished(f"scheduler={scheduler}")
    whole = finished(f"scheduler={scheduler}", "trainer.max_epochs=4")
    with caplog.at_level(logging.INFO, "keypoints"):
        resume(run.path, 4)
    assert rates(run)[2:] == pytest.approx(rates(whole)[2:], rel=1e-6)
    assert rates(run)[:2] != pytest.approx(rates(whole)[:2])
    assert "2 epochs become 4; the schedule" in caplog.text
    assert "becomes that of 4 epochs: the learning rate changes from" in caplog.text


def test_a_stopped_lengthened_run_resumes_exactly(finished):
    run = finished("scheduler=cosine")
    metrics, wanted = resume(run.path, 4), rates(run)
    run = finished("scheduler=cosine")
    with interrupted_at(step=14):  # in the third epoch, before its checkpoint
        resume(run.path, 4)
    assert resume(run.path) == metrics
    assert rates(run) == wanted


def test_early_stopping_counts_again_in_a_lengthened_run(finished, caplog):
    stopping = ("callbacks.early_stopping.patience=2", "callbacks.early_stopping.min_delta=9")
    run = finished("callbacks=early_stopping", *stopping, "trainer.max_epochs=9")
    assert list(read_history(run).index) == [0, 1, 2]
    caplog.clear()
    with caplog.at_level(logging.INFO, "keypoints"):
        resume(run.path, 4)
    assert "3 epochs become 4; the learning rate stays 0.001; early stopping counts from" in caplog.text
    assert "stopped early" not in caplog.text
    resume(run.path, 12)
    assert list(read_history(run).index) == [0, 1, 2, 3, 4, 5]


def test_a_run_that_a_time_limit_ended_can_be_lengthened(finished):
    run = finished("trainer.max_time=00:00:00:01", "trainer.max_epochs=-1")
    epochs = len(read_history(run))
    resume(run.path, epochs + 1)
    assert len(read_history(run)) == epochs + 1


FINDER = (
    "+callbacks.finder={_target_: pytorch_lightning.callbacks.LearningRateFinder, num_training_steps: 12}"
)


def test_a_resumed_run_keeps_the_learning_rate_that_was_found(finished, caplog):
    run = finished(FINDER, "scheduler=none")
    before = rates(run)
    with caplog.at_level(logging.INFO, "keypoints"):
        resume(run.path, 3)
    assert list(read_history(run).index) == [0, 1, 2]
    assert rates(run) == [before[0]] * 3
    assert "LearningRateFinder does not search again" in caplog.text


def test_a_run_with_a_batch_size_finder_is_not_resumed(finished):
    run = finished("scheduler=none")
    finder = {"_target_": "pytorch_lightning.callbacks.BatchSizeFinder", "max_trials": 1}
    change_setting(run, "callbacks.finder", finder)
    with pytest.raises(
        ConfigError, match=r"BatchSizeFinder cannot be resumed, .*start_from=.* data\.batch_size="
    ):
        resume(run.path, 3)
    assert read_status(run).state == "finished"
    assert run.configuration().trainer.max_epochs == 2


def test_the_command_line_lengthens_a_run(finished, capsys):
    run = finished("scheduler=none")
    main(["train", f"resume={run.path}", "trainer.max_epochs=3"])
    assert list(read_history(run).index) == [0, 1, 2]
    assert "the learning rate stays 0.001" in capsys.readouterr().out
    assert "trainer.max_epochs=3" in command_of(run)
    assert f"{command_of(run)}</pre>" in run.report.read_text()
    with pytest.raises(SystemExit):
        main(["train", f"resume={run.path}"])
    assert "add trainer.max_epochs=<epochs>" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("scheduler", "changed", "epochs", "says"),
    [
        ("none", {}, 2, "has 2 epochs already; give more: trainer.max_epochs=4"),
        ("none", {"trainer.max_steps": 12}, 4, "its length is trainer.max_steps=12"),
        ("one_cycle", {"scheduler.total_steps": 12}, 4, "ends after scheduler.total_steps=12"),
    ],
)
def test_a_run_that_cannot_be_lengthened_stays_as_it_is(finished, scheduler, changed, epochs, says):
    run = finished(f"scheduler={scheduler}")
    for key, value in changed.items():
        change_setting(run, key, value)
    before = run.last_checkpoint.read_bytes(), run.config.read_text()
    with pytest.raises(ConfigError, match=says):
        resume(run.path, epochs)
    assert (run.last_checkpoint.read_bytes(), run.config.read_text()) == before
    assert read_status(run).state == "finished"
