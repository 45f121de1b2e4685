import pytest

from keypoints.datamodules.imm import FOLDS, IMMDataModule
from keypoints.errors import ConfigError, DataError


def persons(data, split):
    return {int(face.group) for face in data.read()[split]}


def test_the_course_split_is_by_person(made_up_imm):
    data = IMMDataModule(made_up_imm)
    assert persons(data, "train") == {1, 2, 3, 4}
    assert persons(data, "val") == {33}


def test_folds_validate_on_training_persons_only(made_up_imm):
    held_out = []
    for fold in range(FOLDS):
        data = IMMDataModule(made_up_imm, fold=fold)
        assert persons(data, "train") | persons(data, "val") == {1, 2, 3, 4}
        assert not persons(data, "train") & persons(data, "val")
        held_out += persons(data, "val")
    assert sorted(held_out) == [1, 2, 3, 4]


@pytest.mark.parametrize(("landmarks", "points"), [(None, 58), ("nose_tip", 1), ("jaw", 13)])
def test_the_targets_are_the_selected_landmarks(made_up_imm, landmarks, points):
    data = IMMDataModule(made_up_imm, landmarks=landmarks)
    data.setup()
    assert len(data.scheme) == points
    assert next(iter(data.val_dataloader())).targets.shape == (6, points, 2)


def test_a_split_without_persons_is_refused(made_up_imm):
    with pytest.raises(DataError, match="no person for val"):
        IMMDataModule(made_up_imm, train_persons=40).read()


def test_unknown_folds_and_landmarks_are_refused(made_up_imm):
    with pytest.raises(ConfigError, match="fold is a number from 0 to 3"):
        IMMDataModule(made_up_imm, fold=4)
    with pytest.raises(ConfigError, match="no landmarks 'chin'"):
        IMMDataModule(made_up_imm, landmarks="chin")


def test_the_real_splits_have_192_and_48_pictures(real_imm):
    splits = IMMDataModule(real_imm).read()
    assert {split: len(faces) for split, faces in splits.items()} == {"train": 192, "val": 48}
    assert {int(face.group) for face in splits["val"]} == set(range(33, 41))
