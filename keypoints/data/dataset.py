"""Dataset of faces for training: crops in memory, augmented on access, and the batch type."""

import logging
import sys
import warnings
from collections.abc import Iterable, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset

from keypoints.crop import Crop
from keypoints.data.augmentation import Augmentation
from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.data.sampler import Key
from keypoints.distributed import is_first
from keypoints.errors import ConfigError, DataError
from keypoints.formatting import counted
from keypoints.geometry import Affine, Box, ByteArray, FlagArray, FloatArray, pixels_to_ratio
from keypoints.threads import mapped_in_threads

log = logging.getLogger(__name__)

SingleArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """Batch of B faces with K landmarks.

    A single sample has the same fields without the first dimension.
    """

    pixels: Tensor
    """(B, C, H, W) uint8 inputs; bytes make transfers from loader processes and to a GPU four times smaller
    than the float32 of :meth:`to_images`."""
    targets: Tensor
    """(B, K, 2) float32: x and y as ratios of the input; outside 0…1 for points outside the crop, and NaN for
    points that are not labelled."""
    to_photo: Tensor
    """(B, 2, 3) float32: the affine map from pixels of the input to pixels of the photo; NaN after an
    augmentation that is not affine."""
    photo_sizes: Tensor
    """(B, 2) float32: the photos' width and height in pixels."""
    indices: Tensor
    """(B,) int64: indices of the faces in the dataset."""
    labelled: Tensor = torch.ones(0, 0, dtype=torch.bool)
    """(B, K) bool: flags of the labelled points; (B, 0) if all points of the dataset are labelled."""
    hidden: Tensor = torch.zeros(0, 0, dtype=torch.bool)
    """(B, K) bool: flags of the hidden points; (B, 0) if no point of the dataset is hidden."""

    @property
    def lacks_labels(self) -> bool:
        """Flag: some points of the dataset are not labelled."""
        return self.labelled.numel() > 0

    @property
    def hidden_points(self) -> FlagArray | None:
        """Flags of the hidden points, (B, K), for plots; ``None`` if no point of the dataset is hidden."""
        return self.hidden.cpu().numpy() if self.hidden.numel() else None

    def to_images(self) -> Tensor:
        """Return the network's input, (B, C, H, W) float32 in [-0.5, 0.5], on the device of the pixels."""
        return self.pixels.float().div_(255).sub_(0.5)

    @property
    def images(self) -> Tensor:
        """Deprecated name of :meth:`to_images`."""
        warnings.warn("Batch.images is called Batch.to_images() now", DeprecationWarning, stacklevel=2)
        return self.to_images()

    def in_photo(self, ratios: Tensor, size: tuple[int, int]) -> Tensor:
        """Map points from ratios of the input to pixels of the photos.

        Args:
            ratios: (B, K, 2) ratios of the input.
            size: width and height of the input, in pixels.

        Returns:
            (B, K, 2) float32 pixels of the photos.
        """
        pixels = ratios.float() * ratios.new_tensor(size) - 0.5
        # No matrix product, because it would lose digits under reduced precision.
        return (pixels[:, :, None] * self.to_photo[:, None, :, :2]).sum(-1) + self.to_photo[:, None, :, 2]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the small fields as arrays, so that a loader process shares one tensor only."""
        small = [field.cpu().numpy() for field in self[1:]]
        return _unpacked, (self.pixels, *small)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device; Lightning calls this method instead of searching for tensors.

        Args:
            device: the target device.

        Returns:
            The batch on that device; the batch itself if it is there already.
        """
        if self.pixels.device == device:
            return self
        return Batch(*(field.to(device, non_blocking=device.type == "cuda") for field in self))


def check_batch(batch: object, crop: Crop, landmarks: int) -> None:
    """Check that a loader gives batches for a certain network.

    A batch of another shape could still be trained on: torch repeats the values of a dimension of size 1.

    Args:
        batch: value that a loader gave.
        crop: crop that makes the network's input.
        landmarks: number of landmarks that the network predicts.

    Raises:
        ConfigError: if it is no batch, or has another size, number of channels, type or number of landmarks.
    """
    if isinstance(batch, Batch):
        _check_pixels(batch.pixels, crop)
        if batch.targets.shape != (needed := (len(batch.pixels), landmarks, 2)):
            raise ConfigError(
                f"the loader gave targets of shape {tuple(batch.targets.shape)}, not {needed}: x and y of "
                "each landmark of this task; make the task with the scheme of the data"
            )
        return
    parts = f" of {counted(len(batch), 'part')}" if isinstance(batch, Sequence) else ""
    raise ConfigError(
        f"the loader gave a {type(batch).__name__}{parts}, not a batch; a batch is a keypoints.Batch with "
        "the fields pixels (B, C, H, W) as bytes, targets (B, K, 2) as ratios of the input, to_photo "
        "(B, 2, 3), photo_sizes (B, 2) and indices (B,); let each sample of your dataset be one, without B"
    )


def _check_pixels(pixels: Tensor, crop: Crop) -> None:
    """Check that inputs are bytes of the crop's size."""
    needed = crop.channels, crop.height, crop.width
    if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1:] != needed:
        kind, shape = str(pixels.dtype).removeprefix("torch."), tuple(pixels.shape)
        raise ConfigError(
            f"the loader gave pixels of type {kind} and shape {shape}, not of type uint8, 0 to 255, and "
            f"shape (B, {', '.join(map(str, needed))}): channels, height and width of the task's crop"
        )


def _unpacked(pixels: Tensor, *small: npt.NDArray[Any]) -> Batch:
    return Batch(pixels, *(torch.from_numpy(field).to(pixels.device) for field in small))


def pixels_of(batch: Batch, most: int | None = None) -> list[ByteArray]:
    """Return the inputs of a batch, at most the first ``most``: (H, W) grey or (H, W, 3) RGB each."""
    planes = batch.pixels[:most].cpu().numpy()
    return [image[0] if len(image) == 1 else image.transpose(1, 2, 0) for image in planes]


class FaceDataset(Dataset[Batch]):
    """Dataset of faces, decoded once and cached as crops, with a border of context if they are augmented.

    The constructor decodes every photo, so that a damaged one is reported before training. Crops are cached
    up to the memory limit. The photos of the other faces are decoded once, however many faces they show, and
    again at each access, which gives the same samples more slowly.

    Args:
        faces: faces, either all with or all without points. Without, targets are NaN and metrics undefined.
        landmarks: indices of the face's points that are the targets.
        crop: the conversion from photo to network input.
        augmentation: augmentation, sampled again for each face and epoch; ``None`` for none.
        flip: the landmarks' mirror permutation, for an augmentation that mirrors.
        seed: seed of the random numbers, which depend on it, the epoch and the index.
        memory: largest size of the cached crops in bytes; ``None`` to cache them all.
        strict: ``False`` leaves out faces whose photos cannot be used, with a warning; :attr:`faces` then
            lacks them.

    Raises:
        DataError: if a photo cannot be decoded, a face's box misses it, a point lies far outside it, or only
            some of the faces have points.
        ConfigError: if the augmentation cannot be used on these faces.
    """

    def __init__(
        self,
        faces: Sequence[Face],
        landmarks: Sequence[int],
        crop: Crop,
        *,
        augmentation: Augmentation | None = None,
        flip: Sequence[int] | None = None,
        seed: int = 0,
        memory: int | None = None,
        strict: bool = True,
    ) -> None:
        self.faces = tuple(faces)
        self._landmarks = list(landmarks)
        self._crop = crop
        self._augmentation = augmentation
        self._flip = None if flip is None else list(flip)
        self._seed = seed
        self._border = (0, 0) if augmentation is None else augmentation.border(crop.size)
        if augmentation is not None:
            self._check(augmentation)
        bare = [face for face in self.faces if face.points is None]
        if bare and len(bare) < len(self.faces):
            raise DataError(
                f"{bare[0].photo.path}: this face has no points, and others of its split have some"
            )
        self.has_points = not bare
        across, down = self._border
        shape = (crop.height + 2 * down, crop.width + 2 * across, crop.channels)
        size = int(np.prod(shape))
        held = len(self.faces) if memory is None else min(len(self.faces), max(memory, 0) // size)
        self._canvases = np.empty((held, *shape), np.uint8)
        found = self._prepare_all()
        affines = self._usable(found, strict=strict)
        self._points = np.stack([self._on_canvas(*each) for each in zip(self.faces, affines, strict=True)])
        self._lacks_labels = self.has_points and not np.isfinite(self._points).all()
        self._hidden = self._hidden_points()
        self._ratio_targets = self._ratios(self._points - self._border)
        self._to_canvas = np.stack([affine.matrix for affine in affines])
        middle = Affine(np.array([[1.0, 0.0, -across], [0.0, 1.0, -down]]))
        self._to_photo = Affine(self._to_canvas).then(middle).inverse().matrix.astype(np.float32)
        self._photo_sizes = np.array([face.photo.size for face in self.faces], np.float32)

    def _prepare_all(self) -> list[Affine | DataError]:
        """Return the result of :meth:`_prepare` for each face."""
        count = len(self.faces)
        silent = count < _MANY or not is_first() or not sys.stdout.isatty()
        sizes: dict[Path, tuple[int, int]] = {}

        prepared = mapped_in_threads(partial(self._prepare, sizes=sizes), range(count))
        return list(track(prepared, "decoding", count, transient=True, disable=silent))

    def _check(self, augmentation: Augmentation) -> None:
        across, down = self._border
        shape = (self._crop.height + 2 * down, self._crop.width + 2 * across, self._crop.channels)
        checked = augmentation.check(shape, may_mirror=self._flip is not None)
        if bending := ", ".join(checked.bending):
            log.info("%s: no affine map leads back to the photo, so it can be used in training only", bending)
        for name, pixels in checked.moving.items():
            log.warning(
                "augmentation.transforms.%s moves the picture off its points by up to %.1f pixels of the "
                "input, and the network learns that error; take smaller settings, or leave it out",
                name,
                pixels,
            )

    def _usable(self, found: Sequence[Affine | DataError], *, strict: bool) -> list[Affine]:
        """Return the affine maps of the usable faces; without ``strict``, remove the other faces."""
        problems = [item for item in found if isinstance(item, DataError)]
        if problems and (strict or len(problems) == len(found)):
            raise problems[0]
        if problems:
            for problem in problems:
                log.warning("left out: %s", problem)
            log.warning("faces left out: %d of %d", len(problems), len(found))
            kept = [place for place, item in enumerate(found) if isinstance(item, Affine)]
            self._canvases = self._canvases[[place for place in kept if place < len(self._canvases)]]
            self.faces = tuple(self.faces[place] for place in kept)
        return [item for item in found if isinstance(item, Affine)]

    def _prepare(self, index: int, sizes: dict[Path, tuple[int, int]]) -> Affine | DataError:
        """Return the affine map from a photo to its canvas, and cache the canvas within the memory limit.

        Args:
            index: index of the face.
            sizes: sizes of the photos that have been decoded for faces beyond the limit, which this adds to.
        """
        face = self.faces[index]
        try:
            if index < len(self._canvases):
                self._canvases[index], affine = self._cut(index)
            else:
                self._decode_once(face.photo, sizes)
                affine = self._to_canvas_of(face)
            _check_points(face)
        except DataError as error:
            return error
        return affine

    def _decode_once(self, photo: Photo, sizes: dict[Path, tuple[int, int]]) -> None:
        """Decode a photo to check it and to learn its size, unless ``sizes`` has it already."""
        if photo.is_in_memory or photo.path not in sizes:
            photo.decode(self._crop.channels)
            sizes[photo.path] = photo.size
        photo.size = sizes[photo.path]

    def _cut(self, index: int) -> tuple[ByteArray, Affine]:
        """Crop the canvas of a face from its photo; return it and the affine map to it."""
        face = self.faces[index]
        try:
            return self._crop.canvas(face.photo.decode(self._crop.channels), face.box, self._border)
        except ValueError as error:
            raise DataError(f"{face.photo.path}: {error}") from error

    def _to_canvas_of(self, face: Face) -> Affine:
        """Return the affine map from a face's photo, whose size is known, to its canvas."""
        try:
            return self._crop.to_canvas(face.photo.size, face.box, self._border)
        except ValueError as error:
            raise DataError(f"{face.photo.path}: {error}") from error

    def _canvas(self, index: int) -> ByteArray:
        return self._canvases[index] if index < len(self._canvases) else self._cut(index)[0]

    def __repr__(self) -> str:
        crop, how = self._crop, "" if self._augmentation is None else ", augmented"
        size = f"{crop.width} × {crop.height} × {crop.channels}"
        return f"FaceDataset({counted(len(self.faces), 'face')}, input of {size}{how})"

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, key: Key | int) -> Batch:
        """Return the sample for ``key`` (epoch, index), with augmentation; an index alone means epoch 0."""
        return _single_sample(self.samples([key]))

    def __getitems__(self, keys: Sequence[Key | int]) -> Batch | list[Batch]:
        """Return the samples for ``keys``, with augmentation.

        Args:
            keys: pairs (epoch, index); or indices, as from a plain loader or Lightning's ``overfit_batches``,
                which stand for epoch 0, so the augmentation of a face is then always the same.

        Returns:
            One batch, which a loader need not collate; for indices, the list of the samples.
        """
        if any(isinstance(key, int) for key in keys):
            return [self[key] for key in keys]
        return self.samples(keys)

    def samples(self, keys: Sequence[Key | int]) -> Batch:
        """Return the samples for ``keys`` as one batch, with augmentation; see :meth:`__getitems__`."""
        pairs = [(0, key) if isinstance(key, int) else key for key in keys]
        if self._augmentation is None:
            return self.batch([index for _, index in pairs])
        indices = np.array([index for _, index in pairs])
        points = self._points[indices]
        labelled = np.isfinite(points)
        if self._lacks_labels:  # transforms take no NaN: the middle stands in for points without a label
            points = np.where(labelled, points, np.divide(self._canvases.shape[2:0:-1], 2))
        drawn = self._augmentation(
            [self._canvas(index) for index in indices],
            points,
            [(self._seed, epoch, index) for epoch, index in pairs],
            self._border,
        )
        points = np.where(labelled, drawn.points, np.nan) if self._lacks_labels else drawn.points
        hidden = self._hidden[indices]
        if self._flip is not None:
            points = np.where(drawn.mirrored[:, None, None], points[:, self._flip], points)
            if hidden.size:
                hidden = np.where(drawn.mirrored[:, None], hidden[:, self._flip], hidden)
        to_photo = Affine(self._to_canvas[indices]).then(drawn.affine).inverse().matrix.astype(np.float32)
        return self._batch(indices, drawn.pixels, self._ratios(points), to_photo, hidden)

    def augmented_by(self, augmentation: Augmentation) -> Self:
        """Return the dataset with another augmentation of the same context; photos are not read again."""
        other = copy(self)
        other._augmentation = augmentation
        return other

    def plain(self, index: int) -> Batch:
        """Return the sample of the face ``index``, not augmented."""
        return _single_sample(self.batch([index]))

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return the samples of the given faces as one batch, not augmented."""
        chosen = np.array(indices)
        return self._plain_batch(chosen, self._middles(chosen))

    def without_pixels(self) -> Batch:
        """Return all faces as one batch, not augmented, with (N, C, 0, 0) pixels; no photo is decoded."""
        every = np.arange(len(self))
        return self._plain_batch(every, np.empty((len(self), 0, 0, self._crop.channels), np.uint8))

    def _plain_batch(self, indices: IndexArray, inputs: ByteArray) -> Batch:
        targets, to_photo = self._ratio_targets[indices], self._to_photo[indices]
        return self._batch(indices, inputs, targets, to_photo, self._hidden[indices])

    def _middles(self, indices: IndexArray) -> ByteArray:
        """Return the inputs of the given faces, (B, H, W, C), not augmented."""
        (across, down), (width, height) = self._border, self._crop.size
        inside = slice(down, down + height), slice(across, across + width)
        if not self.read_again:
            return self._canvases[:, *inside][indices]
        return np.stack([self._canvas(index)[inside] for index in indices])

    def _batch(
        self,
        indices: IndexArray,
        inputs: ByteArray,
        targets: SingleArray,
        to_photo: SingleArray,
        hidden: FlagArray,
    ) -> Batch:
        flags = np.isfinite(targets).all(axis=2) if self._lacks_labels else np.ones((len(indices), 0), bool)
        sizes = self._photo_sizes[indices]
        fields = inputs.transpose(0, 3, 1, 2), targets, to_photo, sizes, indices, flags, hidden
        return Batch(*(torch.from_numpy(np.ascontiguousarray(field)) for field in fields))

    def _on_canvas(self, face: Face, affine: Affine) -> FloatArray:
        """Return the targets of a face, (K, 2) pixels of its canvas; NaN without points."""
        if not self.has_points:
            return np.full((len(self._landmarks), 2), np.nan)
        return affine(face.landmarks()[self._landmarks])

    def _hidden_points(self) -> FlagArray:
        """Return which targets of each face are hidden, (N, K); (N, 0) if none is."""
        if not self.has_points or all(face.states is None for face in self.faces):
            return np.zeros((len(self.faces), 0), bool)
        hidden = np.stack([face.hidden()[self._landmarks] for face in self.faces])
        return hidden if hidden.any() else hidden[:, :0]

    def _ratios(self, points: FloatArray) -> SingleArray:
        """Convert pixels of the input, (…, 2), to ratios of it."""
        return pixels_to_ratio(points, self._crop.size).astype(np.float32)

    @property
    def targets(self) -> Tensor:
        """Targets of all faces, (N, K, 2) ratios of the input, not augmented; NaN without a label."""
        return torch.from_numpy(self._ratio_targets)

    def mean_target(self) -> Tensor:
        """Return the mean of each point over the faces in which it is labelled, (K, 2) ratios of the input.

        Raises:
            DataError: if a point is labelled in no face.
        """
        if not self._lacks_labels:
            return self.targets.mean(dim=0)
        if missing := np.flatnonzero(np.isnan(self._points).any(axis=2).all(axis=0)).tolist():
            raise DataError(
                f"point {self._landmarks[missing[0]]} is labelled in none of the "
                f"{counted(len(self), 'face')} "
                f"({counted(len(missing), 'such point')}); label it, or take a part: data.landmarks=<part>"
            )
        return self.targets.nanmean(dim=0)

    @property
    def nbytes(self) -> int:
        """Size of the cached crops, in bytes."""
        return self._canvases.nbytes

    @property
    def read_again(self) -> int:
        """Number of faces that are not cached, whose photos are read at each access."""
        return len(self.faces) - len(self._canvases)


_FAR = 1.0
"""Largest distance of a point from its photo, as a fraction of the photo's width and height. A point further
away is an annotation error, and one such face would dominate the loss."""


def _check_points(face: Face) -> None:
    """Check that a face's points lie in or near its photo, which has to be decoded.

    Raises:
        DataError: if a point lies far outside.
    """
    if face.points is None:
        return
    ratios = pixels_to_ratio(face.landmarks(), face.photo.size)
    far = np.flatnonzero(~((ratios >= -_FAR) & (ratios <= 1 + _FAR)).all(axis=1) & face.labelled())
    if far.size:
        x, y = face.landmarks()[far[0]]
        width, height = face.photo.size
        raise DataError(
            f"{face.source or face.photo.path}: point {far[0]} at ({x:g}, {y:g}) lies far outside its photo "
            f"{face.photo.path.name} of {width} × {height} pixels; correct it, or leave such faces out: "
            "data.strict=false"
        )


_MANY = 500
"""Smallest number of faces for which decoding shows a progress bar."""


def _single_sample(batch: Batch) -> Batch:
    """Return the only sample of a batch, without the first dimension."""
    return Batch(*(field[0] for field in batch))


def collate(samples: Batch | Sequence[Batch]) -> Batch:
    """Return the samples as a batch: the collate function for :class:`FaceDataset`, which returns batches.

    Args:
        samples: a batch, which is returned unchanged, or single samples.
    """
    if isinstance(samples, Batch):
        return samples
    return Batch(*(torch.stack(fields) for fields in zip(*samples, strict=True)))


def mean_targets(faces: Sequence[Face], landmarks: Sequence[int], crop: Crop) -> Tensor:
    """Return the mean of the faces' targets, (K, 2) ratios of the input, for the mean-shape baseline.

    No photo is decoded.

    Raises:
        DataError: if a face has no box and the crop needs one, or its box misses the photo.
    """
    ratios = []
    for face in faces:
        try:
            region = crop.region(Photo(face.photo.path).size, face.box)  # face.photo would keep its bytes
        except ValueError as error:
            raise DataError(f"{face.photo.path}: {error}") from error
        points = Affine.between(region, Box.of_image(crop.size))(face.landmarks()[list(landmarks)])
        ratios.append(pixels_to_ratio(points, crop.size))
    return torch.from_numpy(np.nanmean(ratios, axis=0)).float()


def full_batch(dataset: FaceDataset, indices: Iterable[int] | None = None) -> Batch:
    """Return the faces with the given indices as one batch, not augmented; all faces by default."""
    return dataset.batch(range(len(dataset)) if indices is None else list(indices))
