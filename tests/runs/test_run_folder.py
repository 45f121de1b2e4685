import json

import pytest

from keypoints.errors import DataError
from keypoints.files import write_atomically
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
