import re

import pytest

from keypoints.cli import main
from keypoints.commands import VERBS
from keypoints.config.registry import schema_of


@pytest.fixture
def shown(monkeypatch, capsys):
    """Function that returns the help of a command on a terminal with 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def show(*arguments):
        main([*arguments, "--help"])
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return show


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_help_lists_every_setting_with_type_and_description(verb, shown):
    text = shown(*verb.name.split())
    flowing = " ".join(text.split())
    for each in schema_of(verb.config).all.values():
        assert f"{each.key}={each.kind}" in text
        assert " ".join(each.sentence.split()[:6]) in flowing
    assert text.startswith(f"usage: keypoints {verb.name}")
    assert f"Writes: {verb.writes.split()[0]}" in text
    assert text.count("\n  keypoints ") == 3


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_help_fits_a_terminal_except_long_values(verb, shown):
    lines = shown(*verb.name.split()).splitlines()
    wide = [line for line in lines if len(line) > 80 and not re.match(r"    \S+=", line)]
    assert wide == []


def test_help_shows_required_settings_and_the_positional_one(shown):
    text = shown("predict")
    assert text.startswith("usage: keypoints predict CHECKPOINT … input=PATH output=FOLDER [key=value …]\n")
    required = text.partition("Required:")[2].partition("Settings:")[0]
    assert re.findall(r"^  (\w+)=", required, re.MULTILINE) == ["checkpoint", "input", "output"]
    assert "usage: keypoints evaluate [CHECKPOINT] [key=value …]\n" in shown("evaluate")
    assert "usage: keypoints data convert SOURCE format={csv,hrnet,coco,dlib}" in shown("data", "convert")


def test_help_of_train_lists_the_options_of_groups(shown):
    text = shown("train")
    flowing = " ".join(text.split())
    assert "* convnet" in text
    assert "model.net.hidden=128  (int)\n" in text
    assert "data.root=${paths.data}/imm_face_db  (path)\n" in text
    assert "width of the first linear layer" in flowing.lower()
    assert "Also sets data.num_workers, callbacks.channels_last." in flowing
    assert "Stop training once this number of epochs is reached" in flowing or "epochs" in flowing


def test_help_shows_chosen_options_and_values(shown):
    text = shown("train", "experiment=nose_tip", "model=heatmap", "trainer=gpu", "seed=4")
    assert "* heatmap\n" in text or "* heatmap " in text
    assert "model.sigma=1" in text
    assert "data.num_workers=8" in text
    assert "data.landmarks=nose_tip" in text
    assert "(default 4, from 0 up)" in " ".join(text.split())


def test_a_default_choice_is_shown_as_it_is_typed(shown):
    flowing = " ".join(shown("evaluate").split())
    assert "or false. (default false)" in flowing  # refine, whose choices are words
    assert "smaller errors. (default false)" in flowing  # flip_test, a boolean


def test_help_lists_a_users_own_options(shown, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(
        "# A network of mine.\n_target_: keypoints.RegressionTask\n"
        "net:\n  _target_: mine.Net\n  depth: 7 # layers\n"
    )
    text = shown("train", "--config-dir", str(tmp_path), "model=mine")
    assert re.search(r"\* mine +A network of mine\.", text)
    assert re.search(r"model\.net\.depth=7  \(number\)\n +layers\n", text)


def test_help_of_an_invalid_configuration_is_one_line(capsys):
    with pytest.raises(SystemExit, match="1"):
        main(["train", "experiment=nothing", "--help"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "experiment/nothing" in line
