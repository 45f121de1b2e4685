"""Augmentation that moves the points with the picture, by transforms of albumentations.

To add a transform: name its class in YAML, under a name of your own,

.. code-block:: yaml

    # conf/augmentation/mine.yaml, or on the command line with +augmentation.transforms.blur…
    defaults:
      - rotate_shift
    transforms:
      blur:
        _target_: albumentations.GaussianBlur
        p: 0.3

What is drawn is a function of seed, epoch and index alone: neither workers, their persistence,
ranks nor resuming can change it. This module imports albumentations late: that takes seconds.
"""

import math
import random
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Union

import numpy as np
import numpy.typing as npt

from keypoints.errors import ConfigError, one_line
from keypoints.geometry import Affine, ByteArray, FloatArray

if TYPE_CHECKING:
    import albumentations

    Transform = Union[albumentations.BasicTransform, albumentations.BaseCompose]  # noqa: UP007  evaluated for types only

_BENT = 0.05
"""A map that no affine follows more closely than this, in pixels, is none."""
_COLUMNS = 5
"""What albumentations keeps of a point: x, y, and a depth, an angle and a size, which are 0 here."""
_PROBES = 8
"""Draws of each transform that are looked at before training begins."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """One draw of an augmentation for each of B faces.

    Args:
        pixels: (B, H, W, C), the canvases without their borders.
        points: (B, K, 2) in their pixels, in the order that was given; none is missing, wherever it lies.
        affine: the exact maps from the canvases' pixels to these; NaN where none fits (a perspective), and
            then the draw can train a network but measure none.
        mirrored: (B,), whether left and right changed places, so that points have to be permuted.
    """

    pixels: ByteArray
    points: FloatArray
    affine: Affine
    mirrored: npt.NDArray[np.bool_]


class Augmentation:
    """Transforms, one after the other, each drawn anew for each face and epoch.

    They see a canvas: the network's input and some of the photo round it, so that rotated corners
    hold picture. What they take as fractions of the picture are fractions of the canvas. Where an
    ``albumentations.Affine`` is always drawn and those after it change pixels alone, it makes the input at
    once, and those after it see the input.

    Args:
        transforms: albumentations' transforms or compositions by a name of your choice, in order.
        context: sides of the canvas over sides of the network's input.

    Raises:
        ConfigError: if there is something else among the transforms, a transform does not take its
            settings, or the context is below 1.
    """

    def __init__(self, transforms: "Mapping[str, Transform]", *, context: float = 1.6) -> None:
        import albumentations
        import cv2

        cv2.setNumThreads(1)  # a face is too small to share; the loader's processes work beside each other
        if not isinstance(context, int | float) or not 1 <= context <= 4:
            raise ConfigError(f"the augmentation's context is a factor from 1 to 4, not {context!r}")
        for name, transform in transforms.items():
            if not isinstance(transform, albumentations.BasicTransform | albumentations.BaseCompose):
                kind = type(transform).__name__
                raise ConfigError(f"augmentation.transforms.{name}: {kind} is no transform of albumentations")
        self.context = float(context)
        self._transforms = dict(transforms)
        self._pipelines = {(0, 0): _onto_input(self._transforms.values(), (0, 0))}

    def border(self, size: tuple[int, int]) -> tuple[int, int]:
        """How many pixels the canvas adds to an input of ``size`` left and right, and above and below."""
        width, height = size
        return round((self.context - 1) / 2 * width), round((self.context - 1) / 2 * height)

    def __call__(
        self,
        canvases: Sequence[ByteArray],
        points: FloatArray,
        seeds: Sequence[Sequence[int]],
        border: tuple[int, int] = (0, 0),
    ) -> Drawn:
        """Draw once for each face.

        Args:
            canvases: (H, W, C), one or more of the same shape.
            points: (B, K, 2) in their pixels.
            seeds: whole numbers for each; the same ones give the same draw.
            border: how many of their pixels lie left and right of the network's input, and above and below.

        Raises:
            ConfigError: if a transform drops points or changes the picture's size.
        """
        if border not in self._pipelines:
            self._pipelines[border] = _onto_input(self._transforms.values(), border)
        return _draw(self._pipelines[border], canvases, points, seeds)

    def check(self, shape: tuple[int, int, int], *, may_mirror: bool) -> list[str]:
        """Try each transform by itself on a made-up canvas of ``shape`` (H, W, C).

        Args:
            may_mirror: whether the landmarks have a mirror permutation.

        Returns:
            The names of those that bend the picture, so that no affine leads back to the photo.

        Raises:
            ConfigError: if one fails, drops points, changes the picture's size, or mirrors what may
                not be mirrored; the message names it.
        """
        height, width, _ = shape
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        # Points inside and outside of the canvas.
        grid = np.stack(np.meshgrid(np.linspace(-0.3, 1.3, 9), np.linspace(-0.3, 1.3, 9)), axis=-1)
        points = np.stack([grid.reshape(-1, 2) * (width, height)] * _PROBES)
        seeds = [[probe] for probe in range(_PROBES)]
        bending = []
        for name, transform in self._transforms.items():
            where = f"augmentation.transforms.{name}"
            for leaf in _leaves(transform):
                alone = deepcopy(leaf)
                alone.p = 1.0
                pipeline = _Pipeline(_compose(where, [alone]), f"{where}: {type(leaf).__name__}")
                drawn = _draw(pipeline, [pixels] * _PROBES, points, seeds)
                if any(_merged(moved) for moved in drawn.points):
                    raise ConfigError(
                        f"{where}: {type(leaf).__name__} loses points that lie outside the picture: it puts "
                        "them all in one place; leave it out"
                    )
                if drawn.mirrored.any() and not may_mirror:
                    raise ConfigError(
                        f"{where}: {type(leaf).__name__} mirrors faces, but these landmarks have no mirror "
                        "image of their own; leave it out, or take all landmarks"
                    )
                if np.isnan(drawn.affine.matrix).any():
                    bending.append(name)
        return list(dict.fromkeys(bending))


def _merged(points: FloatArray) -> bool:
    """Whether points that were apart have come together."""
    return len(np.unique(points.round(3), axis=0)) < len(points)


def _leaves(transform: "Transform") -> "Iterator[albumentations.BasicTransform]":
    """The single transforms of a composition, or the one that it is."""
    import albumentations

    if isinstance(transform, albumentations.BaseCompose):
        for inner in transform.transforms:
            yield from _leaves(inner)
    else:
        yield transform


class _Pipeline(NamedTuple):
    """How a canvas becomes the network's input."""

    compose: "albumentations.Compose"
    called: str
    """What messages call it: where it is configured, and its transforms."""
    cut_within: tuple[int, int] = (0, 0)
    """Pixels of its border that the transforms themselves cut away, left and right, and above and below."""
    cut_afterwards: tuple[int, int] = (0, 0)
    """Those that are cut away once all are done."""


def _onto_input(transforms: "Iterable[Transform]", border: tuple[int, int]) -> _Pipeline:
    """The transforms, of which one cuts the border away if it can."""
    import albumentations

    from keypoints.transforms import AffineOntoInput

    chain = list(transforms)
    where = "augmentation"
    called = f"{where}: {', '.join(type(transform).__name__ for transform in chain)}"
    moving = [place for place, each in enumerate(chain) if not _keeps_points(each)]
    last = chain[moving[-1]] if moving else None
    plain = last is None or type(last) is not albumentations.Affine or last.p < 1 or last.fit_output
    if plain or border == (0, 0):
        return _Pipeline(_compose(where, chain), called, cut_afterwards=border)
    chain[moving[-1]] = AffineOntoInput.of(last, border)
    return _Pipeline(_compose(where, chain), called, cut_within=border)


def _keeps_points(transform: "Transform") -> bool:
    """Whether it changes pixels alone, wherever they are."""
    import albumentations

    return all(isinstance(leaf, albumentations.ImageOnlyTransform) for leaf in _leaves(transform))


def _compose(where: str, transforms: "list[Transform]") -> "albumentations.Compose":
    """The transforms with points that are kept wherever they lie; unknown settings are refused."""
    import albumentations

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Got processor for keypoints, but no transform")
            points = albumentations.KeypointParams("xy", remove_invisible=False, check_each_transform=False)
            compose = albumentations.Compose(transforms, keypoint_params=points, strict=True, seed=0)
    except ValueError as error:
        raise ConfigError(f"{where}: {one_line(error)}") from error
    # The settings are right. What it is called with is so too, with points as albumentations keeps them: a
    # composition within another takes them as they are, in two thirds of the time.
    compose.disable_check_args_private()
    compose.is_check_shapes = False
    return compose


def _draw(
    pipeline: _Pipeline,
    canvases: Sequence[ByteArray],
    points: FloatArray,
    seeds: Sequence[Sequence[int]],
) -> Drawn:
    cut_within, cut_afterwards = pipeline.cut_within, pipeline.cut_afterwards
    height, width, channels = canvases[0].shape
    wanted = height - 2 * cut_within[1], width - 2 * cut_within[0], channels
    anchors, solve = _anchors(width, height)
    known = np.zeros((len(canvases), len(anchors) + points.shape[1], _COLUMNS), np.float32)
    known[:, : len(anchors), :2] = anchors
    known[:, len(anchors) :, :2] = points
    images, found = [], []
    for canvas, keypoints, seed in zip(canvases, known, seeds, strict=True):
        image, moved = _once(pipeline, canvas, keypoints, seed)
        if len(moved) != len(keypoints):
            raise ConfigError(
                f"{pipeline.called} dropped {len(keypoints) - len(moved)} of {len(keypoints)} points; "
                "a transform has to keep them all, wherever they lie"
            )
        if image.shape[:2] != wanted[:2] or image.size != math.prod(wanted) or image.dtype != np.uint8:
            raise ConfigError(
                f"{pipeline.called} made a picture of {_described(image)} from one of "
                f"{_described(canvas)}; size, channels and type have to stay as they are"
            )
        images.append(image.reshape(wanted))
        found.append(moved)
    across, down = cut_afterwards
    inputs = np.stack(images)[:, down : wanted[0] - down, across : wanted[1] - across]
    placed = np.stack(found)[..., :2].astype(np.float64) - cut_afterwards
    moved_anchors = placed[:, : len(anchors)]
    matrices = (solve @ moved_anchors).swapaxes(-1, -2)
    mirrored = matrices[:, 0, 0] * matrices[:, 1, 1] < matrices[:, 0, 1] * matrices[:, 1, 0]
    off = np.abs(Affine(matrices)(anchors) - moved_anchors)
    matrices[off.max((1, 2)) > _BENT] = np.nan
    return Drawn(pixels=inputs, points=placed[:, len(anchors) :], affine=Affine(matrices), mirrored=mirrored)


def _once(
    pipeline: _Pipeline,
    canvas: ByteArray,
    keypoints: npt.NDArray[np.float32],
    seed: Sequence[int],
) -> tuple[ByteArray, npt.NDArray[np.float32]]:
    """The picture and the points of one face, as they are drawn."""
    generator = np.random.default_rng(list(seed))
    # One pair of generators for all: with a seed each, all transforms would draw the same numbers.
    pipeline.compose.set_random_state(generator, random.Random(int(generator.integers(2**63))))
    try:
        done = pipeline.compose(image=canvas, keypoints=keypoints)
    except Exception as error:  # whatever a transform raises, OpenCV's errors among them
        raise ConfigError(f"{pipeline.called} failed: {one_line(error)[:200]}") from error
    return done["image"], done["keypoints"]


def _described(image: ByteArray) -> str:
    channels = image.shape[2] if image.ndim == 3 else 1
    return f"{image.shape[1]} × {image.shape[0]} × {channels} {image.dtype}"


@lru_cache
def _anchors(width: int, height: int) -> tuple[FloatArray, FloatArray]:
    """Nine points spread over the canvas, (9, 2), and what solves for the affine that moved them, (3, 9)."""
    x, y = np.meshgrid([0.0, (width - 1) / 2, width - 1.0], [0.0, (height - 1) / 2, height - 1.0])
    anchors = np.stack([x.ravel(), y.ravel()], axis=1)
    return anchors, np.linalg.pinv(np.column_stack([anchors, np.ones(9)]))
