"""Transforms that albumentations lacks: ``_target_: keypoints.…``.

To add one, subclass an albumentations class here, and test that a blob moves with its point.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Self

import albumentations
import cv2
import numpy as np
import numpy.typing as npt

from keypoints.crop import cut
from keypoints.geometry import Box, ByteArray, FloatArray


class LowResolution(albumentations.ImageOnlyTransform):  # type: ignore[misc]
    """Loss of resolution: downscaling by area averaging, and upscaling to the original size.

    albumentations' Downscale is similar, but shifts the image by up to 0.6 pixels.

    Args:
        scale_range: smallest and largest scale factor, above 0 and at most 1.
        p: probability.

    Raises:
        ValueError: if the range is invalid.
    """

    class InitSchema(albumentations.BasicTransform.InitSchema):  # type: ignore[misc]
        """Schema by which albumentations checks the settings."""

        scale_range: tuple[float, float]

    def __init__(self, scale_range: tuple[float, float] = (0.4, 0.8), p: float = 0.5) -> None:
        super().__init__(p=p)
        low, high = scale_range
        if not 0 < low <= high <= 1:
            raise ValueError(f"scale_range is a range within 0 and 1, not {scale_range}")
        self.scale_range = scale_range

    def get_params(self) -> dict[str, Any]:
        """Sample the scale factor."""
        return {"scale": self.py_random.uniform(*self.scale_range)}

    def apply(self, img: ByteArray, scale: float, **params: Any) -> ByteArray:  # noqa: ARG002
        """Scale the image down and up again."""
        height, width = img.shape[:2]
        size = max(1, round(width * scale)), max(1, round(height * scale))
        planes = img[:, :, 0] if img.ndim == 3 and img.shape[2] == 1 else img
        small = cut(np.ascontiguousarray(planes), Box.of_image((width, height)), size)
        return cut(small, Box.of_image(size), (width, height)).reshape(img.shape)


class AffineOntoInput(albumentations.Affine):  # type: ignore[misc]
    """albumentations' Affine that computes only the middle of its canvas, which is the network's input.

    The border would be cut off anyway: with a canvas of 1.6 times the input's sides, it is 61 % of the work.

    Attributes:
        border: pixels of the canvas around the input: left and right, above and below.
    """

    border = 0, 0

    @classmethod
    def of(cls, transform: albumentations.Affine, border: tuple[int, int]) -> Self:
        """Return an equivalent of ``transform`` that produces the input."""
        made = cls(**transform.get_transform_init_args())
        made.border = border
        return made

    def get_params_dependent_on_data(
        self,
        params: dict[str, Any],
        data: dict[str, Any],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Sample the map to the input from the same random numbers, in the same order, as albumentations.

        The image is scaled, rotated and sheared about the canvas's centre, and then translated.
        """
        (height, width), (across, down) = params["shape"][:2], self.border
        move = self._get_translate_params((height, width))
        shear = self._get_shear_params()
        scale = self._get_scale(self.scale, self.keep_ratio, self.balanced_scale, self.py_random)
        turn = math.radians(self.py_random.uniform(*self.rotate))
        lean_x, lean_y = (math.tan(math.radians(shear[axis])) for axis in ("x", "y"))
        cos, sin = math.cos(turn), math.sin(turn)
        xx, xy = scale["x"] * (cos - lean_x * sin), scale["y"] * (sin + lean_x * cos)
        yx, yy = scale["x"] * (lean_y * cos - sin), scale["y"] * (lean_y * sin + cos)
        x, y = (width - 1) / 2, (height - 1) / 2
        matrix = np.array(
            [
                [xx, xy, x + move["x"] - xx * x - xy * y - across],
                [yx, yy, y + move["y"] - yx * x - yy * y - down],
            ]
        )
        return {"matrix": matrix, "output_shape": (height - 2 * down, width - 2 * across)}

    def apply(
        self,
        img: ByteArray,
        matrix: FloatArray,
        output_shape: tuple[int, int],
        **params: Any,  # noqa: ARG002
    ) -> ByteArray:
        """Warp the image as albumentations does, but without its test for an identity map."""
        height, width = output_shape
        fill = self.fill if isinstance(self.fill, Sequence) else [self.fill] * img.shape[2]
        warped = np.empty((height, width, img.shape[2]), np.uint8)
        cv2.warpAffine(
            img,
            matrix,
            (width, height),
            dst=warped,
            flags=self.interpolation,
            borderMode=self.border_mode,
            borderValue=fill,
        )
        return warped

    def apply_to_keypoints(
        self,
        keypoints: npt.NDArray[np.float32],
        matrix: FloatArray,
        **params: Any,  # noqa: ARG002
    ) -> npt.NDArray[np.float32]:
        """Map points as albumentations does; points here have a position, but no angle or size."""
        moved = keypoints.copy()
        moved[:, :2] = keypoints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        return moved


def without_reflected_points(
    transform: albumentations.BasicTransform | albumentations.BaseCompose,
) -> albumentations.BasicTransform | albumentations.BaseCompose:
    """Return a transform that returns each point once, even if its border reflects the image.

    With such a border, albumentations adds the reflections of all points, nine or more for each, in an order
    that depends on the sample. The image and its random numbers do not change.

    Args:
        transform: a transform, or a composition of transforms. It is not modified.

    Returns:
        A modified copy, or ``transform`` itself if no border reflects.
    """
    if isinstance(transform, albumentations.BaseCompose):
        inner = [without_reflected_points(each) for each in transform.transforms]
        if all(made is given for made, given in zip(inner, transform.transforms, strict=True)):
            return transform
        composition = deepcopy(transform)
        composition.transforms = inner
        return composition
    if getattr(transform, "border_mode", None) not in (cv2.BORDER_REFLECT, cv2.BORDER_REFLECT_101):
        return transform
    other, once = deepcopy(transform), deepcopy(transform)
    other.border_mode = cv2.BORDER_CONSTANT  # which does not affect points
    once.apply_to_keypoints = other.apply_to_keypoints
    once.add_targets({"keypoints": "keypoints"})  # the constructor has registered the original method
    return once
