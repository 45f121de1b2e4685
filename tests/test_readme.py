import re
import shlex

import pytest

from keypoints.commands import compose
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_examples_run(readme, made_up_imm, finished_run, tmp_path, monkeypatch):
    code, notebook = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "imm_face_db").symlink_to(made_up_imm)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code.replace("max_epochs=25", "max_epochs=1"), "README.md", "exec"), names)
    assert names["task"].scheme.name == "imm58-nose_tip"
    assert names["faces"][0].points.shape == (1, 2)
    notebook = re.sub(r"outputs/[^\"]*", str(finished_run), notebook)
    exec(compile(notebook, "README.md", "exec"), names)
    assert names["run"].path == finished_run


def test_every_command_in_the_table_composes(readme):
    commands = re.findall(r"^\| `keypoints train (.*?)` \|", readme, re.MULTILINE)
    assert len(commands) >= 7
    for command in commands:
        # One value of each sweep; the folders in resume=… do not exist.
        typed = [re.split(r",(?![^\[]*\])", word)[0] for word in shlex.split(command) if "=" in word]
        compose("train", [word for word in typed if not word.startswith("resume=")])


def test_every_linked_picture_and_page_exists(readme):
    for link in re.findall(r"\]\((?!http)([^)]*)\)", readme):
        assert (ROOT / link).is_file(), link


def test_the_table_of_packages_is_complete_and_correct(readme):
    table = readme.partition("## Packages")[2].partition("###")[0]
    named = set()
    for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", row):
            places = [ROOT / name, ROOT / "keypoints" / name]
            assert any(place.exists() for place in places), name
            named.add(name.removeprefix("keypoints/").strip("/").partition("/")[0])
    there = {path.name for path in (ROOT / "keypoints").iterdir() if not path.name.startswith("_")}
    assert there - {"py.typed"} <= named
