"""Reading a checkpoint. Imports torch late, and nothing else that takes long."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED, ZipFile

from keypoints import __version__
from keypoints.errors import CheckpointError
from keypoints.reading import COUNT, TEXT, TEXTS, VALUES, Kind, check_kinds, is_pair, or_none

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINT_FORMAT = 1
"""Raised when a checkpoint of before could no longer be read."""

OURS = "keypoints"
"""The checkpoint's entry that says it is one of this package, and of which format."""


_TENSORS = Kind(
    "tensors by name",
    lambda value: (
        isinstance(value, Mapping)
        and all(isinstance(name, str) and hasattr(each, "untyped_storage") for name, each in value.items())
    ),
)
_KINDS = {
    "state_dict": _TENSORS,
    "hyper_parameters": VALUES,
    "epoch": COUNT,
    "global_step": COUNT,
    "callbacks": VALUES,
    "loops": VALUES,
    "optimizer_states": Kind("a list", lambda value: isinstance(value, list)),
    "lr_schedulers": Kind("a list", lambda value: isinstance(value, list)),
}
_OWN_KINDS = {"task": TEXT, "version": TEXT, "trained_on": or_none(VALUES)}
_TRAINED_ON_KINDS = {
    "groups": TEXTS,
    "validated": Kind("texts", lambda value: isinstance(value, list | tuple) and TEXTS.fits(list(value))),
    "mean": Kind("pairs of numbers", lambda value: isinstance(value, list) and all(map(is_pair, value))),
    "support": or_none(
        Kind("ranges by name", lambda value: VALUES.fits(value) and all(map(is_pair, value.values())))
    ),
}


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The contents of a checkpoint of this package, on the CPU. Nothing but plain values and weights is read.

    Raises:
        CheckpointError: if the file is missing, damaged, no checkpoint of this package, or of a format that
            this version does not know, or holds weights that are no finite numbers.
    """
    import torch

    path = Path(path)
    try:
        _check_records(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such checkpoint") from error
    except Exception as error:
        raise CheckpointError(f"{path}: truncated, damaged, or no checkpoint at all") from error
    about = checkpoint.get(OURS) if isinstance(checkpoint, dict) else None
    own = about_ours(path, about, "checkpoint", "train", CHECKPOINT_FORMAT, "use the version that wrote it")
    try:
        check_kinds(checkpoint, _KINDS)
        check_kinds(own, _OWN_KINDS)
        if (trained_on := own.get("trained_on")) is not None:
            check_kinds(trained_on, _TRAINED_ON_KINDS, needed=("groups", "mean"))
            if unknown := set(trained_on) - set(_TRAINED_ON_KINDS):
                raise ValueError(f"what it was trained on has unknown parts: {unknown}")  # noqa: TRY301
        _check_weights(checkpoint.get("state_dict", {}))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}; it is damaged, or was changed") from error
    return dict(checkpoint)


def _check_weights(weights: Mapping[str, "Tensor"]) -> None:
    """See that weights are in the file and finite: with others the network predicts nothing, in silence.

    Raises:
        ValueError: if one is not.
    """
    for name, each in weights.items():
        held = each.untyped_storage().nbytes() if each.device.type == "cpu" else 0
        if each.numel() * each.element_size() > held:
            raise ValueError(f"its {name} claims {each.numel():,} numbers, which it does not hold")
        if each.is_floating_point() and not bool(each.isfinite().all()):
            raise ValueError(f"its weights {name} hold NaN or infinite numbers")


def _check_records(path: Path) -> None:
    """See that the records of a checkpoint are as they were written, which torch does not look at.

    They take no more memory than the file, as torch compresses none. Each has its checksum.

    Raises:
        OSError, ValueError, BadZipFile: if the file cannot be read, is no archive, or has other records.
    """
    with ZipFile(path) as archive:
        records = archive.infolist()
        stored = all(record.compress_type == ZIP_STORED for record in records)
        if not stored or sum(record.file_size for record in records) > path.stat().st_size:
            raise ValueError("its records are compressed, or overlap")
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"its record {damaged} is damaged")


def about_ours(path: Path, about: Any, kind: str, verb: str, known: int, way_out: str) -> dict[str, Any]:
    """What a file says of itself, if it is one of this package and of the format that is known.

    Args:
        about: what it says, of whatever type.
        kind, verb: what such a file is called, and what writes it.
        known: the format that is read.
        way_out: what to do with a file of another.

    Raises:
        CheckpointError: if it is no such file, or of another format.
    """
    if not isinstance(about, dict):
        raise CheckpointError(f"{path}: is no {kind} of keypoints; `keypoints {verb}` writes them")
    if about.get("format") != known:
        raise CheckpointError(
            f"{path}: has format {about.get('format')} (keypoints {about.get('version')}), but this version, "
            f"{__version__}, reads format {known}; {way_out}"
        )
    return about
