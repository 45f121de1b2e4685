from dataclasses import dataclass, field, fields

import pytest

from keypoints import FaceDataModule, IBUG300WDataModule, IMMDataModule, LabelledDataModule
from keypoints.commands import compose
from keypoints.crop import Crop
from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.datamodules.settings import BoxSettings, FaceSettings
from keypoints.errors import ConfigError
from keypoints.schemes import IMM58


@dataclass(kw_only=True, eq=False, repr=False)
class Own(FaceDataModule):
    """Datamodule written as docs/how-to/own_dataset.md describes."""

    root: str = field(kw_only=False)
    width: int = 40
    height: int = 30
    batch_size: int = 2

    def __post_init__(self):
        super().__post_init__()
        self.set_faces(IMM58, Crop(self.width, self.height, self.channels))

    def read(self):
        return {}


class Older(FaceDataModule):
    """Datamodule that defines ``__init__``."""

    def __init__(self, root, *, landmarks=None, batch_size=4, num_workers=0, seed=0, augmentation=None):
        super().__init__(
            scheme=IMM58,
            landmarks=landmarks,
            crop=Crop(40, 30, 3),
            batch_size=batch_size,
            num_workers=num_workers,
            seed=seed,
            augmentation=augmentation,
        )

    def read(self):
        return {}


@pytest.mark.parametrize("kind", [Own, Older])
def test_a_subclass_may_be_a_dataclass_or_have_a_constructor(kind):
    data = kind("folder", landmarks="nose_tip", batch_size=8)
    assert (data.batch_size, data.num_workers, data.memory, data.strict) == (8, 0, 2_000_000_000, True)
    assert (data.crop.size, data.width, data.height) == ((40, 30), 40, 30)
    assert data.channels == data.crop.channels
    assert len(data.scheme) == 1
    assert data.trainer is None  # Lightning's constructor was called


def test_a_subclass_that_reads_only_training_faces_has_folds(tmp_path):
    faces = [
        Face(Photo(tmp_path / f"{number}.png"), None, None, group=f"{number // 2}") for number in range(10)
    ]

    class Listed(Own):
        def read(self):
            return {"train": faces}

    validated = []
    for fold in range(5):
        splits = Listed("folder", folds=5, fold=fold).splits
        assert list(splits) == ["train", "val"]
        assert len(splits["train"]) == 8
        validated += splits["val"]
        other = Listed("folder", folds=5, fold=fold, seed=1).splits
        assert other["val"] == splits["val"]
    assert {face.name for face in validated} == {face.name for face in faces}
    assert len(validated) == 10
    assert Listed("folder", folds=5).splits == {"train": faces}


@pytest.mark.parametrize("kind", [Own, Older])
def test_an_invalid_value_is_refused(kind):
    with pytest.raises(ConfigError, match="batch_size has to be 1 or more"):
        kind("folder", batch_size=0)
    with pytest.raises(ConfigError, match="mouth"):
        kind("folder", landmarks="mouths")


def test_invalid_folds_are_refused():
    with pytest.raises(ConfigError, match="fold is a number from 0 to 4"):
        Own("folder", folds=5, fold=5)
    with pytest.raises(ConfigError, match=r"needs the number of folds: data\.folds"):
        Own("folder", fold=0)


def test_an_unknown_setting_of_a_subclass_is_refused():
    with pytest.raises(TypeError, match="shuffle"):
        Own("folder", shuffle=True)
    with pytest.raises(TypeError, match="shuffle"):
        FaceDataModule.__init__(object.__new__(Older), scheme=IMM58, crop=Crop(4, 3), shuffle=True)


@pytest.mark.parametrize(
    ("option", "kind"),
    [("imm", IMMDataModule), ("ibug300w", IBUG300WDataModule), ("labelled", LabelledDataModule)],
)
def test_configuration_and_class_have_the_same_defaults(option, kind):
    given = {each.name: each.default for each in fields(kind)}
    options = compose("train", [f"data={option}", "model=convnet"]).data
    compared = set(options) & set(given) - {"root", "train"}
    assert {"width", "batch_size", "memory_mb"} <= compared
    for name in compared:
        assert options[name] == given[name], name


def test_each_shared_setting_is_described_once():
    shared = {each.name for each in fields(BoxSettings)}
    for kind in (IMMDataModule, IBUG300WDataModule, LabelledDataModule):
        described = {line.partition(":")[0].strip() for line in (kind.__doc__ or "").splitlines()}
        assert not described & shared
    for kind in (FaceSettings, BoxSettings):
        for name in kind.__annotations__:
            assert f"\n        {name}: " in kind.__doc__
