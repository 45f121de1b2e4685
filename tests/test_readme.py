import re
import shlex

import pytest

from keypoints.cli import main
from tests.conftest import ROOT
from tests.docs.pages import blocks, commands


@pytest.fixture(scope="module")
def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_five_commands_run_as_one_story(readme, made_up_imm, tmp_path, monkeypatch, capsys):
    (story,) = [block for block in blocks(readme, "sh") if "keypoints train" in block]
    data = shlex.split(re.search(r"export KEYPOINTS_DATA=(\S+)", story)[1])[0]
    (tmp_path / data).mkdir(parents=True)
    (tmp_path / data / "imm_face_db").symlink_to(made_up_imm)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEYPOINTS_DATA", data)
    typed = commands(f"```sh\n{story}```\n")
    assert [words[0] for words in typed] == ["train", "evaluate", "export", "predict"]
    for words in typed:
        main([*words, "trainer.max_epochs=1", "trainer=cpu"] if words[0] == "train" else words)
    (logs,) = re.findall(r"make tensorboard LOGS=(\S+)", story)
    assert list((tmp_path / logs).glob("events.out.tfevents.*"))
    assert (tmp_path / "outputs" / "found" / "predictions.csv").is_file()


def test_the_targets_of_make_exist(readme):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(
        re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", " ".join(re.findall(r"`[^`]+`|^make .*", readme, re.M)))
    )
    assert named
    assert [name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


def test_the_readme_is_short(readme):
    assert len(readme.split()) < 800
