"""Transforms that albumentations lacks, for use beside its own: ``_target_: keypoints.…``.

To add one: subclass one of albumentations' classes here, and test that a blob moves with its point.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Self

import albumentations
import cv2
import numpy as np
import numpy.typing as npt

from keypoints.geometry import Box, ByteArray, FloatArray, cut


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


class AffineOntoInput(albumentations.Affine):  # type: ignore[misc]
    """albumentations' Affine, which makes the middle of its canvas alone: the network's input, in one step.

    What lies round it would be cut off anyway: with a canvas of 1.6 times the input's sides, that is 61 % of
    the work.

    Attributes:
        border: how many pixels of the canvas lie left and right of the input, and above and below.
    """

    border = 0, 0

    @classmethod
    def of(cls, transform: albumentations.Affine, border: tuple[int, int]) -> Self:
        """The same transform with the same settings, onto the input."""
        made = cls(**transform.get_transform_init_args())
        made.border = border
        return made

    def get_params_dependent_on_data(
        self,
        params: dict[str, Any],
        data: dict[str, Any],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Draw what albumentations draws, in its order, as the map onto the input.

        About the canvas's centre it is scaled, turned and sheared, and then moved.
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
        """As albumentations, which first looks whether the map changes nothing: here it always does."""
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
        """As albumentations, for what points are here: a place, and neither angle nor size."""
        moved = keypoints.copy()
        moved[:, :2] = keypoints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        return moved


def without_reflected_points(
    transform: albumentations.BasicTransform | albumentations.BaseCompose,
) -> albumentations.BasicTransform | albumentations.BaseCompose:
    """Return a transform that gives each point once where its border is a reflection of the picture.

    albumentations then adds the reflections of all points, nine for each and more, in an order that depends
    on the draw. The picture and what is drawn for it stay as they are.

    Args:
        transform: or a composition, of which the transforms within are meant. It is not changed.

    Returns:
        A copy, or what was given where nothing reflects.
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
    other.border_mode = cv2.BORDER_CONSTANT  # of which points know nothing
    once.apply_to_keypoints = other.apply_to_keypoints
    once.add_targets({"keypoints": "keypoints"})  # it noted its own methods as it was made
    return once
