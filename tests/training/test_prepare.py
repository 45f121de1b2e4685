import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from keypoints.commands import compose
from keypoints.data.photo_facts import is_of_photo
from keypoints.data.readers.imm import read_imm
from keypoints.data.readers.labelled import write_labelled
from keypoints.errors import CheckpointError
from keypoints.runs.network_file import read_network_cost
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from keypoints.schemes import IMM58
from keypoints.tasks.base import load_task
from tests.conftest import SMALL
from tests.working import interrupted_at, resume, train


def groups_of(folder):
    groups = load_task(RunFolder(folder).last_checkpoint).trained_on.groups
    return {group for group in groups if not is_of_photo(group)}


def weights_of(folder, which):
    """Return the weights in a run's checkpoint, ``best`` or ``last``."""
    return torch.load(folder / f"checkpoints/{which}.ckpt", weights_only=True)["state_dict"]


def test_a_run_is_initialised_from_the_weights_of_another(configured, finished_run, tmp_path, caplog):
    with caplog.at_level("INFO", "keypoints"):
        train(configured(f"start_from={finished_run}", "optimizer.lr=0", output="second"))
    first, second = weights_of(finished_run, "best"), weights_of(tmp_path / "second", "last")
    assert all(torch.equal(first[name], second[name]) for name in second)
    assert f"initialised from the weights of {finished_run / 'checkpoints/best.ckpt'}" in caplog.text
    assert "from scratch" not in caplog.text
    assert "was trained on" not in caplog.text


def test_weights_of_other_landmarks_are_named_and_initialised_from_scratch(
    configured, finished_run, tmp_path, caplog
):
    start = f"start_from={finished_run / 'checkpoints/last.ckpt'}"
    train(configured(start, "optimizer.lr=0", "data.landmarks=left_eye", output="second"))
    first, second = weights_of(finished_run, "last"), weights_of(tmp_path / "second", "last")
    fitting = [name for name in second if second[name].shape == first[name].shape]
    assert len(second) - 2 == len(fitting) > 2
    assert all(torch.equal(first[name], second[name]) for name in fitting)
    assert (
        "that model predicts the landmarks of imm58-nose_tip, this model the landmarks of imm58-left_eye"
        in caplog.text
    )
    assert "initialised from scratch: net.head.3.weight, net.head.3.bias" in caplog.text


def test_training_data_of_the_first_run_count_for_the_second(configured, tmp_path, caplog):
    train(configured("data.train_persons=3", output="first"))
    start = (f"start_from={tmp_path / 'first'}", "data.train_persons=2", "trainer.max_epochs=4")
    with interrupted_at(step=8):
        train(configured(*start, output="second"))
    resume(tmp_path / "second")
    assert groups_of(tmp_path / "second") == groups_of(tmp_path / "first") == {"01", "02", "03"}
    assert re.search(r"was trained on 6 of the \d+ validation faces", caplog.text)
    task = load_task(RunFolder(tmp_path / "second").best_checkpoint)
    assert set(task.trained_on.validated) >= {"03", "04"}
    assert sum(map(is_of_photo, task.trained_on.groups)) == 3 * 6  # also each photo of the persons


def test_weights_of_another_network_are_refused(configured, finished_run, tmp_path):
    start = f"start_from={finished_run}"
    with pytest.raises(
        CheckpointError, match=r"best\.ckpt: has [\d,]+ of this network's [\d,]+ weights; take"
    ):
        train(configured(start, "model.net.channels=[8,8,8]", output="second"))
    with pytest.raises(CheckpointError, match="nowhere: no such checkpoint"):
        train(configured("start_from=nowhere", output="third"))
    assert read_status(RunFolder(tmp_path / "third")).state == "failed"


def test_training_does_not_resume_from_a_checkpoint_of_only_weights(configured, tmp_path):
    with interrupted_at(step=7):  # in the second epoch
        train(configured("callbacks.last_checkpoint.seconds=0"))
    run = RunFolder(tmp_path / "run")
    shutil.copy(run.best_checkpoint, run.last_checkpoint)
    with pytest.raises(CheckpointError, match=r"only weights.*start_from="):
        resume(run.path)


def test_a_resumed_run_keeps_its_points_without_names(made_up_imm, tmp_path):
    faces, path, run = read_imm(made_up_imm), tmp_path / "list", RunFolder(tmp_path / "run")
    write_labelled(faces, path, "csv", root=made_up_imm)
    small = [each for each in SMALL if not each.startswith("experiment")]
    given = ["data=labelled", f"data.train={path}", f"data.root={made_up_imm}", "data.source=image"]
    given += ["data.width=64", "data.height=48", "data.batch_size=2"]
    with interrupted_at(step=15):
        train(compose("train", [*small, *given, f"output={run.path}"]))
    path.unlink()
    write_labelled(faces, path, "coco", root=made_up_imm, scheme=IMM58)  # names the points
    resume(run.path)
    assert json.loads(run.landmarks.read_text())["name"] == "58 points"
    assert load_task(run.last_checkpoint).scheme.flip_indices is None


def test_the_cost_of_the_network_is_recorded(finished_run):
    cost = read_network_cost(RunFolder(finished_run))
    task = load_task(RunFolder(finished_run).best_checkpoint)
    assert cost.parameters == cost.trainable == sum(each.numel() for each in task.parameters())
    assert (cost.width, cost.height, cost.channels) == (80, 60, 1)
    first = 2 * 74 * 54 * 4 * 49  # 4 filters of 7 × 7 pixels
    assert first < cost.flops < 3 * first


def test_a_network_that_cannot_be_counted_is_trained(configured, monkeypatch, caplog):
    def cost_of(net, images):
        raise RuntimeError("no\nformula")

    monkeypatch.setattr("keypoints.training.prepare.cost_of", cost_of)
    cfg = configured("trainer.max_epochs=1")
    assert train(cfg)["best/mse"] > 0
    assert "operations of the network are not counted (no formula)" in caplog.text
    assert read_network_cost(RunFolder(Path(cfg.output))) is None
