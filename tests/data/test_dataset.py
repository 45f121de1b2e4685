import pickle
from dataclasses import replace

import albumentations
import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch.utils.data import DataLoader

from keypoints.commands import compose
from keypoints.crop import Crop, as_input
from keypoints.data.augmentation import Augmentation
from keypoints.data.dataset import Batch, FaceDataset, collate, full_batch, mean_targets, pixels_of
from keypoints.data.face import HIDDEN
from keypoints.data.photos import Photo
from keypoints.data.readers.imm import read_imm
from keypoints.data.sampler import EpochSampler
from keypoints.datamodules.imm import IMMDataModule
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.schemes import IMM58

CROP = Crop(80, 60)


@pytest.fixture(scope="module")
def augmented(made_up_imm):
    """Return a dataset of eight faces, strongly augmented."""
    cfg = compose("train", ["augmentation=wild"]).augmentation
    augmentation = instantiate(cfg, _convert_="all")
    faces = read_imm(made_up_imm)[:8]
    return FaceDataset(
        faces, range(58), Crop(80, 60), augmentation=augmentation, flip=IMM58.flip_indices, seed=5
    )


def drawn(faces, epochs, *, rank=0, ranks=1, batch_size=4, **how):
    """Return all training batches of the given epochs."""
    sampler = EpochSampler(len(faces), seed=0, shuffle=True, rank=rank, ranks=ranks)
    loader = DataLoader(faces, batch_size=batch_size, sampler=sampler, collate_fn=collate, **how)
    batches = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        batches += list(loader)
    return batches


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_dataset_says_what_it_holds(augmented):
    assert repr(augmented) == "FaceDataset(8 faces, input of 80 × 60 × 1, augmented)"
    assert repr(augmented._augmentation).startswith("Augmentation(")


@pytest.mark.parametrize(("workers", "persistent"), [(1, False), (1, True), (4, False), (4, True)])
def test_workers_do_not_change_the_samples(augmented, workers, persistent):
    expected = drawn(augmented, range(2))
    assert not torch.equal(expected[0].to_images(), expected[2].to_images())  # each epoch is sampled again
    assert_same(drawn(augmented, range(2), num_workers=workers, persistent_workers=persistent), expected)


def test_a_resumed_run_has_the_samples_of_an_uninterrupted_one(augmented):
    assert_same(drawn(augmented, [2, 3]), drawn(augmented, range(4))[4:])


def test_ranks_together_take_the_batches_of_one_process(augmented):
    expected = drawn(augmented, range(2))
    ranks = [drawn(augmented, range(2), rank=rank, ranks=2, batch_size=2) for rank in range(2)]
    for step, batch in enumerate(expected):
        for rank in range(2):
            own = Batch(*(field[rank::2] for field in batch))
            assert_same([ranks[rank][step]], [own])


def test_augmented_points_map_back_to_the_photo(augmented):
    for index, face in enumerate(augmented.faces):
        for epoch in range(4):
            sample = augmented[epoch, index]
            pixels = sample.targets.double() * torch.tensor([80, 60]) - 0.5
            photo = pixels @ sample.to_photo[:, :2].T.double() + sample.to_photo[:, 2]
            mirrored = torch.det(sample.to_photo[:, :2]) < 0
            truth = face.landmarks()[list(IMM58.flip_indices)] if mirrored else face.landmarks()
            assert torch.allclose(photo, torch.from_numpy(truth), atol=2e-3)


def test_an_augmented_dataset_also_returns_plain_samples(augmented, made_up_imm):
    bare = FaceDataset(read_imm(made_up_imm)[:8], range(58), Crop(80, 60))
    for one, other in zip(full_batch(augmented), full_batch(bare), strict=True):
        assert torch.allclose(one, other, atol=1.01 / 255)  # rounding of the resampling
    assert torch.allclose(augmented.targets, bare.targets)


def test_a_face_without_affine_map_can_be_trained_on(made_up_imm, caplog):
    bend = Augmentation({"bend": albumentations.Perspective(p=1)})
    with caplog.at_level("INFO"):
        faces = FaceDataset(read_imm(made_up_imm)[:2], range(58), Crop(80, 60), augmentation=bend)
    assert "bend: no affine map leads back" in caplog.text
    sample = faces[0, 0]
    assert sample.to_photo.isnan().all()
    assert sample.targets.isfinite().all()
    assert faces.plain(0).to_photo.isfinite().all()


def test_a_target_matches_the_image_and_maps_to_the_photo(made_up_imm):
    data = IMMDataModule(made_up_imm, landmarks="nose_tip", width=40, height=40)
    data.setup()
    faces = data.dataset("train")
    for index, face in enumerate(faces.faces):
        sample = faces[0, index]
        pixels = sample.targets[0] * 40 - 0.5
        x, y = pixels.round().int().tolist()
        assert sample.to_images()[0, y, x] < -0.3  # the nose tip is the centre of the dark disc
        photo = sample.to_photo[:, :2] @ pixels + sample.to_photo[:, 2]
        assert torch.allclose(photo, torch.tensor(face.landmarks()[52]).float(), atol=1e-3)


@pytest.mark.parametrize("augmentation", ["none", "wild"])
@pytest.mark.parametrize("faces_held", [0, 3])
def test_uncached_faces_give_the_same_samples(made_up_imm, augmentation, faces_held):
    cfg = compose("train", [f"augmentation={augmentation}"]).augmentation
    how = {"augmentation": instantiate(cfg, _convert_="all") if cfg else None, "flip": IMM58.flip_indices}
    held = FaceDataset(read_imm(made_up_imm)[:8], range(58), Crop(80, 60), **how)
    memory = held.nbytes * faces_held // 8
    read = FaceDataset(read_imm(made_up_imm)[:8], range(58), Crop(80, 60), memory=memory, **how)
    assert (held.read_again, read.read_again, read.nbytes) == (0, 8 - faces_held, memory)
    assert_same(drawn(read, range(2)), drawn(held, range(2)))
    assert_same([full_batch(read)], [full_batch(held)])
    assert torch.equal(read.targets, held.targets)


def test_a_photo_with_several_uncached_faces_is_decoded_once(made_up_imm, monkeypatch):
    decoded = []
    decode = Photo.decode
    monkeypatch.setattr(
        Photo, "decode", lambda self, *given: decoded.append(self.path) or decode(self, *given)
    )
    first, second = read_imm(made_up_imm)[:2]
    again = [replace(face, photo=Photo(face.photo.path)) for face in (first, first, second, second)]
    dataset = FaceDataset(again, range(58), CROP, memory=0)
    assert sorted(decoded) == [first.photo.path, second.photo.path]
    held = FaceDataset([first, second], range(58), CROP)
    assert_same([dataset.batch([1, 3])._replace(indices=torch.arange(2))], [full_batch(held)])


def test_a_batch_without_pixels_decodes_no_photo(made_up_imm, monkeypatch):
    dataset = FaceDataset(read_imm(made_up_imm)[:3], range(58), CROP, memory=0)
    full = full_batch(dataset)
    monkeypatch.delattr(Photo, "decode")
    points = dataset.without_pixels()
    assert points.pixels.shape == (3, 1, 0, 0)
    assert_same([points[1:]], [full[1:]])


def test_photos_in_memory_are_told_apart_without_their_path(made_up_imm, tmp_path):
    faces = read_imm(made_up_imm)[:2]
    contents = [faces[0].photo.path.read_bytes(), b"no picture"]
    packed = [
        replace(face, photo=Photo(tmp_path / "packed.mat", contents=own))
        for face, own in zip(faces, contents, strict=True)
    ]
    with pytest.raises(DataError, match=r"packed\.mat: is no picture"):
        FaceDataset(packed, range(58), CROP, memory=0)


def test_a_mix_of_faces_with_and_without_points_is_refused(made_up_imm):
    first, second = read_imm(made_up_imm)[:2]
    bare = type(first)(Photo(first.photo.path), None, None, first.group)
    with pytest.raises(
        DataError, match=r"01-1m\.jpg: this face has no points, and others of its split have some"
    ):
        FaceDataset([bare, second], range(58), Crop(80, 60))


def test_a_box_outside_its_photo_is_reported(made_up_imm):
    face = read_imm(made_up_imm)[0]
    beside = type(face)(Photo(face.photo.path), Box(500, 0, 50, 50), face.points, face.group)
    with pytest.raises(DataError, match=r"01-1m\.jpg: .*outside the picture"):
        FaceDataset([beside], range(len(IMM58)), Crop(80, 60, source="box"))


def test_training_and_prediction_normalise_images_alike():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    batch = Batch(pixels, *(torch.zeros(1) for _ in range(4)))
    assert np.array_equal(batch.to_images().numpy(), as_input([pixels[0].permute(1, 2, 0).numpy()]))
    assert torch.equal(batch.pixels, pixels)
    assert np.array_equal(pixels_of(batch)[0], pixels[0, 0].numpy())


def test_the_deprecated_name_of_the_images_still_works(augmented):
    batch = augmented.plain(0)
    with pytest.warns(DeprecationWarning, match="to_images"):
        assert torch.equal(batch.images, batch.to_images())


MISSING = [(0, 3), (0, 20), (5, 30)]
"""Faces and points without a label."""


@pytest.fixture
def with_missing(made_up_imm):
    """Six faces, some of whose points have no label."""
    faces = read_imm(made_up_imm)[:6]
    points = [face.landmarks().copy() for face in faces]
    for face, point in MISSING:
        points[face][point] = np.nan
    return [replace(face, points=own) for face, own in zip(faces, points, strict=True)]


def test_points_without_a_label_stay_so_through_augmentation_and_flips(with_missing, made_up_imm):
    mirror = Augmentation({"mirror": albumentations.HorizontalFlip(p=1.0)})
    every = range(58)
    for augmentation in (None, mirror):
        made = {
            kind: FaceDataset(faces, every, CROP, augmentation=augmentation, flip=IMM58.flip_indices)
            for kind, faces in (("some", with_missing), ("all", read_imm(made_up_imm)[:6]))
        }
        some, complete = (
            made[kind].__getitems__([(0, index) for index in range(6)]) for kind in ("some", "all")
        )
        expected = torch.ones(6, 58).bool()
        for face, point in MISSING:
            expected[face, point if augmentation is None else IMM58.flip_indices[point]] = False
        assert (complete.lacks_labels, some.lacks_labels) == (False, True)
        assert torch.equal(some.labelled, expected)
        assert torch.equal(some.targets.isnan().any(dim=-1), ~expected)
        assert torch.equal(some.targets[expected], complete.targets[expected])
        assert torch.equal(some.pixels, complete.pixels)


def test_the_mean_is_over_the_labelled_points(with_missing, made_up_imm):
    data = FaceDataset(with_missing, range(58), CROP)
    mean = data.mean_target()
    assert mean.isfinite().all()
    assert torch.allclose(mean[3], data.targets[1:, 3].mean(dim=0))
    assert torch.allclose(mean_targets(with_missing, range(58), CROP), mean, atol=1e-6)
    without = [
        replace(face, points=face.landmarks() * [[np.nan if k == 7 else 1] for k in range(58)])
        for face in with_missing
    ]
    with pytest.raises(DataError, match="point 7 is labelled in none of the 6 faces"):
        FaceDataset(without, range(58), CROP).mean_target()


def test_a_batch_with_missing_points_travels_between_processes(with_missing):
    batch = FaceDataset(with_missing, range(58), CROP).batch([0, 1])
    copy = pickle.loads(pickle.dumps(batch))
    assert torch.equal(copy.labelled, batch.labelled)


def hide(face, points):
    """Return a face some of whose points are hidden."""
    states = face.visibility().copy()
    states[points] = HIDDEN
    return replace(face, states=states)


def test_hidden_points_are_flagged_and_permuted_by_a_flip(made_up_imm):
    faces = [hide(face, [3 * place, 20]) for place, face in enumerate(read_imm(made_up_imm)[:4])]
    flip = Augmentation({"flip": albumentations.HorizontalFlip(p=1)})
    dataset = FaceDataset(faces, range(58), CROP, augmentation=flip, flip=IMM58.flip_indices)
    expected = torch.from_numpy(np.stack([face.hidden() for face in faces]))
    assert torch.equal(dataset.batch(range(4)).hidden, expected)
    mirrored = dataset.__getitems__([(0, index) for index in range(4)])
    assert torch.equal(mirrored.hidden, expected[:, list(IMM58.flip_indices)])
    assert torch.equal(pickle.loads(pickle.dumps(mirrored)).hidden, mirrored.hidden)
    assert mirrored.hidden_points.tolist() == mirrored.hidden.tolist()


def test_a_batch_keeps_hidden_points_only_if_there_are_any(made_up_imm):
    visible = read_imm(made_up_imm)[:2]
    hidden = [hide(face, [7]) for face in visible]
    assert FaceDataset(visible, range(58), CROP).batch([0, 1]).hidden.shape == (2, 0)
    assert FaceDataset(visible, range(58), CROP).batch([0, 1]).hidden_points is None
    assert FaceDataset(hidden, [5, 6], CROP).batch([0, 1]).hidden.shape == (2, 0)  # another part
    assert FaceDataset(hidden, [6, 7], CROP).batch([0, 1]).hidden.tolist() == [[False, True]] * 2
