"""Reading a checkpoint. Imports torch late, and nothing else that takes long."""

from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

from keypoints import __version__
from keypoints.errors import CheckpointError

CHECKPOINT_FORMAT = 1
"""Raised when a checkpoint of before could no longer be read."""

OURS = "keypoints"
"""The checkpoint's entry that says it is one of this package, and of which format."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The contents of a checkpoint of this package, on the CPU. Nothing but plain values and weights is read.

    Raises:
        CheckpointError: if the file is missing, damaged, no checkpoint of this package, or of a
            format that this version does not know.
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
    about_ours(path, about, "checkpoint", "train", CHECKPOINT_FORMAT, "use the version that wrote it")
    return dict(checkpoint)


def _check_records(path: Path) -> None:
    """See that the records of a checkpoint take no more memory than the file: torch compresses none.

    Raises:
        OSError, ValueError, BadZipFile: if the file cannot be read, is no archive, or has other records.
    """
    with ZipFile(path) as archive:
        records = archive.infolist()
    stored = all(record.compress_type == ZIP_STORED for record in records)
    if not stored or sum(record.file_size for record in records) > path.stat().st_size:
        raise ValueError("its records are compressed, or overlap")


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
