"""Dataset in the course's style, for comparison: each file is read and resized at every access."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import functional

from keypoints.crop import Crop
from keypoints.data.face import Face
from keypoints.geometry import Affine, Box, pixels_to_ratio


class CourseDataset(Dataset[tuple[Tensor, Tensor]]):
    """Images (C, H, W) in [-0.5, 0.5] and targets (K, 2) in ratios, made by Pillow and torchvision.

    Args:
        faces: faces, all with points.
        landmarks: indices of the face's points that are the targets.
        crop: conversion from photo to network input.
        augmented: whether to rotate by up to 15°, shift by up to 1/16 of each side, and change brightness and
            contrast by up to 20 %, like ``augmentation=rotate_shift``.
    """

    def __init__(
        self, faces: Sequence[Face], landmarks: Sequence[int], crop: Crop, *, augmented: bool
    ) -> None:
        self._faces = faces
        self._landmarks = list(landmarks)
        self._crop = crop
        self._augmented = augmented

    def __len__(self) -> int:
        return len(self._faces)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the image and the targets of one face, read from disk."""
        face, size = self._faces[index], self._crop.size
        with Image.open(face.photo.path) as photo:
            pixels = photo.convert("L" if self._crop.channels == 1 else "RGB")
        region = self._crop.region(pixels.size, face.box)
        edges = region.left, region.top, region.left + region.width, region.top + region.height
        image = pixels.crop(tuple(map(round, edges))).resize(size, Image.Resampling.BILINEAR)  # type: ignore[arg-type]
        points = Affine.between(region, Box.of_image(size))(face.landmarks()[self._landmarks])
        if self._augmented:
            degrees = np.random.uniform(-15, 15)
            shift = np.random.uniform(-1 / 16, 1 / 16, 2) * size
            image = functional.affine(
                image,
                degrees,
                [int(each) for each in shift],
                1.0,
                [0.0],
                functional.InterpolationMode.BILINEAR,
            )
            image = functional.adjust_brightness(image, np.random.uniform(0.8, 1.2))
            image = functional.adjust_contrast(image, np.random.uniform(0.8, 1.2))
            centre, angle = np.divide(size, 2) - 0.5, np.deg2rad(degrees)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            points = (points - centre) @ turn.T + centre + shift.astype(int)
        ratios = torch.from_numpy(pixels_to_ratio(points, size)).float()
        return functional.to_tensor(image) - 0.5, ratios
