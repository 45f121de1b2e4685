import re

import pytest

from keypoints.configuration import compose
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs_as_it_stands(readme, made_up_imm, tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "imm_face_db").symlink_to(made_up_imm)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code.replace("max_epochs=25", "max_epochs=1"), "README.md", "exec"), names)
    assert names["task"].scheme.name == "imm58-nose_tip"


def test_every_command_in_the_table_composes(readme):
    commands = re.findall(r"^\| `keypoints train (.*?)` \|", readme, re.MULTILINE)
    overrides = [
        [word for word in command.split() if "=" in word and "," not in word] for command in commands
    ]
    assert len(overrides) >= 5
    for given in overrides:
        compose("train", given)


def test_the_map_names_rooms_that_are_there(readme):
    for room in re.findall(r"^\| `((?:keypoints|conf|tests)/[^`]*)`", readme, re.MULTILINE):
        assert (ROOT / room).exists(), room
