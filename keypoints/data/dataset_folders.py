"""Default folder and download address of each data set."""

from pathlib import Path
from typing import NamedTuple

from keypoints.data.readers import ibug300w, imm
from keypoints.errors import ConfigError, DataError

IMM_FOLDER = "imm_face_db"
IBUG_FOLDER = "ibug_300W_large_face_landmark_dataset"


class Home(NamedTuple):
    """Folder of a data set below the data folder, the address of its archive, and its terms of use."""

    folder: str
    source: str
    terms: str


HOMES = {
    "imm": Home(
        IMM_FOLDER, imm.SOURCE, "the IMM Face Database is free for education and research, with citation"
    ),
    "ibug300w": Home(IBUG_FOLDER, ibug300w.SOURCE, "300-W is for research only: commercial use is excluded"),
}


def dataset_in(folder: str | None) -> str | None:
    """Return the name of the data set that lies in a folder of this name; ``None`` if it is not known.

    Args:
        folder: name of the folder.
    """
    return next((name for name, home in HOMES.items() if home.folder == folder), None)


def terms_of(data: str) -> str | None:
    """Return the terms of use of a data set, as a sentence; ``None`` if they are not known.

    Args:
        data: name of the data set's folder.
    """
    return next((home.terms for home in HOMES.values() if home.folder == data), None)


def find_root(dataset: str | None, data: str | Path, root: str | Path | None) -> Path:
    """Return the folder of ``dataset``: ``root`` if it is given, else its default below the folder ``data``.

    Raises:
        ConfigError: if the data set is unknown; the message lists the known ones.
        DataError: if the folder does not exist.
    """
    if dataset not in HOMES:
        raise ConfigError(f"dataset is {' or '.join(HOMES)}, not {dataset!r}")
    home = HOMES[dataset]
    found = Path(data) / home.folder if root is None else Path(root)
    if not found.is_dir():
        raise DataError(
            f"{found}: no such folder; get it ({home.source}): keypoints data download {dataset}, "
            f"or say where it lies: KEYPOINTS_DATA=<folder that holds {home.folder}> or root=<folder>"
        )
    return found
