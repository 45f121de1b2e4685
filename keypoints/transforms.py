"""Transforms that albumentations lacks, for use beside its own: ``_target_: keypoints.transforms.…``.

To add one: subclass one of albumentations' classes here, and test that a blob moves with its point.
"""

from typing import Any

import albumentations
import numpy as np

from keypoints.geometry import Box, ByteArray, cut


class LowResolution(albumentations.ImageOnlyTransform):  # type: ignore[misc]
    """A photo of fewer pixels: scaled down over areas, and up again.

    albumentations' Downscale does this too, but moves the picture by up to 0.6 pixels.

    Args:
        scale_range: smallest and largest factor of the scaling down, above 0 and at most 1.
        p: how often.

    Raises:
        ValueError: if the range is none.
    """

    class InitSchema(albumentations.BasicTransform.InitSchema):  # type: ignore[misc]
        """What albumentations checks settings against."""

        scale_range: tuple[float, float]

    def __init__(self, scale_range: tuple[float, float] = (0.4, 0.8), p: float = 0.5) -> None:
        super().__init__(p=p)
        low, high = scale_range
        if not 0 < low <= high <= 1:
            raise ValueError(f"scale_range is a range within 0 and 1, not {scale_range}")
        self.scale_range = scale_range

    def get_params(self) -> dict[str, Any]:
        """Draw the factor."""
        return {"scale": self.py_random.uniform(*self.scale_range)}

    def apply(self, img: ByteArray, scale: float, **params: Any) -> ByteArray:  # noqa: ARG002
        """The picture, as if taken with fewer pixels."""
        height, width = img.shape[:2]
        size = max(1, round(width * scale)), max(1, round(height * scale))
        planes = img[:, :, 0] if img.ndim == 3 and img.shape[2] == 1 else img
        small = cut(np.ascontiguousarray(planes), Box.whole((width, height)), size)
        return cut(small, Box.whole(size), (width, height)).reshape(img.shape)
