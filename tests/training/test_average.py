import logging

import pytest
import torch

from keypoints.errors import ConfigError
from keypoints.inference.predictor import Predictor
from keypoints.tasks.checkpoint import read_checkpoint
from keypoints.training.average import averaged, main


def test_weights_are_between_those_of_the_two_models_in_half_precision():
    before, after = {"w": torch.zeros(3), "n": torch.tensor(2)}, {"w": torch.ones(3), "n": torch.tensor(5)}
    found = averaged(before, after, 0.25)
    torch.testing.assert_close(found["w"], torch.full((3,), 0.25, dtype=torch.half))
    assert found["n"] == 5


@pytest.mark.parametrize(
    ("other", "share", "says"), [({"w": torch.ones(3)}, 1.5, "share"), ({}, 0.5, "network")]
)
def test_models_that_do_not_fit_are_refused(other, share, says):
    with pytest.raises(ConfigError, match=says):
        averaged({"w": torch.zeros(3)}, other, share)


def test_an_average_predicts_and_is_small(finished_run, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    output, first = tmp_path / "new" / "model.ckpt", finished_run / "checkpoints" / "best.ckpt"
    assert main([str(first), str(finished_run), "--share", "1", "--output", str(output)]) == 0
    assert "val/mse" in caplog.text
    plain, small = read_checkpoint(first), read_checkpoint(output)
    assert "optimizer_states" not in small
    assert small["keypoints"]["trained_on"]["data"] == "imm_face_db"
    assert output.stat().st_size < 0.7 * first.stat().st_size
    for name, each in small["state_dict"].items():
        torch.testing.assert_close(each.float(), plain["state_dict"][name].float(), atol=1e-3, rtol=1e-3)
    assert len(Predictor(output).scheme) == len(Predictor(first).scheme)


def test_a_checkpoint_outside_a_run_is_named_in_one_line(untrained, tmp_path, caplog):
    assert main([str(untrained), str(untrained), "--output", str(tmp_path / "model.ckpt")]) == 1
    assert f"{untrained}: is not in a run's folder" in caplog.messages[-1]
    assert not (tmp_path / "model.ckpt").exists()
