"""Files of older versions stay usable, with their names of classes, arguments and keys."""

import importlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import keypoints
from keypoints.cli import main
from keypoints.components import build, configure, find_class, public_name, trusting
from keypoints.config.registry import conf_dir
from keypoints.inference.predictor import Predictor
from keypoints.landmarks import LandmarkScheme
from keypoints.older_names import ARGUMENTS, CLASSES, KEYS, SCHEME, current, current_key
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from keypoints.schemes import IMM58
from keypoints.tasks.base import load_task
from keypoints.tasks.trusted_loss import RefusedLoss
from tests.conftest import change_checkpoint, save_untrained

FILES = Path(__file__).parent / "older_files"
EXPECTED = json.loads((FILES / "expected.json").read_text())


@pytest.fixture
def older(tmp_path, made_up_imm, monkeypatch):
    """Copy of the older files, with its paths adapted to the new folder."""
    shutil.copytree(FILES, tmp_path / "files")
    for path in (tmp_path / "files").rglob("*.yaml"):
        text = path.read_text().replace("/tmp/before", str(tmp_path / "files"))
        path.write_text(text.replace("data/imm_face_db", str(made_up_imm)))
    monkeypatch.chdir(tmp_path / "files")
    return tmp_path / "files"


@pytest.mark.parametrize("name", ["regression", "heatmap", "own_loss"])
def test_an_older_checkpoint_gives_the_same_predictions(name, monkeypatch):
    monkeypatch.syspath_prepend(FILES)
    task = load_task(FILES / f"{name}.ckpt", trust="mylosses")
    sides = (1, task.crop.channels, task.crop.height, task.crop.width)
    ramp = torch.linspace(-0.5, 0.5, int(np.prod(sides))).reshape(sides)
    with torch.inference_mode():
        found = task.locate(ramp).points[0]
    np.testing.assert_allclose(found, EXPECTED[name], rtol=0, atol=1e-6)
    assert type(task.loss).__name__ == EXPECTED[f"{name}_loss"]


def test_an_own_loss_is_refused_without_trust(monkeypatch):
    monkeypatch.syspath_prepend(FILES)
    assert isinstance(load_task(FILES / "own_loss.ckpt").loss, RefusedLoss)


def test_an_older_checkpoint_is_saved_with_current_names(tmp_path):
    from tests.conftest import save_task

    again = save_task(tmp_path / "again.ckpt", load_task(FILES / "heatmap.ckpt"))
    named = json.dumps(torch.load(again, weights_only=True)["hyper_parameters"])
    assert not [old for old in CLASSES if f'"{old}"' in named]
    assert '"heatmap_padding": 2' in named
    assert '"flip_indices"' in named


def test_an_older_onnx_file_gives_the_same_predictions():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra export)")
    predictor = Predictor(FILES / "model.onnx")
    picture = (np.arange(48 * 64).reshape(48, 64) % 256).astype(np.uint8)
    np.testing.assert_allclose(predictor(picture)[0].points, EXPECTED["onnx"], rtol=0, atol=1e-4)
    assert predictor.scheme == IMM58.select("nose_tip")


def test_an_older_run_is_resumed_and_reported(older):
    main(["train", f"resume={older / 'run'}"])
    run = RunFolder(older / "run")
    assert read_status(run).state == "finished"
    assert read_status(run).metrics["last/epoch"] == 1
    run.report.unlink()
    main(["report", str(older / "run")])
    assert run.report.is_file()
    main(["evaluate", str(older / "run"), "device=cpu"])


def test_an_older_sweep_is_resumed_and_reported(older):
    main(["train", f"resume={older / 'sweep'}"])
    table = pd.read_csv(older / "sweep" / "summary.csv")
    assert list(table["status"]) == ["finished"] * 2
    assert list(table["optimizer.lr"]) == [0.01, 0.001]
    main(["report", str(older / "sweep")])


@pytest.mark.parametrize(("old", "new"), CLASSES.items(), ids=CLASSES)
def test_every_older_class_name_leads_to_a_public_class(old, new):
    found = find_class(old, (object,))
    assert public_name(found) == new
    assert new.removeprefix("keypoints.") in keypoints.__all__


def test_every_class_that_the_configuration_names_is_public():
    targets = {
        target
        for path in conf_dir().rglob("*.yaml")
        for target in re.findall(r"_target_: (keypoints\S+)", path.read_text())
    }
    assert len(targets) > 20
    assert all(re.fullmatch(r"keypoints\.[A-Za-z0-9]+", target) for target in targets)
    assert targets <= {f"keypoints.{name}" for name in keypoints.__all__}


def test_checkpoints_name_public_classes(tmp_path):
    names = {}
    change_checkpoint(save_untrained(tmp_path / "a.ckpt"), names.update)
    assert names["keypoints"]["task"] == "keypoints.RegressionTask"
    assert names["hyper_parameters"]["net"]["_target_"] == "keypoints.ConvNet"
    assert names["hyper_parameters"]["loss"]["_target_"] == "torch.nn.MSELoss"


def test_older_arguments_are_renamed_at_every_depth():
    net = {"_target_": "keypoints.models.heatmaps.HeatmapNet", "beyond": 3}
    found = current({"model": [{"net": net}], "beyond": 1})
    assert found == {
        "model": [{"net": {"_target_": "keypoints.HeatmapNet", "heatmap_padding": 3}}],
        "beyond": 1,
    }
    with trusting("torch"):
        made = build(net, torch.nn.Module, input_size=(32, 32), in_channels=1, landmarks=2)
    assert made.heatmap_padding == 3
    assert set(ARGUMENTS) <= set(CLASSES.values())


def test_older_keys_of_a_scheme_are_read():
    values = IMM58.to_dict()
    older = {**values, **{old: values[new] for old, new in SCHEME.items()}}
    for new in SCHEME.values():
        del older[new]
    assert LandmarkScheme.from_dict(older) == IMM58


@pytest.mark.parametrize(("old", "new"), KEYS.items(), ids=KEYS)
def test_an_older_key_is_refused_with_its_new_name(old, new, capsys):
    with pytest.raises(SystemExit, match="1"):
        main(["train", "experiment=ibug300w_best", f"{old}=1", "--cfg", "job"])
    assert capsys.readouterr().err == f"error: {old} is called {new} now\n"
    main(["train", "experiment=ibug300w_best", f"{new}=7", "--cfg", "job"])
    shown = yaml.safe_load(capsys.readouterr().out)
    for key in new.split("."):
        shown = shown[key]
    assert shown == 7
    assert current_key(new) == new


def test_a_class_outside_of_public_packages_keeps_its_module():
    assert configure(RunFolder)["_target_"] == "keypoints.runs.run_folder.RunFolder"
    assert public_name(torch.optim.Adam) == "torch.optim.Adam"
    module, _, name = public_name(torch.optim.lr_scheduler.OneCycleLR).rpartition(".")
    assert getattr(importlib.import_module(module), name) is torch.optim.lr_scheduler.OneCycleLR
