"""Faces as a network gets them: crops in memory, augmented as they are asked for; and the batch of them."""

import logging
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset

from keypoints.data.augmentation import Augmentation
from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.data.sampler import Key
from keypoints.distributed import is_first
from keypoints.errors import DataError
from keypoints.geometry import Affine, Box, ByteArray, Crop, FloatArray, pixels_to_ratio

log = logging.getLogger(__name__)

SingleArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """What a task is given; B faces of K landmarks.

    A single sample, before it is collated, has the same fields without the first dimension.
    """

    pixels: Tensor
    """(B, C, H, W) uint8: on the way from a loader's process, and to a GPU, a quarter of the bytes that
    :meth:`to_images` makes of them."""
    targets: Tensor
    """(B, K, 2) float32: x and y as ratios of the input; outside 0…1 where the crop cuts points off."""
    to_photo: Tensor
    """(B, 2, 3) float32: the affine from pixels of the input to pixels of the photo; NaN where an
    augmentation bent the picture."""
    photo_sizes: Tensor
    """(B, 2) float32: the photos' width and height in pixels."""
    indices: Tensor
    """(B,) int64: which faces of the dataset these are."""

    def to_images(self) -> Tensor:
        """Return what a network takes, (B, C, H, W) float32 in [-0.5, 0.5], on the device of the pixels."""
        return self.pixels.float().div_(255).sub_(0.5)

    @property
    def images(self) -> Tensor:
        """Deprecated: :meth:`to_images`, which says that it converts the batch."""
        warnings.warn("Batch.images is called Batch.to_images() now", DeprecationWarning, stacklevel=2)
        return self.to_images()

    def in_photo(self, ratios: Tensor, size: tuple[int, int]) -> Tensor:
        """Return points in pixels of the photos.

        Args:
            ratios: (B, K, 2) ratios of the input.
            size: width and height of the input.
        """
        pixels = ratios.float() * ratios.new_tensor(size) - 0.5
        # Not a matrix product: those lose digits under reduced precision.
        return (pixels[:, :, None] * self.to_photo[:, None, :, :2]).sum(-1) + self.to_photo[:, None, :, 2]

    def __reduce__(self) -> tuple[Any, ...]:
        """What a loader's process sends: one piece of shared memory, and not one for each field."""
        small = [field.cpu().numpy() for field in self[1:]]
        return _unpacked, (self.pixels, *small)

    def to(self, device: torch.device) -> "Batch":
        """The batch on ``device``: what Lightning asks of it, which else would search it for tensors."""
        if self.pixels.device == device:
            return self
        return Batch(*(field.to(device, non_blocking=device.type == "cuda") for field in self))


def _unpacked(pixels: Tensor, *small: npt.NDArray[Any]) -> Batch:
    return Batch(pixels, *(torch.from_numpy(field).to(pixels.device) for field in small))


def pixels_of(batch: Batch, most: int | None = None) -> list[ByteArray]:
    """The batch's first pictures: (H, W) grey or (H, W, 3) RGB each."""
    planes = batch.pixels[:most].cpu().numpy()
    return [image[0] if len(image) == 1 else image.transpose(1, 2, 0) for image in planes]


class FaceDataset(Dataset[Batch]):
    """Faces, decoded once and held in memory as crops, with context round them if they are augmented.

    Every photo is decoded as the dataset is made, so that a damaged one is named before any training.
    Of as many faces as the memory allows, the crops are held; those of the others are cut from their
    photos again at each use, which gives the same samples, only later.

    Args:
        faces: all with points, or all without: then targets are NaN, and there is nothing to measure.
        landmarks: which of a face's points are the targets.
        crop: how a photo becomes an input.
        augmentation: what is drawn anew for each face and epoch, or nothing.
        flip: the landmarks' mirror permutation, for an augmentation that mirrors.
        seed: decides, with epoch and index, what is drawn.
        memory: bytes that the crops may take, or ``None`` to hold them all.
        strict: ``False`` leaves out faces whose photos cannot be used, and says which; :attr:`faces` are
            then the others.

    Raises:
        DataError: if a photo cannot be decoded, a face's box misses it, a point lies far outside it, or some
            faces have points and others have none.
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
        with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow decodes outside the interpreter's lock
            prepared = threads.map(self._prepare, range(len(self.faces)))
            silent = len(self.faces) < _MANY or not is_first() or not sys.stdout.isatty()
            found = list(track(prepared, "decoding", len(self.faces), transient=True, disable=silent))
        affines = self._usable(found, strict=strict)
        self._points = np.stack([self._on_canvas(*each) for each in zip(self.faces, affines, strict=True)])
        self._ratio_targets = self._ratios(self._points - self._border)
        self._to_canvas = np.stack([affine.matrix for affine in affines])
        middle = Affine(np.array([[1.0, 0.0, -across], [0.0, 1.0, -down]]))
        self._to_photo = Affine(self._to_canvas).then(middle).inverse().matrix.astype(np.float32)
        self._photo_sizes = np.array([face.photo.size for face in self.faces], np.float32)

    def _check(self, augmentation: Augmentation) -> None:
        across, down = self._border
        shape = (self._crop.height + 2 * down, self._crop.width + 2 * across, self._crop.channels)
        checked = augmentation.check(shape, may_mirror=self._flip is not None)
        if bending := ", ".join(checked.bending):
            log.info("%s: no affine leads back to the photo, so it serves training only", bending)
        for name, pixels in checked.moving.items():
            log.warning(
                "augmentation.transforms.%s moves the picture off its points by up to %.1f pixels of the "
                "input, and the network learns that error; take smaller settings, or leave it out",
                name,
                pixels,
            )

    def _usable(self, found: Sequence[Affine | DataError], *, strict: bool) -> list[Affine]:
        """The affines of the faces that can be used; without ``strict`` the others are left out."""
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

    def _prepare(self, index: int) -> Affine | DataError:
        """The affine from a photo to its canvas, which is held if there is room for it."""
        try:
            canvas, affine = self._cut(index)
            _check_points(self.faces[index])
        except DataError as error:
            return error
        if index < len(self._canvases):
            self._canvases[index] = canvas
        return affine

    def _cut(self, index: int) -> tuple[ByteArray, Affine]:
        """The canvas of a face, from its photo, and the affine to it."""
        face = self.faces[index]
        try:
            return self._crop.canvas(face.photo.decode(self._crop.channels), face.box, self._border)
        except ValueError as error:
            raise DataError(f"{face.photo.path}: {error}") from error

    def _canvas(self, index: int) -> ByteArray:
        return self._canvases[index] if index < len(self._canvases) else self._cut(index)[0]

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, key: Key) -> Batch:
        """The sample that ``key`` stands for, augmented if the dataset is."""
        return _only(self.__getitems__([key]))

    def __getitems__(self, keys: Sequence[Key | int]) -> Batch:
        """The samples that ``keys`` stand for as one batch: what a loader asks for, and need not collate.

        A key without an epoch, as Lightning's ``overfit_batches`` gives it, stands for the first one.
        """
        pairs = [(0, key) if isinstance(key, int) else key for key in keys]
        if self._augmentation is None:
            return self.batch([index for _, index in pairs])
        indices = np.array([index for _, index in pairs])
        drawn = self._augmentation(
            [self._canvas(index) for index in indices],
            self._points[indices],
            [(self._seed, epoch, index) for epoch, index in pairs],
            self._border,
        )
        points = drawn.points
        if self._flip is not None:
            points = np.where(drawn.mirrored[:, None, None], points[:, self._flip], points)
        to_photo = Affine(self._to_canvas[indices]).then(drawn.affine).inverse()
        return self._batch(indices, drawn.pixels, self._ratios(points), to_photo.matrix.astype(np.float32))

    def augmented_by(self, augmentation: Augmentation) -> Self:
        """The same faces, not read again, under another augmentation of the same context."""
        other = copy(self)
        other._augmentation = augmentation
        return other

    def plain(self, index: int) -> Batch:
        """The sample of the face ``index``, not augmented."""
        return _only(self.batch([index]))

    def batch(self, indices: Sequence[int]) -> Batch:
        """The samples of these faces, not augmented, as one batch."""
        chosen = np.array(indices)
        return self._batch(chosen, self._middles(chosen), self._ratio_targets[chosen], self._to_photo[chosen])

    def _middles(self, indices: IndexArray) -> ByteArray:
        """The inputs of these faces, (B, H, W, C), not augmented."""
        (across, down), (width, height) = self._border, self._crop.size
        inside = slice(down, down + height), slice(across, across + width)
        if not self.read_again:
            return self._canvases[:, *inside][indices]
        return np.stack([self._canvas(index)[inside] for index in indices])

    def _batch(
        self, indices: IndexArray, inputs: ByteArray, targets: SingleArray, to_photo: SingleArray
    ) -> Batch:
        fields = inputs.transpose(0, 3, 1, 2), targets, to_photo, self._photo_sizes[indices], indices
        return Batch(*(torch.from_numpy(np.ascontiguousarray(field)) for field in fields))

    def _on_canvas(self, face: Face, affine: Affine) -> FloatArray:
        """The targets of a face, (K, 2) pixels of its canvas."""
        if not self.has_points:
            return np.full((len(self._landmarks), 2), np.nan)
        return affine(face.landmarks()[self._landmarks])

    def _ratios(self, points: FloatArray) -> SingleArray:
        """Pixels of the input, (…, 2), as ratios of it."""
        return pixels_to_ratio(points, self._crop.size).astype(np.float32)

    @property
    def targets(self) -> Tensor:
        """(N, K, 2) ratios of the input, of all faces, not augmented."""
        return torch.from_numpy(self._ratio_targets)

    @property
    def nbytes(self) -> int:
        """The memory that the crops take."""
        return self._canvases.nbytes

    @property
    def read_again(self) -> int:
        """How many faces are not held: their photos are read at each use."""
        return len(self.faces) - len(self._canvases)


_FAR = 1.0
"""How far outside its photo a point may lie, in widths and heights of it. Beyond is a slip, and one such face
outweighs all others in a loss."""


def _check_points(face: Face) -> None:
    """See that a face's points lie in its photo, which is decoded, or near it.

    Raises:
        DataError: if one is far outside.
    """
    if face.points is None:
        return
    ratios = pixels_to_ratio(face.landmarks(), face.photo.size)
    far = np.flatnonzero(~((ratios >= -_FAR) & (ratios <= 1 + _FAR)).all(axis=1))
    if far.size:
        x, y = face.landmarks()[far[0]]
        width, height = face.photo.size
        raise DataError(
            f"{face.source or face.photo.path}: point {far[0]} at ({x:g}, {y:g}) lies far outside its photo "
            f"{face.photo.path.name} of {width} × {height} pixels; correct it, or leave such faces out: "
            "data.strict=false"
        )


_MANY = 500
"""Faces that take long enough to decode for a progress bar."""


def _only(batch: Batch) -> Batch:
    """The one sample of ``batch``."""
    return Batch(*(field[0] for field in batch))


def as_it_is(batch: Any) -> Any:
    """How a loader collates what :class:`FaceDataset` gives it: that is a batch already."""
    return batch


def mean_targets(faces: Sequence[Face], landmarks: Sequence[int], crop: Crop) -> Tensor:
    """The mean of the faces' targets, (K, 2) ratios of the input: the constant predictor. Decodes nothing.

    Raises:
        DataError: if a face has no box and the crop needs one.
    """
    ratios = []
    for face in faces:
        try:
            region = crop.region(Photo(face.photo.path).size, face.box)  # the face's own would keep its bytes
        except ValueError as error:
            raise DataError(f"{face.photo.path}: {error}") from error
        points = Affine.between(region, Box.whole(crop.size))(face.landmarks()[list(landmarks)])
        ratios.append(pixels_to_ratio(points, crop.size))
    return torch.from_numpy(np.mean(ratios, axis=0)).float()


def whole(dataset: FaceDataset, indices: Iterable[int] | None = None) -> Batch:
    """Faces of ``dataset`` as one batch, not augmented; all of them if none are named."""
    return dataset.batch(range(len(dataset)) if indices is None else list(indices))
