import pytest
import torch
from torch.utils.data import DataLoader

from keypoints.datamodules.base import EpochSampler, FaceDataset
from keypoints.datamodules.imm import IMMDataModule
from keypoints.datasets.imm import read_imm
from keypoints.datasets.photos import Photo
from keypoints.errors import ConfigError, DataError
from keypoints.geometry import Box, Crop
from keypoints.landmarks import IMM58


def order(epoch, seed=0, length=20):
    sampler = EpochSampler(length, seed=seed, shuffle=True)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    assert order(3) == order(3)
    assert order(3) != order(4)
    assert order(3, seed=1) != order(3)


def test_each_epoch_has_every_face_once_and_says_which_epoch_it_is():
    assert sorted(order(7)) == [(7, index) for index in range(20)]


def test_without_shuffling_the_faces_come_in_their_own_order():
    assert list(EpochSampler(3, seed=0, shuffle=False)) == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize(("workers", "persistent"), [(1, False), (2, True)])
def test_workers_change_nothing(made_up_imm, workers, persistent):
    faces = FaceDataset(read_imm(made_up_imm)[:8], (52,), Crop(80, 60))

    def batches(**how):
        sampler = EpochSampler(len(faces), seed=0, shuffle=True)
        loader = DataLoader(faces, batch_size=3, sampler=sampler, **how)
        for epoch in range(2):
            sampler.set_epoch(epoch)
            yield from loader

    expected = list(batches())
    found = list(batches(num_workers=workers, persistent_workers=persistent))
    assert len(found) == len(expected) == 6
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_batch_has_the_shapes_and_ranges_it_promises(made_up_imm):
    data = IMMDataModule(made_up_imm, batch_size=5)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert batch.images.shape == (5, 1, 60, 80)
    assert batch.targets.shape == (5, 58, 2)
    assert batch.to_photo.shape == (5, 2, 3)
    assert batch.images.dtype == torch.float32
    # Divided by 255 once: white stays near 0.5 - 55 / 255 and the disc is dark.
    assert -0.5 <= batch.images.min() < -0.3
    assert 0.25 < batch.images.max() <= 0.5
    assert batch.photo_sizes.tolist() == [[160, 120]] * 5


def test_the_target_lies_on_the_picture_and_leads_back_to_the_photo(made_up_imm):
    data = IMMDataModule(made_up_imm, landmarks="nose_tip", width=40, height=40)
    data.setup()
    faces = data.dataset("train")
    for index, face in enumerate(faces.faces):
        sample = faces[0, index]
        pixels = sample.targets[0] * 40 - 0.5
        x, y = pixels.round().int().tolist()
        assert sample.images[0, y, x] < -0.3  # the nose tip is the centre of the dark disc
        photo = sample.to_photo[:, :2] @ pixels + sample.to_photo[:, 2]
        assert torch.allclose(photo, torch.tensor(face.landmarks()[52]).float(), atol=1e-3)


def test_no_file_is_read_twice_in_a_run(own_imm, monkeypatch):
    reads = []
    read = type(own_imm).read_bytes
    monkeypatch.setattr(type(own_imm), "read_bytes", lambda path: (reads.append(path), read(path))[1])
    data = IMMDataModule(own_imm)
    data.setup("fit")
    data.setup("validate")
    for jpg in own_imm.glob("*.jpg"):
        jpg.unlink()
    for loader in (data.train_dataloader(), data.val_dataloader(), data.train_dataloader()):
        assert sum(len(batch.images) for batch in loader) in (24, 6)
    assert len(reads) == len(set(reads)) == 30


def test_a_face_whose_box_misses_the_photo_is_named(made_up_imm):
    face = read_imm(made_up_imm)[0]
    beside = type(face)(Photo(face.photo.path), Box(500, 0, 50, 50), face.points, face.group)
    with pytest.raises(DataError, match=r"01-1m\.jpg: .*outside the picture"):
        FaceDataset([beside], range(len(IMM58)), Crop(80, 60, source="box"))


def test_an_unknown_split_lists_the_known_ones(made_up_imm):
    data = IMMDataModule(made_up_imm)
    with pytest.raises(DataError, match="none yet"):
        data.dataset("train")
    data.setup()
    with pytest.raises(DataError, match="there is train, val"):
        data.dataset("test")


@pytest.mark.parametrize("setting", [{"batch_size": 0}, {"num_workers": -1}, {"seed": -1}])
def test_impossible_numbers_are_refused(made_up_imm, setting):
    with pytest.raises(ConfigError, match="has to be 1 or more"):
        IMMDataModule(made_up_imm, **setting)
