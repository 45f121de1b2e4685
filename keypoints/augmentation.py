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

import random
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Union

import numpy as np

from keypoints.errors import ConfigError, one_line
from keypoints.geometry import Affine, ByteArray, FloatArray

if TYPE_CHECKING:
    import albumentations

    Transform = Union[albumentations.BasicTransform, albumentations.BaseCompose]  # noqa: UP007  evaluated for types only

_BENT = 0.05
"""A map that no affine follows more closely than this, in pixels, is none."""
_PROBES = 8
"""Draws of each transform that are looked at before training begins."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """One draw of an augmentation.

    Args:
        pixels: (H, W, C), the canvas without its border.
        points: (K, 2) in its pixels, in the order that was given; none is missing, wherever it lies.
        affine: the exact map from the canvas's pixels to these; ``None`` where none fits (a
            perspective), and then the draw can train a network but measure none.
        mirrored: whether left and right changed places, so that points have to be permuted.
    """

    pixels: ByteArray
    points: FloatArray
    affine: Affine | None
    mirrored: bool


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
        whole = _compose("augmentation", list(self._transforms.values()))
        self._pipelines = {(0, 0): _Pipeline(whole)}

    def border(self, size: tuple[int, int]) -> tuple[int, int]:
        """How many pixels the canvas adds to an input of ``size`` left and right, and above and below."""
        width, height = size
        return round((self.context - 1) / 2 * width), round((self.context - 1) / 2 * height)

    def __call__(
        self, canvas: ByteArray, points: FloatArray, seed: Sequence[int], border: tuple[int, int] = (0, 0)
    ) -> Drawn:
        """Draw once.

        Args:
            canvas: (H, W, C).
            points: (K, 2) in its pixels.
            seed: whole numbers; the same ones give the same draw.
            border: how many of its pixels lie left and right of the network's input, and above and below.

        Raises:
            ConfigError: if a transform drops points or changes the picture's size.
        """
        if border not in self._pipelines:
            self._pipelines[border] = _onto_input(self._transforms.values(), border)
        return _draw(self._pipelines[border], canvas, points, seed, "augmentation")

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
        points = grid.reshape(-1, 2) * (width, height)
        bending = []
        for name, transform in self._transforms.items():
            where = f"augmentation.transforms.{name}"
            for leaf in _leaves(transform):
                alone = deepcopy(leaf)
                alone.p = 1.0
                pipeline = _Pipeline(_compose(where, [alone]))
                draws = [_draw(pipeline, pixels, points, [probe], where) for probe in range(_PROBES)]
                if any(_merged(drawn.points) for drawn in draws):
                    raise ConfigError(
                        f"{where}: {type(leaf).__name__} loses points that lie outside the picture: it puts "
                        "them all in one place; leave it out"
                    )
                if any(drawn.mirrored for drawn in draws) and not may_mirror:
                    raise ConfigError(
                        f"{where}: {type(leaf).__name__} mirrors faces, but these landmarks have no mirror "
                        "image of their own; leave it out, or take all landmarks"
                    )
                if any(drawn.affine is None for drawn in draws):
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
    cut_within: tuple[int, int] = (0, 0)
    """Pixels of its border that the transforms themselves cut away, left and right, and above and below."""
    cut_afterwards: tuple[int, int] = (0, 0)
    """Those that are cut away once all are done."""


def _onto_input(transforms: "Iterable[Transform]", border: tuple[int, int]) -> _Pipeline:
    """The transforms, of which one cuts the border away if it can."""
    import albumentations

    from keypoints.transforms import AffineOntoInput

    chain = list(transforms)
    moving = [place for place, each in enumerate(chain) if not _keeps_points(each)]
    last = chain[moving[-1]] if moving else None
    if last is None or type(last) is not albumentations.Affine or last.p < 1 or last.fit_output:
        return _Pipeline(_compose("augmentation", chain), cut_afterwards=border)
    chain[moving[-1]] = AffineOntoInput.of(last, border)
    return _Pipeline(_compose("augmentation", chain), cut_within=border)


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
            points = albumentations.KeypointParams("xy", remove_invisible=False)
            compose = albumentations.Compose(transforms, keypoint_params=points, strict=True, seed=0)
    except ValueError as error:
        raise ConfigError(f"{where}: {one_line(error)}") from error
    compose.strict = False  # the settings are right; what it is called with need not be looked at each time
    return compose


def _draw(
    pipeline: _Pipeline, canvas: ByteArray, points: FloatArray, seed: Sequence[int], where: str
) -> Drawn:
    compose, cut_within, cut_afterwards = pipeline
    generator = np.random.default_rng(list(seed))
    # One pair of generators for all: with a seed each, all transforms would draw the same numbers.
    compose.set_random_state(generator, random.Random(int(generator.integers(2**63))))
    anchors, solve = _anchors(canvas.shape[1], canvas.shape[0])
    try:
        done = compose(image=canvas, keypoints=np.concatenate([anchors, points]).astype(np.float32))
    except Exception as error:  # whatever a transform raises, OpenCV's errors among them
        raise ConfigError(f"{where}: {_names(compose)} failed: {one_line(error)[:200]}") from error
    moved, image = np.asarray(done["keypoints"], np.float64), done["image"]
    if len(moved) != len(anchors) + len(points):
        raise ConfigError(
            f"{where}: {_names(compose)} dropped {len(anchors) + len(points) - len(moved)} of "
            f"{len(anchors) + len(points)} points; a transform has to keep them all, wherever they lie"
        )
    height, width, channels = canvas.shape
    wanted = height - 2 * cut_within[1], width - 2 * cut_within[0]
    if image.shape[:2] != wanted or image.size != wanted[0] * wanted[1] * channels or image.dtype != np.uint8:
        raise ConfigError(
            f"{where}: {_names(compose)} made a picture of {_described(image)} from one of "
            f"{_described(canvas)}; size, channels and type have to stay as they are"
        )
    across, down = cut_afterwards
    input_ = image.reshape(*wanted, channels)[down : wanted[0] - down, across : wanted[1] - across]
    moved -= cut_afterwards
    matrix = (solve @ moved[: len(anchors)]).T
    bent = np.abs(anchors @ matrix[:, :2].T + matrix[:, 2] - moved[: len(anchors)]).max() > _BENT
    return Drawn(
        pixels=input_,
        points=moved[len(anchors) :],
        affine=None if bent else Affine(matrix),
        mirrored=bool(matrix[0, 0] * matrix[1, 1] < matrix[0, 1] * matrix[1, 0]),
    )


def _described(image: ByteArray) -> str:
    channels = image.shape[2] if image.ndim == 3 else 1
    return f"{image.shape[1]} × {image.shape[0]} × {channels} {image.dtype}"


def _names(compose: "albumentations.Compose") -> str:
    return ", ".join(type(transform).__name__ for transform in compose.transforms)


@lru_cache
def _anchors(width: int, height: int) -> tuple[FloatArray, FloatArray]:
    """Nine points spread over the canvas, (9, 2), and what solves for the affine that moved them, (3, 9)."""
    x, y = np.meshgrid([0.0, (width - 1) / 2, width - 1.0], [0.0, (height - 1) / 2, height - 1.0])
    anchors = np.stack([x.ravel(), y.ravel()], axis=1)
    return anchors, np.linalg.pinv(np.column_stack([anchors, np.ones(9)]))
