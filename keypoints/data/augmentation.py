"""Augmentation of images and their points with albumentations transforms.

To add a transform, name its class in YAML, under a name of your choice:

.. code-block:: yaml

    # conf/augmentation/mine.yaml, or on the command line with +augmentation.transforms.blur…
    defaults:
      - rotate_shift
    transforms:
      blur:
        _target_: albumentations.GaussianBlur
        p: 0.3

Random numbers are a function of seed, epoch and index alone: they do not depend on workers, their
persistence, ranks or resuming. This module imports albumentations late, because that takes seconds.
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
from keypoints.formatting import counted
from keypoints.geometry import Affine, ByteArray, FloatArray

if TYPE_CHECKING:
    import albumentations

    Transform = Union[albumentations.BasicTransform, albumentations.BaseCompose]  # noqa: UP007  evaluated for types only

_BENT = 0.05
"""Largest residual of an affine fit, in pixels; a transform with a larger one is not affine."""
_COLUMNS = 5
"""Values of a point in albumentations: x, y, and a depth, an angle and a size, which are 0 here."""
_PROBES = 8
"""Samples of each transform that are checked before training begins."""
_OFF = 0.2
"""Largest offset between image and points, in pixels; a transform with a larger one is reported."""
_GREY, _BRIGHTER = 110, 60
"""Grey level of the canvas on which offsets are measured, and the levels that its spots add."""
_FAINT = 4
"""Smallest amplitude of a spot, in levels; a fainter one is covered, or lost in noise."""
_UNCOVERED = 0.3
"""Smallest visible share of a spot from which its position is estimated."""
_FEWEST = 6
"""Smallest number of spots to which a field of offsets is fitted."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Augmented samples of B faces.

    Args:
        pixels: (B, H, W, C), the network's inputs: augmented canvases without their borders.
        points: (B, K, 2) in pixels of the inputs, in the given order; points outside the input are kept.
        affine: the exact maps from pixels of the canvases to pixels of the inputs; NaN if no affine map fits
            (a perspective). Such a sample can be used for training, but not for metrics.
        mirrored: (B,), whether left and right are swapped, so that points have to be permuted.
    """

    pixels: ByteArray
    points: FloatArray
    affine: Affine
    mirrored: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Checked:
    """Warnings of :meth:`Augmentation.check`, which do not prevent training.

    Args:
        bending: names of transforms that are not affine, so that no affine map leads back to the photo.
        moving: transforms that move the image but not its points, as ``"name: class"``, with the largest
            offset in pixels.
    """

    bending: tuple[str, ...]
    moving: Mapping[str, float]


class Augmentation:
    """Sequence of transforms, sampled independently for each face and epoch.

    Transforms take a canvas: the network's input with some of the photo around it, so that rotated corners
    are filled from the photo. Parameters relative to the image are relative to the canvas. An
    ``albumentations.Affine`` with p = 1, followed only by transforms of pixels, produces the network's input
    directly, and the transforms after it take that input.

    Args:
        transforms: albumentations transforms or compositions by a name of your choice, in order.
        context: sides of the canvas as a multiple of the sides of the network's input, from 1 to 4.

    Raises:
        ConfigError: if a value is not an albumentations transform, a transform refuses its settings, or the
            context is out of range.
    """

    def __init__(self, transforms: "Mapping[str, Transform]", *, context: float = 1.6) -> None:
        import albumentations

        if not isinstance(context, int | float) or not 1 <= context <= 4:
            raise ConfigError(f"the augmentation's context is a factor from 1 to 4, not {context!r}")
        for name, transform in transforms.items():
            if not isinstance(transform, albumentations.BasicTransform | albumentations.BaseCompose):
                kind = type(transform).__name__
                raise ConfigError(f"augmentation.transforms.{name}: {kind} is no albumentations transform")
        self.context = float(context)
        self._transforms = dict(transforms)
        self._pipelines = {(0, 0): _onto_input(self._transforms.values(), (0, 0))}

    def __repr__(self) -> str:
        return f"Augmentation({', '.join(self._transforms)}; context {self.context:g})"

    def border(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the border that the canvas adds to an input.

        Args:
            size: width and height of the network's input, in pixels.

        Returns:
            Pixels added on each side: left and right, above and below.
        """
        width, height = size
        return round((self.context - 1) / 2 * width), round((self.context - 1) / 2 * height)

    def __call__(
        self,
        canvases: Sequence[ByteArray],
        points: FloatArray,
        seeds: Sequence[Sequence[int]],
        border: tuple[int, int] = (0, 0),
    ) -> Drawn:
        """Augment each face once.

        Args:
            canvases: B canvases of the same shape (H, W, C).
            points: (B, K, 2) in pixels of the canvases.
            seeds: integers for each face; equal ones give equal samples.
            border: pixels of the canvas around the network's input: left and right, above and below.

        Returns:
            The augmented samples, without the border.

        Raises:
            ConfigError: if a transform fails, changes the number of points, or changes the image's size,
                channels or type.
        """
        if border not in self._pipelines:
            self._pipelines[border] = _onto_input(self._transforms.values(), border)
        return _augment(self._pipelines[border], canvases, points, seeds)

    def check(self, shape: tuple[int, int, int], *, may_mirror: bool) -> Checked:
        """Try each transform by itself, with its own settings, on a synthetic canvas.

        Offsets between image and points are measured on a canvas with bright spots: the distance of each
        transformed spot from its transformed point.

        Args:
            shape: (H, W, C) of the canvas, in pixels.
            may_mirror: whether the landmarks have a mirror permutation.

        Returns:
            The transforms that are not affine, and the transforms that move the image off its points by over
            0.2 pixels.

        Raises:
            ConfigError: if a transform fails, loses points, changes the image's size, or mirrors landmarks
                that have no mirror permutation; the message names the transform.
        """
        height, width, _ = shape
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        # Points inside and outside the canvas.
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
                drawn = _augment(pipeline, [pixels] * _PROBES, points, seeds)
                if any(_merged(moved) for moved in drawn.points):
                    raise ConfigError(
                        f"{where}: {type(leaf).__name__} loses points that lie outside the picture: it puts "
                        "them all in one place; leave it out"
                    )
                if drawn.mirrored.any() and not may_mirror:
                    raise ConfigError(
                        f"{where}: {type(leaf).__name__} mirrors faces, but these landmarks have no mirror "
                        "permutation; leave it out, or take all landmarks"
                    )
                if np.isnan(drawn.affine.matrix).any():
                    bending.append(name)
                if shift := _largest_offset(pipeline, spots):
                    both = f"{name}: {type(leaf).__name__}"
                    moving[both] = max(shift, moving.get(both, 0))
        return Checked(tuple(dict.fromkeys(bending)), moving)


def check_targets(settings: object, file: str = "its file") -> None:
    """Check that the configuration of an augmentation names a class for each transform.

    Args:
        settings: the group ``augmentation`` as plain values.
        file: the name of the file with these settings, for messages.

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
    """Return whether distinct points were mapped to the same place."""
    return len(np.unique(points.round(3), axis=0)) < len(points)


def _leaves(transform: "Transform") -> "Iterator[albumentations.BasicTransform]":
    """Yield the single transforms of a composition, or the transform itself if it is single."""
    import albumentations

    if isinstance(transform, albumentations.BaseCompose):
        for inner in transform.transforms:
            yield from _leaves(inner)
    else:
        yield transform


class _Pipeline(NamedTuple):
    """Transforms from a canvas to the network's input."""

    compose: "albumentations.Compose"
    called: str
    """Description for messages: the configuration key, and the transforms."""
    cut_within: tuple[int, int] = (0, 0)
    """Pixels of the border that a transform removes on each side: left and right, above and below."""
    cut_afterwards: tuple[int, int] = (0, 0)
    """Pixels of the border to remove on each side after all transforms."""


def _onto_input(transforms: "Iterable[Transform]", border: tuple[int, int]) -> _Pipeline:
    """Return a pipeline of the transforms; its last affine one removes the border if it can."""
    import albumentations

    from keypoints.data.augmentation_transforms import AffineOntoInput

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
    """Return whether a transform changes pixel values only, so that points stay where they are."""
    import albumentations

    return all(isinstance(leaf, albumentations.ImageOnlyTransform) for leaf in _leaves(transform))


def _compose(where: str, transforms: "list[Transform]") -> "albumentations.Compose":
    """Compose the transforms so that points outside the image are kept; refuse unknown settings."""
    import albumentations

    from keypoints.data.augmentation_transforms import without_reflected_points

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Got processor for keypoints, but no transform")
            points = albumentations.KeypointParams("xy", remove_invisible=False, check_each_transform=False)
            once = [without_reflected_points(transform) for transform in transforms]
            compose = albumentations.Compose(once, keypoint_params=points, strict=True, seed=0)
    except ValueError as error:
        raise ConfigError(f"{where}: {one_line(error)}") from error
    # The settings are checked, and _augment passes points in albumentations' own layout: without its checks
    # and conversions a call takes two thirds of the time.
    compose.disable_check_args_private()
    compose.is_check_shapes = False
    return compose


def _augment(
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
        image, moved = _augment_one(pipeline, canvas, keypoints, seed)
        if len(moved) > len(keypoints):
            raise ConfigError(
                f"{pipeline.called} made {counted(len(moved), 'point')} of {len(keypoints)}, as "
                "reflections do; a "
                "transform has to give each point once: take border_mode: 1, or leave it out"
            )
        if len(moved) < len(keypoints):
            raise ConfigError(
                f"{pipeline.called} dropped {len(keypoints) - len(moved)} of "
                f"{counted(len(keypoints), 'point')}; a transform has to keep them all, wherever they lie"
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


def _augment_one(
    pipeline: _Pipeline,
    canvas: ByteArray,
    keypoints: npt.NDArray[np.float32],
    seed: Sequence[int],
) -> tuple[ByteArray, npt.NDArray[np.float32]]:
    """Return the augmented image and points of one face."""
    generator = np.random.default_rng(list(seed))
    # All transforms share one pair of generators: with a seed each, they would sample the same numbers.
    pipeline.compose.set_random_state(generator, random.Random(int(generator.integers(2**63))))
    try:
        done = pipeline.compose(image=canvas, keypoints=keypoints)
    except Exception as error:  # transforms may raise anything, such as OpenCV's errors
        raise ConfigError(f"{pipeline.called} failed: {one_line(error)[:200]}") from error
    return done["image"], done["keypoints"]


def _described(image: ByteArray) -> str:
    channels = image.shape[2] if image.ndim == 3 else 1
    return f"{image.shape[1]} × {image.shape[0]} × {channels} {image.dtype}"


@lru_cache
def _anchors(width: int, height: int) -> tuple[FloatArray, FloatArray]:
    """Return nine points spread over the canvas, (9, 2), and the pseudo-inverse for affine fits, (3, 9)."""
    x, y = np.meshgrid([0.0, (width - 1) / 2, width - 1.0], [0.0, (height - 1) / 2, height - 1.0])
    anchors = np.stack([x.ravel(), y.ravel()], axis=1)
    return anchors, np.linalg.pinv(np.column_stack([anchors, np.ones(9)]))


class _Spots(NamedTuple):
    """Canvas with bright spots, and the same canvas without them."""

    points: FloatArray
    """(N, 2), the spots' centres in pixels, spread over the canvas's middle."""
    width: float
    """Standard deviation of each spot, in pixels."""
    reach: int
    """Half side of the window around a point in which its spot is localised, in pixels."""
    bare: ByteArray
    spotted: ByteArray

    @classmethod
    def on(cls, shape: tuple[int, int, int]) -> "_Spots":
        """Return spots on a canvas of ``shape`` (H, W, C)."""
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


def _largest_offset(pipeline: _Pipeline, spots: _Spots) -> float:
    """Return the largest offset between image and points over several samples, in pixels.

    Each sample is taken twice, with and without spots: the difference shows the spots alone.
    """
    drawn = _augment(
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
    off, seen = _spot_offsets(windows, (points - nearest)[draws, numbers], spots)
    its = [seen & (draws == draw) for draw in range(_PROBES)]
    return max(_common_offset(spots.points[numbers[each]], off[each]) for each in its)


def _common_offset(points: FloatArray, off: FloatArray) -> float:
    """Return the common offset (shift, scale, rotation) of an image from its points, in pixels.

    It is the root mean square of an affine fit to the offsets. Noise and covered spots give random offsets,
    so the result is 0 unless it exceeds the limit by two of its standard errors.

    Args:
        points: (N, 2), the expected positions of the spots.
        off: (N, 2), the offset of each spot from its point, in pixels.
    """
    if len(points) < _FEWEST:
        return 0.0
    design = np.column_stack([points - points.mean(0), np.ones(len(points))])
    field = design @ np.linalg.lstsq(design, off, rcond=None)[0]
    size = np.sqrt((field**2).sum(1).mean())
    error = np.sqrt(((off - field) ** 2).sum() / max(2 * len(off) - 6, 1) * 6 / len(off))
    return float(size) if size - 2 * error > _OFF else 0.0


def _spot_offsets(
    windows: FloatArray, centres: FloatArray, spots: _Spots
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return the offsets of spots from their points, (N, 2), in pixels, and which are visible, (N,).

    Fits a Gaussian of the known width by least squares; covered pixels are left out.

    Args:
        windows: (N, side, side), the visible part of each spot, in grey levels.
        centres: (N, 2), the points, in pixels from the windows' centres.
        spots: the original spots.
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
