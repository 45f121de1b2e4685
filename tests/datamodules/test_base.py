import albumentations
import pytest
import torch

from keypoints.data.augmentation import Augmentation
from keypoints.data.photo_facts import read_photo_facts
from keypoints.data.provenance import TrainingFaces
from keypoints.data.statistics import MEASURES
from keypoints.datamodules.imm import IMMDataModule
from keypoints.errors import ConfigError, DataError
from keypoints.input_files import read_bytes
from tests.data.test_dataset import assert_same


@pytest.mark.parametrize(("batch_size", "sizes"), [(23, [23]), (24, [24]), (7, [7, 7, 7, 3]), (1, [1] * 24)])
def test_a_last_training_batch_of_one_face_is_left_out(made_up_imm, batch_size, sizes):
    data = IMMDataModule(made_up_imm, batch_size=batch_size)
    data.setup()
    assert [len(batch.to_images()) for batch in data.train_dataloader()] == sizes
    assert sum(len(batch.to_images()) for batch in data.val_dataloader()) == 6


def test_only_training_faces_are_augmented(made_up_imm):
    augmentation = Augmentation({"move": albumentations.Affine(rotate=(10, 15), p=1)})
    data, bare = IMMDataModule(made_up_imm, augmentation=augmentation), IMMDataModule(made_up_imm)
    data.setup()
    bare.setup()
    assert_same(list(data.val_dataloader()), list(bare.val_dataloader()))
    assert not torch.equal(
        next(iter(data.train_dataloader())).to_images(),
        next(iter(bare.train_dataloader())).to_images(),
    )


def test_landmarks_without_mirrored_copy_refuse_a_mirroring_augmentation(made_up_imm):
    flip = Augmentation({"flip": albumentations.HorizontalFlip()})
    with pytest.raises(ConfigError, match="HorizontalFlip mirrors faces"):
        IMMDataModule(made_up_imm, landmarks="left_eye", augmentation=flip).setup()


def test_a_batch_has_the_documented_shapes_and_ranges(made_up_imm):
    data = IMMDataModule(made_up_imm, batch_size=5)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert batch.to_images().shape == (5, 1, 60, 80)
    assert batch.targets.shape == (5, 58, 2)
    assert batch.to_photo.shape == (5, 2, 3)
    assert batch.to_images().dtype == torch.float32
    # Divided by 255 once: the background stays near 0.5 - 55 / 255, and the disc is dark.
    assert -0.5 <= batch.to_images().min() < -0.3
    assert 0.25 < batch.to_images().max() <= 0.5
    assert batch.photo_sizes.tolist() == [[160, 120]] * 5


def test_each_file_is_read_once_in_a_run(own_imm, monkeypatch):
    reads = []
    monkeypatch.setattr(
        "keypoints.data.photos.read_bytes",
        lambda path, most: (reads.append(path), read_bytes(path, most))[1],
    )
    data = IMMDataModule(own_imm)
    data.setup("fit")
    data.setup("validate")
    for jpg in own_imm.glob("*.jpg"):
        jpg.unlink()
    for loader in (data.train_dataloader(), data.val_dataloader(), data.train_dataloader()):
        assert sum(len(batch.to_images()) for batch in loader) in (24, 6)
    assert len(reads) == len(set(reads)) == 30


def test_the_log_reports_cached_and_uncached_faces(made_up_imm, caplog):
    with caplog.at_level("INFO"):
        IMMDataModule(made_up_imm, width=100, height=100, memory_mb=0.1).setup("fit")
    assert "24 train faces without augmentation, 6 val faces; 0.1 MB of crops held in memory" in caplog.text
    assert "; 20 faces are read from disk at each use (memory_mb)" in caplog.text
    with pytest.raises(ConfigError, match="memory_mb is a number of megabytes from 0 up, not -1"):
        IMMDataModule(made_up_imm, memory_mb=-1)


def test_training_statistics_are_of_the_augmented_faces(made_up_imm):
    turned = Augmentation({"turn": albumentations.Affine(rotate=(90, 90), p=1)})
    data = IMMDataModule(made_up_imm, augmentation=turned)
    plain, drawn = IMMDataModule(made_up_imm).trained_on().support, data.trained_on().support
    assert set(plain) == set(MEASURES)
    assert plain["width"] == pytest.approx((160, 160))
    targets = data.dataset("train").targets
    middles = (targets.amax(dim=1) + targets.amin(dim=1)) / 2
    assert middles[:, 0].min() <= plain["across"][0] < plain["across"][1] <= middles[:, 0].max()
    # The points lie on a circle, so all faces have the same tilt.
    assert drawn["tilt"] == pytest.approx([90 - tilt for tilt in plain["tilt"]], abs=0.01)
    assert IMMDataModule(made_up_imm, augmentation=turned).trained_on().support == drawn


def test_splits_that_share_a_group_are_refused(made_up_imm):
    class Leaking(IMMDataModule):
        def read(self):
            splits = super().read()
            return {"train": splits["train"], "val": [*splits["val"], splits["train"][0]]}

    with pytest.raises(DataError, match="01: has faces in train and in val, and so have 0 more groups"):
        Leaking(made_up_imm).setup()


def test_an_unknown_split_is_refused_with_the_known_ones(made_up_imm):
    with pytest.raises(DataError, match="no split 'test'; there is train, val"):
        IMMDataModule(made_up_imm).dataset("test")


@pytest.mark.parametrize("setting", [{"batch_size": 0}, {"num_workers": -1}, {"seed": -1}])
def test_numbers_out_of_range_are_refused(made_up_imm, setting):
    with pytest.raises(ConfigError, match="has to be 1 or more"):
        IMMDataModule(made_up_imm, **setting)


def test_faces_that_another_list_names_by_their_photos_are_known(made_up_imm):
    data = IMMDataModule(made_up_imm)
    paths = [face.photo.path for face in data.splits["val"][:2]]
    ids = [facts.photo_id for facts in read_photo_facts(paths).values()]
    seen = TrainingFaces(groups=ids, validated=[], mean=[])
    assert [face.photo.path for face in data.leaks(seen, "val")] == paths
    assert data.leaks(seen, "train") == []
