import json

import pytest

from keypoints.errors import DataError
from keypoints.files import write_whole
from keypoints.landmarks import IMM58
from keypoints.runs.run_folder import RunFolder


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def test_the_landmarks_are_read_or_it_is_said_that_they_cannot_be(run):
    run.path.mkdir()
    assert run.scheme() is None
    write_whole(run.landmarks, json.dumps(IMM58.to_dict()))
    assert run.scheme() == IMM58
    for damage in ("{", "[1]", '{"name": "x"}'):
        write_whole(run.landmarks, damage)
        with pytest.raises(DataError, match=r"landmarks\.json: cannot be read"):
            run.scheme()


def test_a_damaged_configuration_is_named(run):
    run.path.mkdir()
    for damage in ("[1, 2", "- 1"):
        run.config.write_text(damage)
        with pytest.raises(DataError, match=r"config\.yaml"):
            run.setting("name")
