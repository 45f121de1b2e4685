"""Boxes and affine maps, in pixels and in ratios of a network's input.

Coordinates are pixels, and pixel (0, 0) has its **centre** at (0, 0): a picture of width W extends
from -0.5 to W - 0.5. *Ratio* coordinates of a network's input are (u + 0.5) / size, so that 0 and 1
are its edges. This module imports neither torch nor albumentations.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]
FlagArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Box:
    """Rectangle of pixels: its first column and row, its width and height; fractions are allowed.

    Its edges lie half a pixel outside its outermost pixel centres: at ``left - 0.5`` and
    ``left + width - 0.5``. It may extend beyond the picture.

    Raises:
        ValueError: if a number is not finite or a side is not positive.
    """

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.left, self.top, self.width, self.height))):
            raise ValueError(f"a box needs finite numbers, not {self}")
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"a box needs positive sides, not {self.width:g} × {self.height:g}")

    def __str__(self) -> str:
        return f"the box of {self.width:g} × {self.height:g} at ({self.left:g}, {self.top:g})"

    @classmethod
    def of_image(cls, size: tuple[int, int]) -> Self:
        """Return the box that covers a full picture.

        Args:
            size: width and height of the picture, in pixels.

        Returns:
            The box from (0, 0) with the picture's width and height.
        """
        return cls(0, 0, size[0], size[1])

    def misses(self, size: tuple[int, int]) -> bool:
        """Return whether the box and a picture do not overlap.

        Args:
            size: width and height of the picture, in pixels.

        Returns:
            ``True`` if the box contains no part of the picture.
        """
        ends = self.left + self.width, self.top + self.height
        return min(ends) <= 0 or self.left >= size[0] or self.top >= size[1]

    def overlap(self, other: "Box") -> float:
        """Return the intersection over union with another box.

        Args:
            other: a box in the same pixel grid.

        Returns:
            A ratio from 0 (disjoint) to 1 (equal).
        """
        across, down = (
            max(0.0, min(mine + side, its + its_side) - max(mine, its))
            for mine, side, its, its_side in (
                (self.left, self.width, other.left, other.width),
                (self.top, self.height, other.top, other.height),
            )
        )
        both = across * down
        return both / (self.width * self.height + other.width * other.height - both)

    def resized(self, width: float, height: float) -> "Box":
        """Return the box with the same centre and another size.

        Args:
            width: width of the new box, in pixels.
            height: height of the new box, in pixels.

        Returns:
            The new box.
        """
        return Box(self.left + (self.width - width) / 2, self.top + (self.height - height) / 2, width, height)


@dataclass(frozen=True, eq=False)
class Affine:
    """Affine map of points (x, y) between two pixel grids, or a batch of maps.

    Args:
        matrix: (2, 3), in pixels; (B, 2, 3) for a batch of maps.
    """

    matrix: FloatArray

    @classmethod
    def between(cls, source: Box, target: Box) -> Self:
        """Return the map that takes the edges of one box to the edges of another.

        Args:
            source: a box in the pixels that the map takes.
            target: a box in the pixels that the map returns.

        Returns:
            A single map, with a (2, 3) matrix.
        """
        across, down = target.width / source.width, target.height / source.height
        return cls(
            np.array(
                [
                    [across, 0.0, target.left - 0.5 - (source.left - 0.5) * across],
                    [0.0, down, target.top - 0.5 - (source.top - 0.5) * down],
                ]
            )
        )

    def __call__(self, points: npt.ArrayLike) -> FloatArray:
        """Map points from pixels of the first grid to pixels of the second.

        Args:
            points: (…, 2) for a single map; (B, K, 2) for a batch of B maps, or (K, 2) for each of them.

        Returns:
            The mapped points: (…, 2) for a single map, (B, K, 2) for a batch.
        """
        shift = self.matrix[..., 2]
        moved = np.asarray(points, np.float64) @ self.matrix[..., :2].swapaxes(-1, -2)
        return moved + (shift if shift.ndim == 1 else shift[:, None])

    def inverse(self) -> "Affine":
        """Return the inverse map.

        Raises:
            ValueError: if the map has no inverse.
        """
        try:
            linear = np.linalg.inv(self.matrix[..., :2])
        except np.linalg.LinAlgError as error:
            raise ValueError("this affine has no inverse") from error
        return Affine(np.concatenate([linear, -linear @ self.matrix[..., 2:]], axis=-1))

    def then(self, other: "Affine") -> "Affine":
        """Return the composition of this map and another.

        Args:
            other: the map to apply after this one; a single map or a batch of the same size.

        Returns:
            The map, or batch of maps, that applies this map first and then ``other``.
        """
        matrix = other.matrix[..., :2] @ self.matrix
        matrix[..., 2] += other.matrix[..., 2]
        return Affine(matrix)


def pixels_to_ratio(points: npt.ArrayLike, size: tuple[int, int]) -> FloatArray:
    """Convert (…, 2) pixels of a picture of ``size`` (width, height) to ratios of it."""
    return (np.asarray(points, np.float64) + 0.5) / size


def ratio_to_pixels(points: npt.ArrayLike, size: tuple[int, int]) -> FloatArray:
    """Convert (…, 2) ratios of a picture of ``size`` (width, height) to its pixels."""
    return np.asarray(points, np.float64) * size - 0.5
