import pytest
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from keypoints.commands import VERBS
from keypoints.commands.train import Train
from keypoints.config.registry import (
    conf_dir,
    is_group,
    is_path,
    is_quoted,
    is_swept,
    schema_of,
    setting_named,
)


@pytest.mark.parametrize(
    ("key", "path", "quoted", "swept"),
    [
        ("output", True, True, False),
        ("hydra.run.dir", True, True, False),
        ("paths.outputs", True, True, False),
        ("resume", True, True, False),
        ("trust", False, True, False),
        ("name", False, True, True),
        ("url", False, True, True),
        ("checkpoint", True, True, True),
        ("paths.data", True, True, True),
        ("data.train", True, True, True),
        ("model.net.encoder.weights", True, True, True),
        ("data.width", False, False, False),
        ("split", False, False, False),
        ("seed", False, False, False),
        ("nothing.at.all", False, False, False),
    ],
)
def test_types_decide_which_keys_are_quoted_and_swept(key, path, quoted, swept):
    assert (is_path(key), is_quoted(key), is_swept(key)) == (path, quoted, swept)


def test_a_path_argument_of_a_users_own_class_is_a_path(tmp_path, monkeypatch):
    (tmp_path / "conf" / "loss").mkdir(parents=True)
    (tmp_path / "conf" / "loss" / "mine.yaml").write_text("_target_: my_losses.Table\ntable: null\n")
    (tmp_path / "my_losses.py").write_text(
        "from pathlib import Path\nclass Table:\n    def __init__(self, table: Path): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert is_path("loss.table", tmp_path / "conf")
    assert not is_path("loss.table")


def test_hydra_knows_every_schema_and_accepts_keys_of_files():
    store = ConfigStore.instance()
    for verb in VERBS.values():
        assert set(schema_of(verb.config).settings)
        names = {f"{verb.config}.yaml", f"{verb.config}_schema.yaml"}
        assert names & set(store.list(""))
    node = store.load("train_schema.yaml").node
    assert OmegaConf.get_type(node) is Train
    assert OmegaConf.merge(node, {"mine": 1}).mine == 1


def test_groups_are_folders_of_the_configuration():
    assert is_group("data")
    assert not is_group("seed")
    assert (conf_dir() / "train.yaml").is_file()


def test_a_setting_can_be_found_by_its_name():
    assert setting_named("folder").sentence == "Folder of a run or of a sweep."
    assert setting_named("nothing") is None
