import pytest

from keypoints.commands import compose
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from tests.conftest import SMALL
from tests.working import train


@pytest.mark.parametrize("group", ["logger", "callbacks"])
def test_a_run_without_loggers_or_callbacks_has_the_same_metrics(made_up_imm, finished_run, tmp_path, group):
    overrides = [each for each in SMALL if not each.startswith("~callbacks")]
    cfg = compose(
        "train", [*overrides, f"{group}=null", f"data.root={made_up_imm}", f"output={tmp_path / 'run'}"]
    )
    metrics = train(cfg)
    wanted = read_status(RunFolder(finished_run)).metrics
    assert {name: metrics[name] for name in metrics} == pytest.approx(
        {name: wanted[name] for name in metrics}
    )
    assert "best/mse" in metrics
    run = RunFolder(tmp_path / "run")
    assert run.report.is_file()
    assert run.metrics.is_file() == (group != "logger")
    assert run.checkpoints.exists() == (group != "callbacks")


def test_a_run_without_loggers_can_be_resumed(made_up_imm, tmp_path):
    from tests.working import resume

    def configured(epochs, output):
        ours = ["logger=null", "callbacks.last_checkpoint.seconds=0", f"trainer.max_epochs={epochs}"]
        return compose("train", [*SMALL, *ours, f"data.root={made_up_imm}", f"output={tmp_path / output}"])

    wanted = train(configured(3, "whole"))
    train(configured(2, "run"))
    run = RunFolder(tmp_path / "run")
    run.config.write_text(run.config.read_text().replace("max_epochs: 2", "max_epochs: 3"))
    run.status_file.write_text(run.status_file.read_text().replace("finished", "interrupted"))
    assert resume(run.path) == wanted
