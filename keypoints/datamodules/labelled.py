"""The user's own labelled photos, in any of the formats of ``data/readers/labelled.py``."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Literal

from keypoints.crop import Crop
from keypoints.data.face import Face
from keypoints.data.readers.ibug300w import NAMING, original_name
from keypoints.data.readers.labelled import LabelledList, read_list
from keypoints.data.splits import split_by_group, united_groups
from keypoints.datamodules.base import FaceDataModule
from keypoints.datamodules.settings import BoxSettings
from keypoints.errors import ConfigError, DataError, some_of
from keypoints.formatting import counted, pluralised
from keypoints.landmarks import LandmarkScheme, first_moved
from keypoints.logs import log_some
from keypoints.schemes import known_schemes, scheme_named, tell_flips

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False, repr=False)
class LabelledDataModule(BoxSettings, FaceDataModule):
    """Labelled photos of the user, from one list for each split.

    Args:
        train: list of the training faces; ``None`` if there are only test faces.
        val: list of the validation faces; ``None`` splits them off the training faces by group, or by photo
            if the list has no groups. A cross-validation divides the list ``train`` alone, and does not read
            this list.
        test: list of the test faces; all of them are in the split ``test``.
        root: folder that photo names in the lists are relative to; ``None``: each list's own folder.
        scheme: name or file of the points' landmark scheme, see :func:`keypoints.schemes.scheme_named`;
            ``None`` for the scheme that the first list describes, or else for points without names, without
            mirrored copies, and without normalising points.
        source: ``"box"`` crops each face's box; ``"image"`` takes the full image.

    Further arguments are those of :class:`BoxSettings` and :class:`FaceSettings`.

    Raises:
        ConfigError: if a value cannot be used, or no list is named.
        DataError: if the first list cannot be read.
    """

    train: str | Path | None = field(default=None, kw_only=False)
    val: str | Path | None = None
    test: str | Path | None = None
    root: str | Path | None = None
    scheme: InitVar[str | Path | None] = None
    width: int = 128
    height: int = 128
    source: Literal["image", "box"] = "box"
    batch_size: int = 16
    val_fraction: float = 0.2

    def __post_init__(self, scheme: str | Path | None) -> None:
        super().__post_init__()
        self._root = None if self.root is None else Path(self.root)
        self._known = None if scheme is None else scheme_named(scheme)
        self._lists = {
            split: Path(named)
            for split, named in {"train": self.train, "val": self.val, "test": self.test}.items()
            if named is not None
        }
        if self.fold is not None and {"train", "val"} <= set(self._lists):
            unused = self._lists.pop("val")
            log.info("%s is not used: fold %d of %s validates", unused, self.fold, self._lists["train"])
        if not {"train", "test"} & set(self._lists):
            raise ConfigError("say which list of labelled photos: data.train=<list>, or data.test=<list>")
        self._contents: dict[str, LabelledList] = {}
        first = next(iter(self._lists))
        described, points = self._described(first), self._points(first)
        if self._known is None and described is not None:
            _tell(described, self._lists[first])
        crop = Crop(self.width, self.height, self.channels, source=self.source, margin=self.margin)
        self.set_faces(self._known or described or _nameless(points), crop)

    def adopt(self, scheme: LandmarkScheme, crop: Crop) -> None:
        """Use a checkpoint's landmarks and crop; without the setting ``scheme``, as many points become them.

        Args:
            scheme: the checkpoint's landmarks.
            crop: the checkpoint's conversion from photo to network input.

        Raises:
            ConfigError: if the faces do not have these landmarks, or have them in another order.
        """
        if self._known is None and len(self._all) == len(scheme):
            if (place := first_moved(self._all, scheme)) is not None:
                raise ConfigError(
                    f"{next(iter(self._lists.values()))}: has the checkpoint's points in another order: "
                    f"point {place} is {self._all.names[place]}, not {scheme.names[place]}; order them as "
                    "the checkpoint does"
                )
            self._all = scheme
        super().adopt(scheme, crop)

    def read(self) -> Mapping[str, Sequence[Face]]:
        """Return the splits that have a list, and ``val``, split off ``train`` if it has none.

        For a cross-validation, ``val`` is left out.

        Raises:
            DataError: if a list cannot be read, has another number of points than the first or names them
                differently, lacks boxes, or cannot be split.
        """
        first, *others = self._lists
        for split in others:
            if (points := self._points(split)) != (expected := self._points(first)):
                raise DataError(
                    f"{self._lists[split]}: has {counted(points, 'point')} a face, "
                    f"but {self._lists[first]} has {expected}"
                )
            self._check_names(split, first)
        splits = {split: self._in_boxes(split) for split in self._lists}
        if "train" in splits and "val" not in splits and self.fold is None:
            splits["train"], splits["val"] = self._split_off_val(splits["train"])
        self._warn_of_copies(splits)
        return splits

    def _check_names(self, split: str, first: str) -> None:
        """Check that the lists of two splits name the same points, if no scheme is set.

        A list without names is taken to have the other's order, which a warning tells.
        """
        one, other = (found.names if (found := self._described(each)) else () for each in (first, split))
        if self._known is None and bool(one) != bool(other):
            named, nameless = (first, split) if one else (split, first)
            log.warning(
                "%s does not name its points; they are taken for those of %s, in its order: %s; if they are "
                "others, set data.scheme=<scheme>",
                *(self._lists[nameless], self._lists[named], some_of(one or other, 5)),
            )
        if self._known is None and one and other and one != other:
            place = next(place for place, name in enumerate(one) if name != other[place])
            raise DataError(
                f"{self._lists[split]}: point {place} is {other[place]}, but {one[place]} in "
                f"{self._lists[first]}; give both lists the same points, or say which they have: "
                "data.scheme=<scheme>"
            )

    def _split_off_val(self, faces: Sequence[Face]) -> tuple[list[Face], list[Face]]:
        """Return the training faces and the validation faces."""
        if len(set(united_groups(faces))) == 1:
            raise DataError(
                f"{self._lists['train']}: all {counted(len(faces), 'face')} "
                f"{pluralised(len(faces), 'is', 'are')} of one group, {faces[0].group}, which "
                "is not split; name a list to validate on (data.val=<list>), or leave out the list's groups"
            )
        return split_by_group(faces, self.val_fraction, self.val_seed)

    def split_fold(self, faces: Sequence[Face], folds: int, fold: int) -> tuple[list[Face], list[Face]]:
        """Split off the fold that validates, by group, or by photo if the list has no groups.

        Args:
            faces: faces of the list ``train``.
            folds: number of folds.
            fold: number of the fold that validates, from 0 up.

        Returns:
            The faces to train on, and the faces to validate on.

        Raises:
            DataError: if the list has fewer groups than folds.
        """
        train, val = super().split_fold(faces, folds, fold)
        self._warn_of_copies({"train": train, "val": val})
        return train, val

    def source_of(self, split: str) -> str:
        """Return the list that the faces of a split are read from.

        Args:
            split: name of the split.

        Returns:
            Path of the file or folder.
        """
        return str(self._lists.get(split, self._lists.get("train")))

    def of_groups(self, groups: Iterable[str], split: str) -> list[Face]:
        """Return the faces of a split that belong to certain groups.

        Names of groups as in older model files are recognised too.

        Args:
            groups: names of groups and ids of photos, as stored in a model's file.
            split: name of the split.

        Returns:
            The faces, in the order of the split.
        """
        known = set(groups)
        root = self._root or self._lists.get(split, self._lists.get("train", Path())).parent
        folder = root.resolve().name

        def names(face: Face) -> set[str]:
            inside = face.photo.path.relative_to(root).as_posix()
            return {*face.ties, f"{folder}/{inside}", original_name(inside)}

        return [face for face in self.splits[split] if not known.isdisjoint(names(face))]

    def _points(self, split: str) -> int:
        """Return the number of points of each face in the list for a split."""
        return len(self._list(split).faces[0].landmarks())

    def _described(self, split: str) -> LandmarkScheme | None:
        """Return the scheme that the list for a split describes."""
        return self._list(split).scheme

    def _list(self, split: str) -> LabelledList:
        """Return the contents of the list for a split, which is read once."""
        if split not in self._contents:
            strict = self.strict or split == "test"
            contents = read_list(
                self._lists[split], root=self._root, scheme=self._known, strict=strict, naming=NAMING
            )
            log_some(log, "left out", contents.skipped, len(contents.skipped))
            self._contents[split] = contents
        return self._contents[split]

    def _in_boxes(self, split: str) -> list[Face]:
        """Return the faces of a split, after checking that they have boxes if boxes are cropped."""
        faces = self._list(split).faces
        boxless = sum(face.box is None for face in faces)
        if self.crop.source == "box" and boxless:
            raise DataError(
                f"{self._lists[split]}: {boxless} of {counted(len(faces), 'face')} "
                f"{pluralised(boxless, 'has', 'have')} no box; give them one, or take "
                "full photos: data.source=image"
            )
        return faces

    def _warn_of_copies(self, splits: Mapping[str, Sequence[Face]]) -> None:
        """Log a warning if other splits contain copies of training photos under other names."""
        digests = {split: {_digest(face): face for face in faces} for split, faces in splits.items()}
        trained = digests.pop("train", {})
        for split, own in digests.items():
            copies = [
                f"{face.photo.path} of {trained[digest].photo.path}"
                for digest, face in own.items()
                if digest in trained and not face.ties & trained[digest].ties
            ]
            if copies:
                log.warning(
                    "%s has copies of training photos under other names; results would be too good: %s",
                    split,
                    some_of(copies, 1),
                )


def _digest(face: Face) -> str:
    """Return the part of the photo's id that depends on its contents alone."""
    return face.photo_id.rpartition(" ")[2]


def _tell(scheme: LandmarkScheme, path: Path) -> None:
    """Log which scheme a list describes."""
    if scheme.name in known_schemes():
        log.info("%s: names the points of %s", path, scheme.name)
    elif scheme.names:
        log.info("%s: names its %s: %s", path, counted(len(scheme), "point"), some_of(scheme.names, 5))
        tell_flips(scheme)
    else:
        log.info("%s: numbers its %s, and joins them by a skeleton", path, counted(len(scheme), "point"))


def _nameless(count: int) -> LandmarkScheme:
    """Return a scheme of ``count`` points without names."""
    return LandmarkScheme(
        counted(count, "point"),
        {"points": tuple(range(count))},
        flip_indices=None,
        normalizing_points=None,
        skeleton=(),
    )
