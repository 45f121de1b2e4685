import albumentations
import numpy as np
import pytest
import torch

from keypoints.crop import Crop, cut
from keypoints.data.augmentation import Augmentation
from keypoints.data.dataset import FaceDataset, mean_targets
from keypoints.data.readers.imm import read_imm
from keypoints.errors import ConfigError
from keypoints.evaluation.robustness import STRESSES, OtherBox, StressedFaces, changes, stress, tolerances
from keypoints.geometry import Box
from keypoints.inference.model import TaskModel
from keypoints.schemes import IMM58
from keypoints.tasks.regression import RegressionTask

CROP = Crop(80, 60)


@pytest.fixture(scope="module")
def three(made_up_imm):
    return read_imm(made_up_imm)[-3:]


@pytest.fixture(scope="module")
def faces(three):
    return StressedFaces(three, range(58), CROP)


class Seeing(RegressionTask):
    """Task that localises the dark disc and predicts the circle of points around it."""

    def forward(self, images):
        dark = (images[:, 0] < -0.1).float() + 1e-9
        ys, xs = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
        total = dark.sum(dim=(1, 2))
        centre = torch.stack(
            [(dark * xs).sum(dim=(1, 2)) / total, (dark * ys).sum(dim=(1, 2)) / total], dim=1
        )
        angles = torch.arange(58) / 58 * 2 * torch.pi
        circle = 10 * torch.stack([angles.cos(), angles.sin()], dim=1)
        circle[52] = 0
        return (centre[:, None] + circle + 0.5) / torch.tensor([80.0, 60.0])


@pytest.fixture(scope="module")
def table(three, faces):
    model = TaskModel(Seeing(IMM58, CROP).eval())
    return stress(model, faces, mean_targets(three, range(58), CROP), "box", 0.08)


def levels(table, name):
    return table[table["stress"] == name].set_index("level")["nme"]


def test_the_first_level_of_each_stress_changes_nothing(table):
    starts = [levels(table, name)[kind.levels[0]] for name, kind in STRESSES.items()]
    assert starts == pytest.approx([starts[0]] * len(starts))
    assert starts[0] < 0.03  # the disc is localised


def test_shifts_harm_the_mean_shape_baseline_but_no_good_network(table):
    shifts = table[table["stress"] == "shift"].set_index("level")
    assert shifts["nme"][0.15] < 0.02
    assert shifts["constant_nme"][0.15] > 1.2 * shifts["constant_nme"][0]


def test_errors_are_in_pixels_of_the_photo_for_every_box(table):
    # The predicted circle has a radius of 10 input pixels; in a box of twice the side the true one has 5.
    scale = levels(table, "scale")
    assert scale[2] == pytest.approx((20 - 10 * 2 * 2) / -40 * 57 / 58, rel=0.15)
    assert scale[0.7] == pytest.approx((20 - 10 * 2 * 0.7) / 40 * 57 / 58, rel=0.15)


@pytest.mark.parametrize("name", STRESSES)
def test_points_of_every_level_map_back_to_the_photo(three, faces, name):
    for level in STRESSES[name].levels:
        for change in changes(name, level):
            (batch,) = faces.batches(change)
            pixels = batch.targets.double() * torch.tensor([80, 60]) - 0.5
            photo = pixels @ batch.to_photo[:, :, :2].mT.double() + batch.to_photo[:, None, :, 2]
            truth = torch.from_numpy(np.stack([face.landmarks() for face in three]))
            assert torch.allclose(photo, truth, atol=5e-3)


def test_a_changed_box_is_cropped_from_the_photo(three, faces):
    photo = three[1].photo.decode(1)
    (batch,) = faces.batches(OtherBox(0.1, -0.05, 0.5), [1])
    # Half the sides of 160 × 120, with the centre shifted by a tenth and a twentieth of them.
    expected = cut(photo, Box(40 + 16, 30 - 6, 80, 60), (80, 60))
    assert torch.equal(batch.to_images()[0, 0], torch.from_numpy(expected).float() / 255 - 0.5)


def test_the_first_level_has_the_evaluated_inputs(three, faces):
    plain = FaceDataset(three, range(58), CROP)
    for name in STRESSES:
        (change,) = changes(name, STRESSES[name].levels[0])
        (batch,) = faces.batches(change)
        assert torch.equal(batch.to_images()[2], plain.plain(2).to_images())
        assert torch.allclose(batch.targets[2], plain.plain(2).targets)


def test_a_change_without_affine_map_is_refused(faces):
    bend = Augmentation({"bend": albumentations.Perspective(p=1)}, context=1.7)
    with pytest.raises(ConfigError, match="exact map back"):
        next(faces.batches(bend))


def test_nothing_is_compared_without_an_nme(table):
    (sentence,) = tolerances(table.assign(nme=np.nan))
    assert sentence.startswith("No face has an NME")


def test_tolerances_are_reported_for_each_stress(table):
    sentences = tolerances(table.assign(nme=np.where(table["stress"] == "blur", 1 + table["level"], 1.0)))
    assert sentences[3] == "blur: errors are 1.5 times as large from 0.5 on (σ in pixels of the input)."
    assert sentences[0].startswith("box shifted: errors are 1.5 times as large at no level that was tried")
    assert len(sentences) == len(STRESSES)
