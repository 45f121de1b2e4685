from dataclasses import dataclass
from typing import Any

import pytest
from omegaconf import MISSING, OmegaConf

from keypoints.config.settings import (
    FilePath,
    Names,
    OutputFolder,
    Text,
    setting,
    settings_of,
    within,
)
from keypoints.errors import ConfigError


@dataclass
class Inner:
    folder: OutputFolder = setting("out", "Folder.")


@dataclass
class Example:
    count: int = setting(3, "Number of things.", at_least=1)
    share: float = setting(0.5, "Share.", above=0, at_most=1)
    switch: bool = setting(False, "Switch.")
    kind: str = setting("a", "Kind.", choices=("a", "b"))
    photo: FilePath = setting(MISSING, "Photo.")
    title: Text | None = setting(None, "Title.")
    packages: Names = setting(None, "Packages.")
    inner: dict[str, Any] = within(Inner)


SETTINGS = settings_of(Example)


def test_a_schema_returns_its_settings_by_dotted_key():
    assert list(SETTINGS) == [
        *("count", "share", "switch", "kind", "photo", "title", "packages", "inner.folder")
    ]
    assert [key for key, each in SETTINGS.items() if each.required] == ["photo"]
    assert [key for key, each in SETTINGS.items() if each.quoted] == [
        *("photo", "title", "packages", "inner.folder")
    ]
    assert SETTINGS["inner.folder"].place == "folder"
    assert SETTINGS["photo"].place is None
    assert SETTINGS["count"].sentence == "Number of things."


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("count", 1, 1),
        ("share", 1, 1),
        ("switch", "no", False),
        ("switch", "ON", True),
        ("switch", 1, True),
        ("kind", "b", "b"),
        ("photo", "a, [b].jpg", "a, [b].jpg"),
        ("photo", "???", "???"),
        ("title", None, None),
        ("title", 2024, 2024),
        ("packages", ["a", "b"], ["a", "b"]),
        ("packages", None, None),
        ("count", "${seed}", "${seed}"),
    ],
)
def test_a_valid_value_is_normalised(key, value, meant):
    assert SETTINGS[key].checked(value) == meant


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("count", 0, "count is a whole number from 1 up, not 0"),
        ("count", 1.5, "count is a whole number from 1 up, not 1.5"),
        ("count", True, "count is a whole number from 1 up, not True"),
        ("count", None, "count is a whole number from 1 up, not None"),
        ("share", 0, "share is a finite number above 0 to 1, not 0"),
        ("share", float("nan"), "share is a finite number above 0 to 1, not nan"),
        ("share", "much", "share is a finite number above 0 to 1, not 'much'"),
        ("switch", "maybe", "switch is true or false, not 'maybe'"),
        ("switch", None, "switch is true or false, not None"),
        ("kind", "c", "kind is one of a, b, not 'c'"),
        ("photo", ["a"], r"photo is a path, not \['a'\]"),
        ("title", {}, "title is a text, or null, not {}"),
        ("packages", 3, "packages is a list of names, or null, not 3"),
        ("photo", None, "photo is a path, not None"),
    ],
)
def test_an_invalid_value_is_refused_with_its_key(key, value, says):
    with pytest.raises(ConfigError, match=f"^{says}$"):
        SETTINGS[key].checked(value)


def test_a_schema_is_a_structured_config():
    cfg = OmegaConf.structured(Example)
    cfg.switch = "yes"
    assert cfg.switch is True
    assert OmegaConf.is_missing(cfg, "photo")
    with pytest.raises(Exception, match="could not be converted to Integer"):
        cfg.count = "many"
