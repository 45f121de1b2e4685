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
_OFF = 0.2
"""A transform that moves the picture off its points by more than this, in pixels, is named."""
_GREY, _BRIGHTER = 110, 60
"""Levels of the canvas on which shifts are measured, and what its spots add to it."""
_FAINT = 4
"""A spot that is left with fewer levels than this is covered, or lost in noise."""
_UNCOVERED = 0.3
"""Less than this share of a spot does not say where it is."""
_FEWEST = 6
"""A field of shifts is fitted to no fewer spots than this."""


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


@dataclass(frozen=True)
class Checked:
    """What :meth:`Augmentation.check` found that hinders no training but has to be known.

    Args:
        bending: names of transforms that bend the picture, so that no affine leads back to the photo.
        moving: transforms that move the picture and leave its points, as ``"name: class"``, and by how many
            pixels at most.
    """

    bending: tuple[str, ...]
    moving: Mapping[str, float]


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

    def check(self, shape: tuple[int, int, int], *, may_mirror: bool) -> Checked:
        """Try each transform by itself on a made-up canvas of ``shape`` (H, W, C).

        Whether the picture stays with its points is measured, with the settings that each has: on a canvas
        with spots, and by how far they come to lie from their points.

        Args:
            may_mirror: whether the landmarks have a mirror permutation.

        Returns:
            The names of those that bend the picture, and of those that move it by more than 0.2 pixels off
            its points.

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
        spots = _Spots.on(shape)
        bending: list[str] = []
        moving: dict[str, float] = {}
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
                if shift := _shift(pipeline, spots):
                    both = f"{name}: {type(leaf).__name__}"
                    moving[both] = max(shift, moving.get(both, 0))
        return Checked(tuple(dict.fromkeys(bending)), moving)


def check_targets(settings: object, file: str = "its file") -> None:
    """See that the configuration of an augmentation names a class for each transform.

    Args:
        settings: the group ``augmentation`` as plain values.
        file: what messages call the file that they stand in.

    Raises:
        ConfigError: if a ``_target_`` is missing; the message names the key.
    """
    if not isinstance(settings, Mapping) or "_target_" not in settings:
        raise ConfigError(
            "augmentation has no _target_, the name of its class: put _target_: "
            f"keypoints.Augmentation in {file}, or begin it with defaults: [rotate_shift]"
        )
    transforms = settings.get("transforms") or {}
    if not isinstance(transforms, Mapping):
        raise ConfigError("augmentation.transforms are transforms by name, not a list: name: {_target_: …}")
    for name, transform in transforms.items():
        _check_target(transform, f"augmentation.transforms.{name}", file)


def _check_target(settings: object, key: str, file: str) -> None:
    if not isinstance(settings, Mapping) or "_target_" not in settings:
        raise ConfigError(
            f"{key} has no _target_, the name of its class: give it one in {file}, such as "
            "_target_: albumentations.GaussianBlur"
        )
    within = settings.get("transforms") or []
    if isinstance(within, Mapping):
        raise ConfigError(f"{key}.transforms is a list within a composition, not by name: - _target_: …")
    for number, each in enumerate(within if isinstance(within, list) else []):
        _check_target(each, f"{key}.transforms[{number}]", file)


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

    from keypoints.data.transforms import AffineOntoInput

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

    from keypoints.data.transforms import without_reflected_points

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Got processor for keypoints, but no transform")
            points = albumentations.KeypointParams("xy", remove_invisible=False, check_each_transform=False)
            once = [without_reflected_points(transform) for transform in transforms]
            compose = albumentations.Compose(once, keypoint_params=points, strict=True, seed=0)
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
        if len(moved) > len(keypoints):
            raise ConfigError(
                f"{pipeline.called} made {len(moved)} points of {len(keypoints)}, as reflections do; a "
                "transform has to give each point once: take border_mode: 1, or leave it out"
            )
        if len(moved) < len(keypoints):
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


class _Spots(NamedTuple):
    """A canvas with bright spots on it, and the same without them."""

    points: FloatArray
    """(N, 2), the spots' centres in pixels, spread over the canvas's middle."""
    width: float
    """Standard deviation of each spot, in pixels."""
    reach: int
    """How far from a point its spot is looked for, in pixels."""
    bare: ByteArray
    spotted: ByteArray

    @classmethod
    def on(cls, shape: tuple[int, int, int]) -> "_Spots":
        """Spots on a canvas of ``shape`` (H, W, C)."""
        height, width, channels = shape
        side = min(height, width)
        along = np.linspace(0.2, 0.8, int(np.clip(0.6 * side / 24 + 1, 3, 5)))
        apart = 0.6 * side / (len(along) - 1)
        spread = min(4, apart / 6)
        x, y = np.arange(width), np.arange(height)
        columns, rows = along * (width - 1), along * (height - 1)
        across = np.exp(-(((x - columns[:, None]) / spread) ** 2) / 2).sum(0)
        down = np.exp(-(((y - rows[:, None]) / spread) ** 2) / 2).sum(0)
        rough = _GREY + np.random.default_rng(0).normal(0, 3, (height, width))
        pictures = (
            np.rint(np.clip(level, 0, 255)).astype(np.uint8)[:, :, None].repeat(channels, axis=2)
            for level in (rough, rough + _BRIGHTER * np.outer(down, across))
        )
        points = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
        return cls(points, spread, min(14, int(apart / 2)), *pictures)


def _shift(pipeline: _Pipeline, spots: _Spots) -> float:
    """How far ``pipeline`` moves the picture off its points at most, in pixels, over several draws.

    Each draw is made twice, with spots and without: what differs is the spots, whatever else was drawn.
    """
    drawn = _draw(
        pipeline,
        [spots.bare, spots.spotted] * _PROBES,
        np.stack([spots.points] * 2 * _PROBES),
        [[probe] for probe in range(_PROBES) for _ in range(2)],
    )
    pixels, points = drawn.pixels.astype(np.float32), drawn.points[::2]
    nearest = np.rint(points).astype(int)
    size = pixels.shape[2], pixels.shape[1]
    inside = ((nearest >= spots.reach) & (nearest < np.subtract(size, spots.reach))).all(-1)
    apart = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
    alone = np.partition(apart, 1, axis=-1)[..., 1] >= spots.reach  # the least is from a point to itself
    draws, numbers = np.nonzero(inside & alone)
    if not len(draws):
        return 0.0
    near = np.arange(-spots.reach, spots.reach + 1)
    x, y = np.moveaxis(nearest[draws, numbers], -1, 0)[..., None, None]
    where = draws[:, None, None], y + near[:, None], x + near
    windows = np.abs(pixels[1::2][where] - pixels[::2][where]).mean(-1)
    off, seen = _found(windows, (points - nearest)[draws, numbers], spots)
    its = [seen & (draws == draw) for draw in range(_PROBES)]
    return max(_common(spots.points[numbers[each]], off[each]) for each in its)


def _common(points: FloatArray, off: FloatArray) -> float:
    """How far a picture is moved or scaled off its points, in pixels; 0 if that is no more than allowed.

    What covers or breaks a spot shifts it at random. So the shifts that an affine map has, root mean square,
    have to exceed the limit by two of their standard errors.

    Args:
        points: (N, 2), where spots belong.
        off: (N, 2), how far from there they are.
    """
    if len(points) < _FEWEST:
        return 0.0
    design = np.column_stack([points - points.mean(0), np.ones(len(points))])
    field = design @ np.linalg.lstsq(design, off, rcond=None)[0]
    size = np.sqrt((field**2).sum(1).mean())
    error = np.sqrt(((off - field) ** 2).sum() / max(2 * len(off) - 6, 1) * 6 / len(off))
    return float(size) if size - 2 * error > _OFF else 0.0


def _found(
    windows: FloatArray, centres: FloatArray, spots: _Spots
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """How far from their points spots are, (N, 2), in pixels, and whether enough is seen of each, (N,).

    By least squares, with a spot of the known width; pixels that are covered are left out.

    Args:
        windows: (N, side, side), what is left of each spot, in levels.
        centres: (N, 2), the points, in pixels from the windows' middles.
        spots: what was on the canvas.
    """
    near, count = np.arange(-spots.reach, spots.reach + 1), len(windows)
    levels = windows.reshape(count, -1, 1)
    off = np.zeros((count, 2))
    for _ in range(8):
        x, y = ((near - (centres + off)[:, axis, None]) / spots.width for axis in (0, 1))
        spot = np.exp(-(y[:, :, None] ** 2 + x[:, None, :] ** 2) / 2)
        slopes = np.stack([spot, spot * x[:, None, :], spot * y[:, :, None]], axis=-1).reshape(count, -1, 3)
        design = slopes * (levels > 0)
        turned = design.swapaxes(1, 2)
        level, *steps = np.linalg.solve(turned @ design + 1e-6 * np.eye(3), turned @ levels)[:, :, 0].T
        step = np.stack(steps, axis=1) / np.maximum(level, 1e-3)[:, None] * spots.width
        step = np.clip(step, -spots.width / 2, spots.width / 2)
        off = np.clip(off + step, -spots.reach, spots.reach)
        if np.abs(step).max() < 0.01:
            break
    share = (design[..., 0] ** 2).sum(1) / (slopes[..., 0] ** 2).sum(1)
    return off, (level > _FAINT) & (share > _UNCOVERED)
