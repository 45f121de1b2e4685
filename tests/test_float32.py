"""A training and a prediction use no float64 tensors, which some devices (MPS) do not have."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from keypoints.commands import compose
from keypoints.data.readers.imm import read_imm
from keypoints.data.readers.labelled import write_labelled
from keypoints.inference.model import load_model
from keypoints.runs.run_folder import RunFolder
from keypoints.schemes import IMM58
from keypoints.training import fit
from tests.conftest import write_imm
from tests.working import train

SMALL = (
    *("data=labelled", "data.scheme=imm58", "data.source=image", "data.width=48", "data.height=32"),
    *("trainer=cpu", "trainer.max_epochs=1", "~callbacks.progress"),
)


class Float32Only(TorchDispatchMode):
    """Mode that refuses operations on tensors of 64-bit floating-point numbers, and counts the others."""

    def __init__(self):
        super().__init__()
        self.counted = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves((args, kwargs, result)):
            if isinstance(each, torch.Tensor) and each.dtype in (torch.float64, torch.complex128):
                raise TypeError(f"{func} on a tensor in {each.dtype}")
        self.counted[str(func)] += 1
        return result


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """List of faces in which some points lack a label."""
    folder = write_imm(tmp_path_factory.mktemp("faces") / "imm_face_db")
    random, listed = np.random.default_rng(0), []
    for face in read_imm(folder)[::2]:
        points = face.landmarks().copy()
        points[random.random(58) < 0.1] = np.nan
        listed.append(replace(face, points=points))
    path = folder / "list.csv"
    write_labelled(listed, path, "csv", scheme=IMM58)
    return path


@pytest.fixture
def counted(monkeypatch):
    """Operations of the fit, which is checked."""
    mode, before = Float32Only(), fit.fit

    def checked(parts):
        with mode:
            before(parts)

    monkeypatch.setattr(fit, "fit", checked)
    return mode.counted


@pytest.mark.parametrize(
    "overrides",
    [
        [
            "model=convnet",
            "model.net.hidden=8",
            "loss=wing",
            "scheduler=plateau",
            "augmentation=rotate_shift",
        ],
        ["model=heatmap", "model.coordinate_weight=1", "optimizer=adamw", "scheduler=one_cycle"],
        ["model=unet", "model.net.width=2", "callbacks=weight_averaging", "augmentation=wild"],
        ["model=adaptive_wing_resnet18", "loss=smooth_l1", "optimizer=sgd", "scheduler=cosine"],
    ],
    ids=lambda overrides: overrides[0],
)
def test_a_training_has_no_float64(overrides, faces, counted, tmp_path):
    cfg = compose("train", [*SMALL, *overrides, f"data.train={faces}", f"output={tmp_path / 'run'}"])
    train(cfg)
    assert {"aten.convolution_backward.default", "aten.where.self"} <= set(counted)  # loss of labelled points
    model = load_model(RunFolder(tmp_path / "run").best_checkpoint)
    with Float32Only():
        located = model(np.zeros((2, 1, 32, 48), np.float32))
    assert located.points.dtype == np.float64


def test_the_mode_refuses_float64():
    with pytest.raises(TypeError, match=r"float64"), Float32Only():
        torch.zeros(2).double()
