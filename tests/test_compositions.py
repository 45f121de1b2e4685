from typing import Any

import pytest
from omegaconf import OmegaConf

from keypoints.commands import compose
from tests import compositions


@pytest.mark.parametrize(
    ("verb", "overrides"),
    [
        ("train", ["experiment=full_face", "data.root=/some/faces", "~callbacks.progress", "output=/a/run"]),
        (
            "train",
            ["output=/a/run", "data=labelled", "data.train=/a.csv", "data.val=/b.csv", "output=/b/run"],
        ),
        ("bench", ["input=/photos", "predict=/a.onnx", "input=null", "output=/out"]),
        ("evaluate", ["checkpoint=/a/best.ckpt", "data=ibug300w", "data.root=/some", "paths.data=/other"]),
        ("predict", ["checkpoint=/a/best.ckpt", "input=/photos", "output=/somewhere/new"]),
    ],
)
def test_a_remembered_composition_is_hydras_for_other_paths(monkeypatch, verb, overrides):
    asked: list[Any] = []
    real = compositions.hydras

    def hydras(*arguments, **keywords):
        asked.append(arguments)
        return real(*arguments, **keywords)

    compose(verb, [each.replace("=/", "=/earlier/") for each in overrides])
    with monkeypatch.context() as patched:
        patched.setattr(compositions, "hydras", hydras)
        remembered = compose(verb, overrides)
        assert not asked
        patched.setattr("hydra.compose", hydras)
        assert OmegaConf.to_container(remembered) == OmegaConf.to_container(compose(verb, overrides))
        assert asked
