"""Download of the data sets from their official servers, into the folders that the readers expect.

To add a data set, add an entry to :data:`SETS`.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from rich.progress import track

from keypoints.data.dataset_folders import HOMES
from keypoints.datatools.archives import Limits, check_kind, unpack
from keypoints.datatools.fetch import check_sum, fetch, forget_note
from keypoints.errors import DataError
from keypoints.files import flush_below, locked, part_folder, remove_leftovers, write_atomically

log = logging.getLogger(__name__)

_GIGABYTE = 10**9
_KEPT = "the archive is kept: try again, or delete it to download it again"


@dataclass(frozen=True)
class DataSet:
    """Data set that can be downloaded.

    Args:
        folder: name of its folder, as the readers expect it.
        archive: name of its archive.
        urls: addresses of the archive, the official one first.
        has: pattern of files in its top folder, by which it is recognised.
        most_bytes: largest size of the archive, in bytes; a larger file is refused.
        limits: largest size that the archive may unpack to.
        terms: terms of use, as a sentence.
    """

    folder: str
    archive: str
    urls: tuple[str, ...]
    has: str
    most_bytes: int
    limits: Limits
    terms: str


SETS: Mapping[str, DataSet] = {
    "imm": DataSet(
        folder=HOMES["imm"].folder,
        archive="imm_face_db.zip",
        urls=(HOMES["imm"].source, "http://datasets.openimaj.org/imm_face_db.zip"),
        has="*.asf",
        most_bytes=_GIGABYTE,
        limits=Limits(total_bytes=_GIGABYTE, files=5_000),
        terms=HOMES["imm"].terms,
    ),
    "ibug300w": DataSet(
        folder=HOMES["ibug300w"].folder,
        archive="ibug_300W_large_face_landmark_dataset.tar.gz",
        urls=(HOMES["ibug300w"].source,),
        has="labels_ibug_300W_train.xml",
        most_bytes=4 * _GIGABYTE,
        limits=Limits(total_bytes=8 * _GIGABYTE, files=100_000),
        terms=HOMES["ibug300w"].terms,
    ),
}
"""Data sets that can be downloaded, by the names that the command uses."""


def download(cfg: DictConfig) -> Path:
    """Download the data set ``cfg.dataset`` to its folder in ``cfg.output``; return that folder.

    An existing archive is used instead of a download; then ``cfg.url`` must not be set. After a kill, the
    same command completes the remaining steps.

    Raises:
        ConfigError: if a value is missing or invalid.
        DataError: if the folder exists, another command is writing it, or the data set cannot be downloaded,
            unpacked or recognised.
    """
    chosen = SETS[cfg.dataset]
    root = Path(str(cfg.output))
    folder, archive = root / chosen.folder, root / chosen.archive
    note = root / f".{chosen.folder}.in-place"
    if not os.path.lexists(folder) or note.exists():
        with locked(folder, beside=True):
            return _download_and_unpack(cfg, chosen, folder, archive, note)
    remove_leftovers(folder, beside=True)
    raise DataError(
        f"{folder}: is there already, and is not overwritten; move it away first, or name another folder: "
        "output=<folder>"
    )


def _download_and_unpack(cfg: DictConfig, chosen: DataSet, folder: Path, archive: Path, note: Path) -> Path:
    """Download and unpack; ``note`` is written just before the folder is renamed, and removed at the end."""
    if os.path.lexists(folder) and note.exists():
        log.info("%s was complete when the command was stopped", folder)
        _clear(cfg, archive, note)
        return folder
    if os.path.lexists(folder):
        raise DataError(f"{folder}: is there already; another command has just written it")
    note.unlink(missing_ok=True)
    sha256 = None if cfg.sha256 is None else str(cfg.sha256)
    log.info("terms of use: %s", chosen.terms)
    if archive.exists():
        if cfg.url is not None:
            raise DataError(f"{archive}: is there already; leave url out to use it, or delete it to download")
        log.info("%s is there already, and is used", archive)
        check_sum(archive, sha256)
    else:
        urls = chosen.urls if cfg.url is None else (str(cfg.url),)
        fetch(urls, archive, most_bytes=chosen.most_bytes, sha256=sha256, check=check_kind)
    forget_note(archive)
    with part_folder(folder) as part:
        found = _unpack(archive, chosen, part / chosen.folder)
        flush_below(found)
        write_atomically(note, f"{folder.name} is complete; only the archive remains to be removed\n")
        found.rename(folder)
    _clear(cfg, archive, note)
    return folder


def _clear(cfg: DictConfig, archive: Path, note: Path) -> None:
    if not cfg.keep:
        archive.unlink(missing_ok=True)
    forget_note(archive)
    note.unlink()


def _unpack(archive: Path, chosen: DataSet, part: Path) -> Path:
    """Unpack into ``part``; return the data set's folder, which is ``part`` or one of its subfolders."""
    try:
        for _ in track(unpack(archive, part, chosen.limits), f"unpacking {archive.name}", total=None):
            pass
    except DataError as error:
        raise DataError(f"{error}; {_KEPT}") from error
    found = [place for place in (part, *part.iterdir()) if any(place.glob(chosen.has))]
    if len(found) != 1:
        raise DataError(
            f"{archive}: is not this data set: {len(found)} folders in it have {chosen.has}, not 1; {_KEPT}"
        )
    return found[0]
