"""Reading of checkpoints. Imports torch late and no other slow package."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED, ZipFile

from keypoints._version import __version__
from keypoints.confidence import ConfidenceCalibration
from keypoints.errors import CheckpointError
from keypoints.file_kinds import ONNX, TORCH, mistaken
from keypoints.structured_files import (
    COUNT,
    TEXT,
    TEXT_VALUES,
    TEXTS,
    VALUES,
    Kind,
    check_kinds,
    is_pair,
    or_none,
)

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINT_FORMAT = 1
"""Version of the format. Incremented when older checkpoints can no longer be read."""

OURS = "keypoints"
"""Name of the entry that marks a checkpoint of this package and holds its format."""


_WAYS_OUT = {
    f"is {ONNX}": ", which evaluate, predict, submit, demo and bench read if its name ends in .onnx; "
    "training and export need the checkpoint that it was exported from",
}
"""Rest of the message, with what to do, by the kind of file that was given instead of a checkpoint."""

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
_OWN_KINDS = {
    "task": TEXT,
    "version": TEXT,
    "versions": TEXT_VALUES,
    "trained_on": or_none(VALUES),
    "confidence_calibration": or_none(VALUES),
}
_TRAINED_ON_KINDS = {
    "groups": TEXTS,
    "validated": Kind("texts", lambda value: isinstance(value, list | tuple) and TEXTS.fits(list(value))),
    "mean": Kind("pairs of numbers", lambda value: isinstance(value, list) and all(map(is_pair, value))),
    "support": or_none(
        Kind("ranges by name", lambda value: VALUES.fits(value) and all(map(is_pair, value.values())))
    ),
    "data": or_none(TEXT),
}


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return the contents of a checkpoint of this package, on the CPU; only plain values and weights.

    Args:
        path: checkpoint file.

    Raises:
        CheckpointError: if the file is missing, damaged, no checkpoint of this package, of an unknown format,
            or holds weights that are NaN or infinite.
    """
    import torch

    path = Path(path)
    try:
        _check_records(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such checkpoint") from error
    except Exception as error:
        why = mistaken(path, "checkpoint", TORCH)
        plain = "" if ";" in why or "damaged" in why else ", no checkpoint; `keypoints train` writes them"
        raise CheckpointError(f"{path}: {why}{_WAYS_OUT.get(why, plain)}") from error
    about = checkpoint.get(OURS) if isinstance(checkpoint, dict) else None
    if about is None:
        raise CheckpointError(
            f"{path}: is no checkpoint of keypoints but {_describe_contents(checkpoint)}; "
            "`keypoints train` writes them"
        )
    own = about_ours(path, about, "checkpoint", "train", CHECKPOINT_FORMAT, "use the version that wrote it")
    try:
        check_kinds(checkpoint, _KINDS)
        check_kinds(own, _OWN_KINDS)
        if (trained_on := own.get("trained_on")) is not None:
            check_kinds(trained_on, _TRAINED_ON_KINDS, needed=("groups", "mean"))
            if unknown := set(trained_on) - set(_TRAINED_ON_KINDS):
                raise ValueError(f"its entry trained_on has unknown keys: {unknown}")  # noqa: TRY301
        if (calibration := own.get("confidence_calibration")) is not None:
            ConfidenceCalibration.from_dict(calibration)
        _check_weights(checkpoint.get("state_dict", {}))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}; it is damaged, or was changed") from error
    return dict(checkpoint)


def _describe_contents(contents: Any) -> str:
    """Describe in a few words the contents of a torch file that is no checkpoint of this package."""
    if not isinstance(contents, Mapping):
        return "a tensor" if hasattr(contents, "untyped_storage") else f"a {type(contents).__name__}"
    if contents and _TENSORS.fits(contents):
        return "a state dict: weights alone, without their network and landmarks"
    if "pytorch-lightning_version" in contents:
        return "a checkpoint of Lightning by another program"
    if any(isinstance(value, Mapping) and value and _TENSORS.fits(value) for value in contents.values()):
        return "a checkpoint of another program"
    return "plain values by name"


def _check_weights(weights: Mapping[str, "Tensor"]) -> None:
    """Check that the weights are complete and finite; otherwise the network would silently predict nonsense.

    Raises:
        ValueError: if a weight is missing, NaN or infinite.
    """
    for name, each in weights.items():
        held = each.untyped_storage().nbytes() if each.device.type == "cpu" else 0
        if each.numel() * each.element_size() > held:
            raise ValueError(f"its {name} claims {each.numel():,} numbers, but holds fewer")
        if each.is_floating_point() and not bool(each.isfinite().all()):
            raise ValueError(f"its weights {name} hold NaN or infinite numbers")


def _check_records(path: Path) -> None:
    """Check the records of a checkpoint against their checksums, which torch does not do.

    Torch does not compress records, so together they may not be larger than the file.

    Raises:
        OSError, ValueError, BadZipFile: if the file cannot be read, is no archive, or has damaged, compressed
            or overlapping records.
    """
    with ZipFile(path) as archive:
        records = archive.infolist()
        stored = all(record.compress_type == ZIP_STORED for record in records)
        if not stored or sum(record.file_size for record in records) > path.stat().st_size:
            raise ValueError("its records are compressed, or overlap")
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"its record {damaged} is damaged")


def about_ours(path: Path, about: Any, kind: str, verb: str, known: int, way_out: str) -> dict[str, Any]:
    """Return the entry that describes a file of this package, if the file has the known format.

    Args:
        path: the file, for messages.
        about: the file's entry :data:`OURS`, of any type.
        kind: name of this kind of file, for messages.
        verb: command that writes such files, for messages.
        known: the format that this version reads.
        way_out: what to do with a file of another format, for messages.

    Raises:
        CheckpointError: if the file is not of this package, or has another format.
    """
    if not isinstance(about, dict):
        raise CheckpointError(f"{path}: is no {kind} of keypoints; `keypoints {verb}` writes them")
    if about.get("format") != known:
        raise CheckpointError(
            f"{path}: has format {about.get('format')} (keypoints {about.get('version')}), but this version, "
            f"{__version__}, reads format {known}; {way_out}"
        )
    return about
