import numpy as np
import pytest

from keypoints.errors import ConfigError
from keypoints.inference.model import load_model


def test_load_model_gives_checkpoint_and_onnx_file_one_interface(untrained, exported):
    images = np.zeros((3, 1, 48, 48), np.float32)
    one, other = load_model(untrained), load_model(exported)
    assert (one.scheme, one.crop) == (other.scheme, other.crop)
    np.testing.assert_allclose(one(images).points, other(images).points, atol=1e-4)
    assert one.runtime.startswith("torch on ")
    assert other.runtime == "onnxruntime on cpu, float32"


def test_an_onnx_file_has_a_provider_and_a_checkpoint_a_device(untrained, exported):
    assert load_model(exported, device="cpu").at_once > 1
    assert load_model(exported, provider="CPUExecutionProvider").runtime == "onnxruntime on cpu, float32"
    assert load_model(exported, provider="CPU").runtime == "onnxruntime on cpu, float32"
    with pytest.raises(ConfigError, match=r"model\.onnx: device=cuda is for checkpoints.*provider=cuda"):
        load_model(exported, device="cuda")
    with pytest.raises(ConfigError, match=r"provider=none: onnxruntime has .*cpu.* here"):
        load_model(exported, provider="none")
    with pytest.raises(ConfigError, match="provider=cpu is for ONNX files"):
        load_model(untrained, provider="cpu")
