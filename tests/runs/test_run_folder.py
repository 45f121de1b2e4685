import json
import os

import pytest

from keypoints.errors import DataError
from keypoints.files import write_atomically
from keypoints.runs import run_folder
from keypoints.runs.run_folder import RunFolder
from keypoints.schemes import IMM58


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def test_landmarks_are_read_and_a_damaged_file_is_refused(run):
    run.path.mkdir()
    assert run.scheme() is None
    write_atomically(run.landmarks, json.dumps(IMM58.to_dict()))
    assert run.scheme() == IMM58
    for damage in ("{", "[1]", '{"name": "x"}'):
        write_atomically(run.landmarks, damage)
        with pytest.raises(DataError, match=r"landmarks\.json: cannot be read"):
            run.scheme()


def test_a_damaged_configuration_file_is_named(run):
    run.path.mkdir()
    for damage in ("[1, 2", "- 1"):
        run.config.write_text(damage)
        with pytest.raises(DataError, match=r"config\.yaml"):
            run.setting("name")


def test_the_configurations_of_a_sweep_are_parsed_once(tmp_path, monkeypatch):
    parsed = []
    read = run_folder.read_yaml
    monkeypatch.setattr(run_folder, "read_yaml", lambda path, **how: parsed.append(path) or read(path, **how))
    runs = [RunFolder(tmp_path / f"seed-{seed}") for seed in range(200)]
    for seed, each in enumerate(runs):
        each.path.mkdir()
        each.config.write_text(f"seed: {seed}")
    for _ in range(2):
        assert [each.setting("seed") for each in runs] == list(range(200))
    assert parsed == [each.config for each in runs]
    runs[0].config.write_text("seed: 1000")
    os.utime(runs[0].config, ns=(0, 0))
    assert runs[0].setting("seed") == 1000
