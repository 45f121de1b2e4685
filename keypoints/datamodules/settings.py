"""Settings that datamodules share."""

from dataclasses import dataclass

from keypoints.data.augmentation import Augmentation
from keypoints.data.splits import check_fold
from keypoints.errors import ConfigError


@dataclass(kw_only=True, eq=False, repr=False)
class FaceSettings:
    """Settings of every datamodule.

    Args:
        landmarks: part or selection of the landmarks to train on, such as ``"jaw"``; ``None`` for all.
        width: width of the network's input, in pixels.
        height: height of the network's input, in pixels.
        channels: channels of the network's input: 1 for grey, 3 for RGB.
        batch_size: training faces in a batch; validation batches may be larger, as they need no gradients.
        num_workers: processes that prepare batches; 0 is fastest for small crops held in memory.
        seed: determines, together with the epoch, the order of the training faces and their augmentation.
        augmentation: augmentation of the training faces; ``None`` for none.
        memory_mb: most memory for cached crops, in megabytes. Further faces are read from disk at each use.
        strict: ``False`` leaves out faces of ``train`` and ``val`` that cannot be used, and reports which and
            how many. Faces that results are reported on are never left out.
        folds: number of parts of the training faces for a cross-validation, from 2 up. It has no effect
            without ``fold``.
        fold: number of the part that validates, from 0 to ``folds - 1``; the other parts are trained on.
            ``None`` for the data set's own split.
        val_seed: determines which faces validate, for runs of any ``seed``, so that they can be compared.

    Raises:
        ConfigError: if a value cannot be used.
    """

    landmarks: str | None = None
    width: int
    height: int
    channels: int = 1
    batch_size: int
    num_workers: int = 0
    seed: int = 0
    augmentation: Augmentation | None = None
    memory_mb: float = 2000
    strict: bool = True
    folds: int | None = None
    fold: int | None = None
    val_seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.strict, bool):
            raise ConfigError(f"strict is true or false, not {self.strict!r}")
        megabytes = self.memory_mb
        if isinstance(megabytes, bool) or not isinstance(megabytes, int | float) or not megabytes >= 0:
            raise ConfigError(f"memory_mb is a number of megabytes from 0 up, not {megabytes!r}")
        integers = (self.batch_size, self.num_workers, self.seed)
        all_integers = all(isinstance(value, int) and not isinstance(value, bool) for value in integers)
        if not all_integers or self.batch_size < 1 or self.num_workers < 0 or self.seed < 0:
            raise ConfigError(
                "batch_size has to be 1 or more, num_workers and seed 0 or more; "
                f"they are {self.batch_size}, {self.num_workers} and {self.seed}"
            )
        check_fold(self.folds, self.fold)


@dataclass(kw_only=True, eq=False, repr=False)
class BoxSettings(FaceSettings):
    """Settings of a datamodule whose faces have boxes, and whose validation faces are split off ``train``.

    Args:
        margin: factor by which each box is enlarged, or the full image if no box is cropped; dlib's boxes cut
            off part of the jaw.
        val_fraction: approximate fraction of the training faces that validate; without effect in a
            cross-validation.
    """

    margin: float = 1.3
    val_fraction: float
