import albumentations
import pytest
import torch
from hydra.utils import instantiate
from torch.utils.data import DataLoader

from keypoints.augmentation import Augmentation
from keypoints.configuration import compose
from keypoints.datamodules.base import Batch, EpochSampler, FaceDataset, even_batch_size, whole
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


@pytest.fixture(scope="module")
def augmented(made_up_imm):
    """Eight faces, strongly augmented."""
    cfg = compose("train", ["augmentation=wild"]).augmentation
    augmentation = instantiate(cfg, _convert_="all")
    faces = read_imm(made_up_imm)[:8]
    return FaceDataset(faces, range(58), Crop(80, 60), augmentation=augmentation, flip=IMM58.flip, seed=5)


def drawn(faces, epochs, *, rank=0, ranks=1, batch_size=4, **how):
    """All that a training would be given in these epochs: a list of batches."""
    sampler = EpochSampler(len(faces), seed=0, shuffle=True, rank=rank, ranks=ranks)
    loader = DataLoader(faces, batch_size=batch_size, sampler=sampler, **how)
    batches = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        batches += list(loader)
    return batches


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("workers", "persistent"), [(1, False), (1, True), (4, False), (4, True)])
def test_workers_change_nothing_of_what_is_drawn(augmented, workers, persistent):
    expected = drawn(augmented, range(2))
    assert not torch.equal(expected[0].images, expected[2].images)  # each epoch draws anew
    assert_same(drawn(augmented, range(2), num_workers=workers, persistent_workers=persistent), expected)


def test_resuming_draws_what_the_run_that_never_stopped_would_have_drawn(augmented):
    assert_same(drawn(augmented, [2, 3]), drawn(augmented, range(4))[4:])


def test_ranks_together_draw_what_one_process_draws_batch_by_batch(augmented):
    expected = drawn(augmented, range(2))
    ranks = [drawn(augmented, range(2), rank=rank, ranks=2, batch_size=2) for rank in range(2)]
    for step, batch in enumerate(expected):
        for rank in range(2):
            own = Batch(*(field[rank::2] for field in batch))
            assert_same([ranks[rank][step]], [own])


def test_ranks_that_do_not_divide_the_faces_take_as_many_steps_and_leave_none_out():
    def keys(rank, shuffle):
        return [index for _, index in EpochSampler(10, seed=0, shuffle=shuffle, rank=rank, ranks=4)]

    training = [keys(rank, shuffle=True) for rank in range(4)]
    assert (
        [len(own) for own in training]
        == [3, 3, 3, 3]
        == [len(EpochSampler(10, seed=0, shuffle=True, rank=rank, ranks=4)) for rank in range(4)]
    )
    assert set().union(*training) == set(range(10))
    # Validation counts each face once.
    assert sorted(index for rank in range(4) for index in keys(rank, shuffle=False)) == list(range(10))


def test_augmented_points_lead_back_to_the_photo(augmented):
    for index, face in enumerate(augmented.faces):
        for epoch in range(4):
            sample = augmented[epoch, index]
            pixels = sample.targets.double() * torch.tensor([80, 60]) - 0.5
            photo = pixels @ sample.to_photo[:, :2].T.double() + sample.to_photo[:, 2]
            mirrored = torch.det(sample.to_photo[:, :2]) < 0
            truth = face.landmarks()[list(IMM58.flip)] if mirrored else face.landmarks()
            assert torch.allclose(photo, torch.from_numpy(truth), atol=2e-3)


@pytest.mark.parametrize(("batch_size", "sizes"), [(23, [23]), (24, [24]), (7, [7, 7, 7, 3]), (1, [1] * 24)])
def test_a_last_training_batch_of_one_face_is_left_out(made_up_imm, batch_size, sizes):
    data = IMMDataModule(made_up_imm, batch_size=batch_size)
    data.setup()
    assert [len(batch.images) for batch in data.train_dataloader()] == sizes
    assert sum(len(batch.images) for batch in data.val_dataloader()) == 6


def test_an_augmented_dataset_still_gives_its_faces_as_they_are(augmented, made_up_imm):
    bare = FaceDataset(read_imm(made_up_imm)[:8], range(58), Crop(80, 60))
    for one, other in zip(whole(augmented), whole(bare), strict=True):
        assert torch.allclose(one, other, atol=1.01 / 255)  # a rounding of the picture's resampling
    assert torch.allclose(augmented.targets, bare.targets)


def test_a_bent_face_trains_and_says_that_no_map_leads_back(made_up_imm, caplog):
    bend = Augmentation({"bend": albumentations.Perspective(p=1)})
    with caplog.at_level("INFO"):
        faces = FaceDataset(read_imm(made_up_imm)[:2], range(58), Crop(80, 60), augmentation=bend)
    assert "bend: no affine leads back" in caplog.text
    sample = faces[0, 0]
    assert sample.to_photo.isnan().all()
    assert sample.targets.isfinite().all()
    assert faces.plain(0).to_photo.isfinite().all()


def test_only_training_faces_are_augmented(made_up_imm):
    augmentation = Augmentation({"move": albumentations.Affine(rotate=(10, 15), p=1)})
    data, bare = IMMDataModule(made_up_imm, augmentation=augmentation), IMMDataModule(made_up_imm)
    data.setup()
    bare.setup()
    assert_same(list(data.val_dataloader()), list(bare.val_dataloader()))
    assert not torch.equal(
        next(iter(data.train_dataloader())).images, next(iter(bare.train_dataloader())).images
    )


def test_landmarks_without_a_mirror_image_refuse_an_augmentation_that_mirrors(made_up_imm):
    flip = Augmentation({"flip": albumentations.HorizontalFlip()})
    with pytest.raises(ConfigError, match="HorizontalFlip mirrors faces"):
        IMMDataModule(made_up_imm, landmarks="left_eye", augmentation=flip).setup()


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


@pytest.mark.parametrize("augmentation", ["none", "wild"])
@pytest.mark.parametrize("faces_held", [0, 3])
def test_faces_that_memory_has_no_room_for_give_the_same_samples(made_up_imm, augmentation, faces_held):
    cfg = compose("train", [f"augmentation={augmentation}"]).augmentation
    how = {"augmentation": instantiate(cfg, _convert_="all") if cfg else None, "flip": IMM58.flip}
    held = FaceDataset(read_imm(made_up_imm)[:8], range(58), Crop(80, 60), **how)
    memory = held.nbytes * faces_held // 8
    read = FaceDataset(read_imm(made_up_imm)[:8], range(58), Crop(80, 60), memory=memory, **how)
    assert (held.read_again, read.read_again, read.nbytes) == (0, 8 - faces_held, memory)
    assert_same(drawn(read, range(2)), drawn(held, range(2)))
    assert_same([whole(read)], [whole(held)])
    assert torch.equal(read.targets, held.targets)


def test_the_log_says_how_much_is_held_and_how_much_is_read_again(made_up_imm, caplog):
    with caplog.at_level("INFO"):
        IMMDataModule(made_up_imm, width=100, height=100, memory_mb=0.1).setup("fit")
    assert (
        "24 train faces, 6 val faces; 0.1 MB of crops held in memory; 20 faces are read from" in caplog.text
    )
    with pytest.raises(ConfigError, match="memory_mb is a number of megabytes from 0 up, not -1"):
        IMMDataModule(made_up_imm, memory_mb=-1)


def test_splits_that_share_a_group_are_refused(made_up_imm):
    class Leaking(IMMDataModule):
        def read(self):
            splits = super().read()
            return {"train": splits["train"], "val": [*splits["val"], splits["train"][0]]}

    with pytest.raises(DataError, match="01: has faces in train and in val, as have 0 more groups"):
        Leaking(made_up_imm).setup()


def test_faces_of_which_some_have_no_points_are_refused(made_up_imm):
    first, second = read_imm(made_up_imm)[:2]
    bare = type(first)(Photo(first.photo.path), None, None, first.group)
    with pytest.raises(
        DataError, match=r"01-1m\.jpg: this face has no points, and others of its split have some"
    ):
        FaceDataset([bare, second], range(58), Crop(80, 60))


@pytest.mark.parametrize("length", [7, 8, 9, 64, 65, 128, 129])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_all_ranks_validate_in_as_many_steps(length, ranks):
    batch_size = even_batch_size(length, ranks, 4)
    assert batch_size >= 4
    lengths = {len(range(rank, length, ranks)) for rank in range(ranks)}
    assert len({-(-own // batch_size) for own in lengths}) == 1


def test_fewer_faces_than_processes_are_refused():
    with pytest.raises(ConfigError, match=r"3 faces are too few for 4 processes; .*trainer\.devices"):
        even_batch_size(3, 4, 64)


def test_a_face_whose_box_misses_the_photo_is_named(made_up_imm):
    face = read_imm(made_up_imm)[0]
    beside = type(face)(Photo(face.photo.path), Box(500, 0, 50, 50), face.points, face.group)
    with pytest.raises(DataError, match=r"01-1m\.jpg: .*outside the picture"):
        FaceDataset([beside], range(len(IMM58)), Crop(80, 60, source="box"))


def test_an_unknown_split_lists_the_known_ones(made_up_imm):
    with pytest.raises(DataError, match="no split 'test'; there is train, val"):
        IMMDataModule(made_up_imm).dataset("test")


@pytest.mark.parametrize("setting", [{"batch_size": 0}, {"num_workers": -1}, {"seed": -1}])
def test_impossible_numbers_are_refused(made_up_imm, setting):
    with pytest.raises(ConfigError, match="has to be 1 or more"):
        IMMDataModule(made_up_imm, **setting)
