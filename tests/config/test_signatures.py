import inspect
from importlib import import_module

import pytest

import keypoints
from keypoints.config.settings import ANY, LIST, MAPPING, NUMBER, PATH, SWITCH, WHOLE, WORD
from keypoints.config.signatures import parameters

OURS = [
    *("ConvNet", "HeatmapNet", "TorchvisionNet", "ConvEncoder", "TorchvisionEncoder"),
    *("TimmNet", "TimmEncoder", "UNet"),
    *("RegressionTask", "HeatmapTask", "WingLoss", "AdaptiveWingLoss", "HeatmapKLLoss"),
    *("IMMDataModule", "IBUG300WDataModule", "LabelledDataModule", "Augmentation", "LowResolution"),
    *("FirstLayerFilters", "ValidationPanel", "ProgressBar", "LastCheckpoint", "MetricsTable"),
]


@pytest.mark.parametrize("name", OURS)
def test_parameters_read_from_the_source_equal_pythons_signature(name):
    signature = inspect.signature(getattr(keypoints, name).__init__)
    named = [
        each.name
        for each in signature.parameters.values()
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD) and each.name != "self"
    ]
    assert list(parameters(f"keypoints.{name}")) == named


@pytest.mark.parametrize("target", ["torch.optim.Adam", "pytorch_lightning.Trainer", "albumentations.Affine"])
def test_classes_of_other_packages_are_found_through_their_exports(target):
    module, _, name = target.rpartition(".")
    theirs = inspect.signature(getattr(import_module(module), name).__init__).parameters
    assert set(parameters(target)) == set(theirs) - {"self"}


@pytest.mark.parametrize(
    ("target", "name", "types", "optional"),
    [
        ("keypoints.LabelledDataModule", "train", {PATH}, True),
        ("keypoints.LabelledDataModule", "margin", {NUMBER}, False),
        ("keypoints.LabelledDataModule", "strict", {SWITCH}, False),
        ("keypoints.TorchvisionEncoder", "weights", {PATH}, True),
        ("keypoints.ConvNet", "pooling", {WHOLE, LIST}, False),
        ("keypoints.ConvNet", "normalization", {WORD}, False),
        ("pytorch_lightning.Trainer", "max_epochs", {WHOLE}, True),
        ("pytorch_lightning.Trainer", "devices", {WHOLE, WORD, LIST}, False),
        ("torch.optim.Adam", "lr", {NUMBER, ANY}, False),
    ],
)
def test_types_come_from_the_annotations(target, name, types, optional):
    found = parameters(target)[name]
    assert (found.types, found.optional) == (types, optional)


def test_the_words_of_a_literal_are_choices():
    assert parameters("keypoints.LabelledDataModule")["source"].choices == ("image", "box")


def test_descriptions_come_from_the_docstring_or_a_class_it_names():
    assert parameters("keypoints.ConvNet")["hidden"].sentence == "width of the first linear layer."
    for name in ("IMMDataModule", "LabelledDataModule"):
        sentence = parameters(f"keypoints.{name}")["memory_mb"].sentence
        assert sentence.startswith("most memory for cached crops")


@pytest.mark.parametrize("target", ["nowhere.Net", "keypoints.Nothing", "keypoints.nothing.Net", "torch.no"])
def test_a_target_that_is_not_found_has_no_parameters(target):
    assert parameters(target) == {}


def test_code_is_not_run_and_damaged_files_are_ignored(tmp_path, monkeypatch):
    (tmp_path / "loud.py").write_text(
        "raise SystemExit(3)\nclass Net:\n    def __init__(self, a: int): ...\n"
    )
    (tmp_path / "broken.py").write_text("class Net(:\n")
    (tmp_path / "plain.py").write_text(
        "class Base:\n    def __init__(self, b: 'dict[str, int] | None' = None): ...\n"
        "class Net(Base):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert parameters("loud.Net")["a"].types == {WHOLE}
    assert parameters("broken.Net") == {}
    assert parameters("plain.Net")["b"].types == {MAPPING}
    assert parameters("plain.Net")["b"].optional


def test_a_dataclass_inherits_settings_through_a_package_too(tmp_path, monkeypatch):
    head = "from dataclasses import dataclass, field\nimport keypoints\nimport keypoints as kp\n"
    bodies = [
        f"@dataclass(kw_only=True)\nclass {name}({base}):\n    extra: int = 3\n"
        for name, base in (("One", "keypoints.IMMDataModule"), ("Two", "kp.IMMDataModule"))
    ]
    (tmp_path / "dotted.py").write_text(head + "".join(bodies))
    monkeypatch.syspath_prepend(tmp_path)
    own = list(parameters("keypoints.IMMDataModule"))
    for name in ("One", "Two"):
        assert list(parameters(f"dotted.{name}")) == [*own, "extra"]
        assert parameters(f"dotted.{name}")["fold"].types == {WHOLE}
