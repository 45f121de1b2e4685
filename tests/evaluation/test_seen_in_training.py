import pytest

from keypoints.data.provenance import TrainingFaces
from keypoints.datamodules.imm import IMMDataModule
from keypoints.errors import ConfigError
from keypoints.evaluation.seen_in_training import training_notes


@pytest.fixture
def data(made_up_imm):
    return IMMDataModule(made_up_imm)


def kept(groups=(), validated=()):
    return TrainingFaces(list(groups), list(validated), mean=[])


def notes(data, trained_on, split="val", *, own_data=False, force=False):
    return training_notes("model.onnx", trained_on, data, split, own_data=own_data, force=force)


def group(data, split):
    return data.splits[split][0].group


def test_faces_seen_in_training_are_refused_unless_forced(data):
    seen = kept([group(data, "val")])
    with pytest.raises(ConfigError, match=r"model\.onnx: was trained on \d+ of the .* of val.*force=true"):
        notes(data, seen)
    assert notes(data, seen, force=True)[0].startswith("forced: the model was trained on")
    assert notes(data, seen, "train") == []


def test_the_training_split_of_the_models_own_run_is_allowed(data):
    seen = kept([group(data, "train")])
    assert notes(data, seen, "train", own_data=True) == []
    with pytest.raises(ConfigError, match="of train"):
        notes(data, seen, "train")


def test_faces_that_selected_the_best_epoch_are_noted(data):
    assert "best epoch was selected on" in notes(data, kept([], [group(data, "train")]), "train")[0]
    assert notes(data, kept([], [group(data, "val")])) == []  # val is there to select it


def test_a_model_without_provenance_is_noted(data):
    assert "does not say which faces" in notes(data, None)[0]
