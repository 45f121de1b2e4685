import pytest

from keypoints.datamodules.imm import IMMDataModule
from keypoints.errors import ConfigError, DataError


def persons(data, split):
    return {int(face.group) for face in data.splits[split]}


def test_the_course_split_is_by_person(made_up_imm):
    data = IMMDataModule(made_up_imm)
    assert persons(data, "train") == {1, 2, 3, 4}
    assert persons(data, "val") == {33}


def test_folds_validate_on_training_persons_only(made_up_imm):
    held_out = []
    for fold in range(4):
        data = IMMDataModule(made_up_imm, fold=fold)
        assert persons(data, "train") | persons(data, "val") == {1, 2, 3, 4}
        assert not persons(data, "train") & persons(data, "val")
        held_out += persons(data, "val")
    assert sorted(held_out) == [1, 2, 3, 4]


def test_folds_are_by_the_persons_numbers(made_up_imm):
    assert [persons(IMMDataModule(made_up_imm, fold=fold), "val") for fold in range(4)] == [
        {1},
        {2},
        {3},
        {4},
    ]
    halves = [IMMDataModule(made_up_imm, folds=2, fold=fold, val_seed=fold) for fold in (0, 1)]
    assert [persons(data, "val") for data in halves] == [{1, 3}, {2, 4}]
    assert [persons(data, "train") for data in halves] == [{2, 4}, {1, 3}]


def test_more_folds_than_persons_are_refused(made_up_imm):
    with pytest.raises(DataError, match=r"4 training persons, 1 of them in fold 0 of 5, .* data\.folds"):
        _ = IMMDataModule(made_up_imm, folds=5, fold=0).splits
    assert persons(IMMDataModule(made_up_imm, folds=5), "val") == {33}


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


def test_the_real_folds_are_quarters_of_the_first_32_persons(real_imm):
    for fold in range(4):
        data = IMMDataModule(real_imm, fold=fold)
        assert persons(data, "val") == {person for person in range(1, 33) if (person - 1) % 4 == fold}
        assert persons(data, "train") == set(range(1, 33)) - persons(data, "val")
