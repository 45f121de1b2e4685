from itertools import zip_longest

import pytest

from keypoints.commands import compose
from keypoints.config import options
from keypoints.config.registry import conf_dir
from keypoints.errors import ConfigError


@pytest.fixture
def folders(tmp_path):
    """The package's folder, and a user's folder with an option that builds on one of the package."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text(
        "# Faces of mine. With more to say.\ndefaults:\n  - labelled\n\nwidth: 96 # pixels of mine\n"
        "photos:\n  _target_: keypoints.IMMDataModule\n  root: null\n"
    )
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "fast.yaml").write_text(
        "# @package _global_\n# Fast\ntrainer:\n  max_epochs: 1\ndata:\n  num_workers: 3\ncallbacks:\n"
        "  mine:\n    _target_: mine.Callback\n"
    )
    return (tmp_path, conf_dir())


def test_groups_and_options_come_from_all_folders(folders):
    assert {"data", "model", "trainer"} <= set(options.groups(folders))
    assert {"imm", "mine", "labelled"} <= set(options.options(folders, "data"))


def test_an_option_is_described_by_the_first_sentence_of_its_file(folders):
    assert options.about(folders, "data", "mine") == "Faces of mine."
    assert options.about(folders, "trainer", "fast") == "Fast"
    assert options.about(folders, "trainer", "none") == ""


def test_keys_that_an_option_sets_in_other_groups_are_listed(folders):
    assert options.reach(folders, "trainer", "fast") == ["data.num_workers", "callbacks.mine"]
    assert options.reach(folders, "data", "mine") == []
    assert options.reach(folders, "trainer", "gpu") == ["data.num_workers", "callbacks.channels_last"]


def test_every_option_of_the_package_is_described():
    folders = (conf_dir(),)
    for group in options.groups(folders):
        for option in options.options(folders, group):
            assert options.about(folders, group, option), f"{group}={option}"


def test_a_key_is_a_path_if_any_option_says_so(folders):
    assert options.is_path(folders, "data.train")
    assert options.is_path(folders, "data.photos.root")
    assert options.is_path(folders, "model.net.weights")
    assert options.is_path(folders, "model.net.encoder.weights")
    assert not options.is_path(folders, "data.width")
    assert not options.is_path(folders, "data")


def test_a_description_is_the_nearest_comment_else_the_docstring(folders):
    cfg = compose("train", ["data=labelled", "data.train=x"])

    def said(key, choice):
        return options.sentence(folders, key, choice, options.setting_of(cfg, key))

    assert said("data.width", "mine") == "pixels of mine"
    assert said("data.width", "labelled") != "pixels of mine"
    assert said("model.net.hidden", "convnet")
    assert said("trainer.max_epochs", "default")


def test_every_value_in_a_group_of_the_package_is_described():
    folders = (conf_dir(),)
    groups = ("data", "model", "trainer", "augmentation", "callbacks")
    choices = zip_longest(*(options.options(folders, group) for group in groups))
    for chosen in choices:  # one option of each group at a time: a composition takes a fifth of a second
        named = {group: option for group, option in zip(groups, chosen, strict=True) if option is not None}
        cfg = compose("train", [*(f"{group}={option}" for group, option in named.items()), "output=x"])
        for group, option in named.items():
            for key in dict(options.leaves({group: cfg.get(group) or {}})):
                if key.endswith("._target_") or not options.is_ours(cfg, key):
                    continue
                setting = options.setting_of(cfg, key)
                assert options.sentence(folders, key, option, setting), f"{group}={option}: {key}"


@pytest.mark.parametrize(
    ("overrides", "key", "value", "says"),
    [
        (["data=labelled"], "data.source", "face", "one of image, box"),
        ([], "data.fold", "two", "a whole number, or null"),
        (["model=heatmap"], "model.net.encoder.depth", 1.5, "a whole number"),
        (["model=heatmap"], "model.sigma", "wide", "a finite number"),
        (["optimizer=sgd"], "optimizer.nesterov", "perhaps", "true or false"),
        ([], "trainer.max_epochs", "many", "a number, or null"),
    ],
)
def test_a_value_is_checked_by_its_class(overrides, key, value, says):
    cfg = compose("train", overrides)
    with pytest.raises(ConfigError, match=f"^{key} is {says}, not "):
        options.setting_of(cfg, key).checked(value)


def test_a_value_unknown_to_its_class_is_checked_by_its_default(tmp_path):
    cfg = compose("train", ["+data.mine=true", "+data.other={a:1}"])
    with pytest.raises(ConfigError, match=r"^data.mine is true or false"):
        options.setting_of(cfg, "data.mine").checked(3)
    assert options.setting_of(cfg, "data.other").checked([1]) == [1]
