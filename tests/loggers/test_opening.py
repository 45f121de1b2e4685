import os

import pytest
import pytorch_lightning as pl

from keypoints.errors import ConfigError, DataError
from keypoints.loggers.opening import opened, read_identifiers
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from tests.loggers.recorder import Plain, Unreachable
from tests.working import train


class Run:
    """Run with the method that ends a run of Weights & Biases."""

    def __init__(self):
        self.codes = []

    def finish(self, exit_code=None):
        self.codes.append(exit_code)


class WandbLogger(Plain):
    """Logger that is called as Lightning's, and sets a variable as that one does."""

    version = "abc"

    def __init__(self):
        super().__init__()
        self.run = Run()

    @property
    def experiment(self):
        os.environ["WANDB_MODE"] = "dryrun"
        return self.run


def trainer_with(*loggers):
    return pl.Trainer(logger=list(loggers), enable_checkpointing=False, accelerator="cpu")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return RunFolder(tmp_path)


def test_loggers_are_recorded_and_closed_with_their_variables(run):
    logger = WandbLogger()
    with opened(trainer_with(logger, Plain()), run, ["mine", "plain"]):
        assert read_identifiers(run) == {"mine": "abc"}
        assert logger.run.codes == []
    assert logger.run.codes == [0]
    assert "WANDB_MODE" not in os.environ


def test_loggers_of_a_failed_training_are_closed_as_failed(run):
    logger = WandbLogger()
    with pytest.raises(KeyboardInterrupt), opened(trainer_with(logger), run, ["mine"]):
        raise KeyboardInterrupt
    assert logger.run.codes == [1]


def test_an_unreachable_server_is_one_line_that_names_the_key(run):
    logger = WandbLogger()
    with (
        pytest.raises(ConfigError, match=r"^logger\.far: ConnectionError: no answer; .* ~logger\.far$"),
        opened(trainer_with(logger, Unreachable()), run, ["mine", "far"]),
    ):
        pytest.fail("the block ran")
    assert logger.run.codes == [1]
    assert not run.logger_ids.exists()


def test_a_run_with_an_unreachable_logger_fails_before_training(configured, tmp_path):
    with pytest.raises(ConfigError, match="no answer"):
        train(configured(f"+logger.far._target_={Unreachable.__module__}.Unreachable"))
    run = RunFolder(tmp_path / "run")
    assert read_status(run).state == "failed"
    assert not run.last_checkpoint.exists()


def test_a_fast_dev_run_opens_no_logger(run):
    trainer = pl.Trainer(fast_dev_run=True, accelerator="cpu", logger=[Unreachable()])
    with opened(trainer, run, ["far"]):
        pass


@pytest.mark.parametrize("text", ['{"mine": 3}', '{"mine": "../x"}', '{"mine": ""}'])
def test_damaged_identifiers_are_refused(run, text):
    assert read_identifiers(run) == {}
    run.logger_ids.write_text(text)
    with pytest.raises(DataError, match=r"loggers\.json: .*remove it"):
        read_identifiers(run)
