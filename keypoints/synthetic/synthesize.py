"""Generation of synthetic faces, always in ``data/synthetic`` and never in a real data set's folder."""

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.progress import track

from keypoints._version import __version__
from keypoints.errors import DataError
from keypoints.files import flush_below, locked, part_folder, write_atomically
from keypoints.synthetic.layouts import write_ibug, write_imm

FOLDER = Path("data/synthetic")
_MARK = "made_up.json"
"""File that marks the folder as generated, so that it may be replaced, and records its settings."""


def synthesize(cfg: DictConfig) -> Path:
    """Write synthetic faces in the layouts of IMM and 300-W; return the folder.

    The folder is written under a temporary name and then renamed, so it is always complete. A folder with the
    same seed and numbers is kept.

    Args:
        cfg: configuration with ``seed``, ``persons`` (IMM) and ``faces`` (300-W).

    Raises:
        DataError: if the folder holds files that were not generated, or another command is writing it.
        ConfigError: if a number is invalid.
    """
    with locked(FOLDER, beside=True):
        return _write_faces(cfg)


def _write_faces(cfg: DictConfig) -> Path:
    made = {"version": __version__, "seed": cfg.seed, "persons": cfg.persons, "faces": cfg.faces}
    if FOLDER.exists():
        if _read_mark(FOLDER) is None:
            raise DataError(f"{FOLDER}: holds files that this command did not write; move it away first")
        if _read_mark(FOLDER) == made:
            return FOLDER
    with part_folder(FOLDER) as part, part_folder(FOLDER) as aside:
        total = 6 * cfg.persons
        for _ in track(write_imm(part, cfg.persons, cfg.seed), "drawing persons", total=total):
            pass
        for _ in track(write_ibug(part, cfg.faces, cfg.seed), "drawing faces in the wild", total=cfg.faces):
            pass
        write_atomically(part / _MARK, json.dumps(made) + "\n")
        flush_below(part)
        if FOLDER.exists():
            FOLDER.rename(aside / "old")  # so that a killed removal leaves no partial folder here
        part.rename(FOLDER)
    return FOLDER


def _read_mark(folder: Path) -> Any:
    """Return the contents of the folder's mark, or ``None`` if it has none."""
    try:
        return json.loads((folder / _MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
