import json
import shlex

import pytest
from omegaconf import OmegaConf

from keypoints.commands import compose
from keypoints.runs.given import commands_of, hyper_parameters, varied_values
from keypoints.runs.run_folder import RunFolder


def run_with(folder, *overrides, argv=()):
    """Write the folder of a run with this configuration, and return it."""
    folder.mkdir(parents=True)
    command = ["/bin/keypoints", "train", *(argv or overrides)]
    status = {"status": "running", "overrides": list(overrides), "command": command}
    (folder / "status.json").write_text(json.dumps(status))
    cfg = compose("train", [*overrides, f"output={folder}"])
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(cfg, resolve=True))
    return RunFolder(folder)


def test_the_values_that_the_user_gave_vary(tmp_path):
    given = [
        "experiment=nose_tip",
        "optimizer.lr=0.01",
        "+trainer.max_steps=9",
        "augmentation=wild",
        "trust=a",
    ]
    assert varied_values(run_with(tmp_path / "run", *given)) == {
        "experiment": "nose_tip",
        "optimizer.lr": 0.01,
        "trainer.max_steps": 9,
        "augmentation": "wild",
    }


def test_a_run_without_given_values_is_known_by_its_name(tmp_path):
    assert varied_values(run_with(tmp_path / "run")) == {"name": "imm"}


@pytest.mark.parametrize(
    ("override", "varied"),
    [
        ("optimizer.lr=0.01", {"optimizer.lr": 0.01}),
        ("model.net.kernel_sizes=[10,7,5]", {"model.net.kernel_sizes": "[10, 7, 5]"}),
        ("seed=3", {"seed": 3}),
    ],
)
def test_only_swept_values_vary_in_a_sweep(tmp_path, override, varied):
    constant = {"override_dirname": {"exclude_keys": ["experiment"]}}
    hydra = {"overrides": {"task": [], "hydra": []}, "job": {"config": constant}}
    (tmp_path / "sweep.yaml").write_text(json.dumps({"hydra": hydra}))
    given = [override, "experiment=nose_tip"]
    run = run_with(tmp_path / "one", *given, argv=["-m", "experiment=nose_tip", "optimizer.lr=1,2"])
    assert varied_values(run) == varied
    own, sweep = (line for line in commands_of(run).splitlines() if line.startswith("keypoints"))
    assert shlex.split(own) == ["keypoints", "train", *given]
    assert shlex.split(sweep) == ["keypoints", "train", "-m", "experiment=nose_tip", "optimizer.lr=1,2"]


def test_the_command_can_be_pasted_into_a_shell(tmp_path):
    run = run_with(tmp_path / "run", "name=my run", "model.net.channels=[4,8,8]")
    assert commands_of(run) == "keypoints train 'name=my run' 'model.net.channels=[4,8,8]'"


def test_all_values_of_the_configuration_are_hyper_parameters(tmp_path):
    values = hyper_parameters(run_with(tmp_path / "run", "augmentation=wild"))
    assert values["augmentation"] == "wild"
    assert values["model.net.kernel_sizes"] == "[7, 5, 3]"
