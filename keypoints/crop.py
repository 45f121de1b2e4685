"""Cropping of a face to a network's input, which training, prediction and export share.

:class:`Crop` is the convention, which a checkpoint stores; :func:`cut` is the resampling by one affine map.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from keypoints.errors import ConfigError
from keypoints.geometry import Affine, Box, ByteArray, FloatArray, ratio_to_pixels

_MOST_PADDING = 64
"""Largest area of a crop, as a multiple of the picture's area; a larger box is a mistake, not a face."""


_MOST_INPUT = 2**24
"""Largest number of pixels of a network's input; a larger one is a mistake, or would fill the memory."""


def cut(image: ByteArray, box: Box, size: tuple[int, int]) -> ByteArray:
    """Crop an image to a box and resample it to a given size.

    The result is exactly the image under ``Affine.between(box, Box.of_image(size))``. Pixels outside the
    image repeat its border. Downscaling averages over the area that a new pixel covers.

    Args:
        image: (H, W) or (H, W, C) bytes.
        box: the region to crop, in pixels of the image; it may extend beyond the image.
        size: width and height of the result, in pixels.

    Raises:
        ValueError: if the box does not overlap the image, or is far larger than the image.
    """
    height, width = image.shape[:2]
    _check_region(box, (width, height))
    right, bottom = box.left + box.width, box.top + box.height
    # The resampling filter reads one new pixel beyond the box, so keep that much context.
    reach_x = math.ceil(max(1.0, box.width / size[0])) + 1
    reach_y = math.ceil(max(1.0, box.height / size[1])) + 1
    x0, x1 = math.floor(box.left) - reach_x, math.ceil(right) + reach_x
    y0, y1 = math.floor(box.top) - reach_y, math.ceil(bottom) + reach_y
    inside = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    margins = [(max(-y0, 0), max(y1 - height, 0)), (max(-x0, 0), max(x1 - width, 0))]
    if any(map(any, margins)):  # else np.pad would take as long as the resampling
        inside = np.pad(inside, margins + [(0, 0)] * (image.ndim - 2), mode="edge")
    resampled = Image.fromarray(inside).resize(
        size, Image.Resampling.BILINEAR, box=(box.left - x0, box.top - y0, right - x0, bottom - y0)
    )
    return np.asarray(resampled)


def _check_region(box: Box, size: tuple[int, int]) -> None:
    """Check that a region can be cropped from an image of ``size`` (width, height).

    Raises:
        ValueError: if it does not overlap the image, or is far larger than the image.
    """
    width, height = size
    if box.misses(size):
        raise ValueError(f"{box} lies outside the picture of {width} × {height}")
    if box.width * box.height > _MOST_PADDING * width * height:
        raise ValueError(f"{box} is more than {_MOST_PADDING} times the picture of {width} × {height}")


def warped(image: ByteArray, affine: Affine, size: tuple[int, int]) -> ByteArray:
    """Resample an image by an affine map, also a rotation; :func:`cut` is for a box.

    The image is first cut to the scale of the result, so downscaling averages over the area of a new pixel.
    Pixels outside the image repeat its border.

    Args:
        image: (H, W) or (H, W, 3) bytes.
        affine: map from pixels of the image to pixels of the result: rotation, uniform scale and shift.
        size: width and height of the result, in pixels.

    Raises:
        ValueError: if the result does not overlap the image, or covers far more than it.
    """
    import cv2

    back, scale = affine.inverse(), math.sqrt(abs(float(np.linalg.det(affine.matrix[:, :2]))))
    right, bottom = size[0] - 0.5, size[1] - 0.5
    corners = back([(-0.5, -0.5), (right, -0.5), (-0.5, bottom), (right, bottom)])
    (left, top), (width, height) = corners.min(axis=0), np.ptp(corners, axis=0)
    border = 2 / scale  # the bilinear filter reads one pixel beyond the corners
    box = Box(left + 0.5 - border, top + 0.5 - border, width + 2 * border, height + 2 * border)
    scaled = math.ceil(box.width * scale), math.ceil(box.height * scale)
    to_result = Affine.between(box, Box.of_image(scaled)).inverse().then(affine)
    result = cv2.warpAffine(
        cut(image, box, scaled),
        to_result.matrix,
        size,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(result, np.uint8)


def as_input(crops: Sequence[ByteArray]) -> npt.NDArray[np.float32]:
    """Convert crops, (H, W, C) bytes each, to a network's input: (B, C, H, W) in [-0.5, 0.5]."""
    images = np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32)
    images /= 255
    images -= 0.5
    return images


@dataclass(frozen=True)
class Crop:
    """Crop convention: how a face becomes a network's input. Checkpoints store it; no option overrides it.

    Args:
        width, height: width and height of the network's input, in pixels.
        channels: 1 for grey, 3 for RGB.
        source: the region to crop: the full ``image``, or the face's ``box``.
        margin: the factor by which the region is enlarged around its centre.

    The shorter side of the region is then extended to the input's aspect ratio, so that faces are
    never stretched.

    Raises:
        ConfigError: if a value is out of range.
    """

    width: int
    height: int
    channels: int = 1
    source: Literal["image", "box"] = "image"
    margin: float = 1.0

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"the input's {name} is a positive whole number of pixels, not {value!r}")
        if self.width * self.height > _MOST_INPUT:
            raise ConfigError(
                f"the input has at most {_MOST_INPUT:,} pixels, and not {self.width} × {self.height}"
            )
        if self.channels not in (1, 3):
            raise ConfigError(f"the input has 1 channel (grey) or 3 (RGB), not {self.channels!r}")
        if self.source not in ("image", "box"):
            raise ConfigError(f"the crop's source is 'image' or 'box', not {self.source!r}")
        if not (isinstance(self.margin, int | float) and math.isfinite(self.margin) and self.margin > 0):
            raise ConfigError(f"the box margin is a positive factor, not {self.margin!r}")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the network's input, in pixels."""
        return self.width, self.height

    def region(self, image_size: tuple[int, int], box: Box | None) -> Box:
        """Return the region of an image to crop.

        Args:
            image_size: width and height of the image, in pixels.
            box: the face's box, in pixels of the image; ignored if ``source`` is ``image``.

        Returns:
            The region, in pixels of the image; it may extend beyond the image.

        Raises:
            ValueError: if ``source`` is ``box``, and there is no box or it does not overlap the image.
        """
        if self.source == "image":
            box = Box.of_image(image_size)
        elif box is None:
            raise ValueError("this crop needs the face's box, and there is none")
        elif box.misses(image_size):
            raise ValueError(f"{box} lies outside the picture of {image_size[0]} × {image_size[1]}")
        return self.around(box)

    def around(self, box: Box) -> Box:
        """Return the region to crop around a box: enlarged by the margin, with the input's aspect ratio.

        Args:
            box: box in pixels of the image.

        Returns:
            The region, in pixels of the image, with the same centre as ``box``.
        """
        width, height = box.width * self.margin, box.height * self.margin
        proportion = self.width / self.height
        return box.resized(max(width, height * proportion), max(height, width / proportion))

    def __call__(self, image: ByteArray, box: Box | None) -> tuple[ByteArray, Affine]:
        """Return the network's input, not yet normalised, and the map to it from the image's pixels.

        Args:
            image: (H, W) grey or (H, W, 3) RGB, according to ``channels``.
            box: the face's box, in pixels of the image; ignored if ``source`` is ``image``.

        Returns:
            (height, width, channels) bytes, and the map from pixels of ``image`` to pixels of this input.

        Raises:
            ValueError: see :func:`cut` and :meth:`region`.
        """
        return self.canvas(image, box, (0, 0))

    def canvas(self, image: ByteArray, box: Box | None, border: tuple[int, int]) -> tuple[ByteArray, Affine]:
        """Return the network's input with a border of its surroundings, and the map to it.

        Args:
            image: see :meth:`__call__`.
            box: see :meth:`__call__`.
            border: pixels of the input to add on each side: left and right, above and below.

        Returns:
            (height + 2 · border[1], width + 2 · border[0], channels) bytes, whose middle is the network's
            input, and the map from pixels of ``image`` to pixels of this canvas.

        Raises:
            ValueError: see :func:`cut` and :meth:`region`.
        """
        size = self._canvas_size(border)
        region = self._canvas_region((image.shape[1], image.shape[0]), box, border)
        pixels = cut(image, region, size)
        return pixels.reshape(size[1], size[0], self.channels), Affine.between(region, Box.of_image(size))

    def to_canvas(self, image_size: tuple[int, int], box: Box | None, border: tuple[int, int]) -> Affine:
        """Return the map of :meth:`canvas` alone, without the image.

        Args:
            image_size: width and height of the image, in pixels.
            box: see :meth:`canvas`.
            border: see :meth:`canvas`.

        Returns:
            The map from pixels of the image to pixels of the canvas.

        Raises:
            ValueError: see :meth:`canvas`.
        """
        region = self._canvas_region(image_size, box, border)
        _check_region(region, image_size)
        return Affine.between(region, Box.of_image(self._canvas_size(border)))

    def _canvas_size(self, border: tuple[int, int]) -> tuple[int, int]:
        return self.width + 2 * border[0], self.height + 2 * border[1]

    def _canvas_region(self, image_size: tuple[int, int], box: Box | None, border: tuple[int, int]) -> Box:
        region, size = self.region(image_size, box), self._canvas_size(border)
        return region.resized(region.width * size[0] / self.width, region.height * size[1] / self.height)

    def to_dict(self) -> dict[str, Any]:
        """Return the crop as plain values for a checkpoint; :meth:`from_dict` reads them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the crop that :meth:`to_dict` wrote.

        Args:
            values: the fields of the crop, by name.

        Returns:
            The crop.

        Raises:
            ConfigError: if values are missing, unknown, or out of range.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"not a crop convention: {error}") from error


def box_from_points(points: FloatArray, mean_shape: FloatArray, crop: Crop) -> Box:
    """Return the box that a face with these points would have in a model's training data.

    The similarity (rotation, scale, shift) that takes the mean shape nearest to the points, by least squares,
    takes the centre and the size of the network's input to those of the cropped region. Without the crop's
    margin, the region is the box. In closed form, points are complex numbers and a similarity is
    ``p = a · u + b`` (B. Horn, Closed-form solution of absolute orientation, 1987, in two dimensions).

    Args:
        points: (K, 2) pixels of the photo; NaN for points that are not labelled.
        mean_shape: (K, 2) ratios of the input.
        crop: conversion from photo to network input.

    Returns:
        The box, in pixels of the photo, with the proportions of the input.

    Raises:
        ValueError: if fewer than two different points are labelled.
    """
    labelled = np.isfinite(points).all(axis=1)
    if len(np.unique(points[labelled], axis=0)) < 2:
        raise ValueError("a box from points needs two different labelled points")
    there = points[labelled] @ (1, 1j)
    here = ratio_to_pixels(mean_shape[labelled], crop.size) @ (1, 1j)
    middle = (crop.width - 1) / 2 + 1j * (crop.height - 1) / 2
    spread = here - here.mean()
    turn = np.vdot(spread, there) / np.vdot(spread, spread).real
    centre = there.mean() + turn * (middle - here.mean())
    width, height = (abs(turn) * side / crop.margin for side in crop.size)
    return Box(centre.real + 0.5 - width / 2, centre.imag + 0.5 - height / 2, width, height)
