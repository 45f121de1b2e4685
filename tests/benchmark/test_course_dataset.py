import torch

from keypoints.benchmark.course_dataset import CourseDataset
from keypoints.crop import Crop
from keypoints.data.readers.imm import read_imm
from keypoints.schemes import IMM58


def nose_is_dark(sample):
    """Return whether the image is dark at the nose tip, which is the centre of the dark disc."""
    image, ratios = sample
    x, y = (ratios[0] * torch.tensor([80, 60]) - 0.5).round().int().tolist()
    return image[0, y, x] < image.mean() - 0.2


def test_points_match_the_image_with_and_without_augmentation(made_up_imm):
    faces, nose = read_imm(made_up_imm), IMM58.indices("nose_tip")
    for augmented in (False, True):
        dataset = CourseDataset(faces, nose, Crop(80, 60), augmented=augmented)
        assert all(nose_is_dark(dataset[index]) for index in range(len(faces)))


def test_each_access_samples_another_augmentation(made_up_imm):
    dataset = CourseDataset(read_imm(made_up_imm)[:1], range(58), Crop(80, 60), augmented=True)
    assert not torch.equal(dataset[0][0], dataset[0][0])
