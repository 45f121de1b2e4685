"""Making up faces: always into ``data/synthetic``, never into a real data set's folder."""

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.progress import track

from keypoints._version import __version__
from keypoints.errors import DataError
from keypoints.files import alone, flush_below, part_folder, write_whole
from keypoints.synthetic.layouts import write_ibug, write_imm

FOLDER = Path("data/synthetic")
_MARK = "made_up.json"
"""Says that the folder is ours to replace, and what is in it."""


def synthesize(cfg: DictConfig) -> Path:
    """Write made-up faces in IMM's and in 300-W's layout; gives the folder.

    They are written beside and put in place whole. What is there already, of the same seed and
    numbers, is left as it is.

    Raises:
        DataError: if the folder holds something that was not made here, or another command makes it.
        ConfigError: if a number cannot be used.
    """
    with alone(FOLDER, beside=True):
        return _synthesized(cfg)


def _synthesized(cfg: DictConfig) -> Path:
    made = {"version": __version__, "seed": cfg.seed, "persons": cfg.persons, "faces": cfg.faces}
    if FOLDER.exists():
        if _made_up(FOLDER) is None:
            raise DataError(f"{FOLDER}: holds something that was not made up here; move it away first")
        if _made_up(FOLDER) == made:
            return FOLDER
    with part_folder(FOLDER) as part, part_folder(FOLDER) as aside:
        total = 6 * cfg.persons
        for _ in track(write_imm(part, cfg.persons, cfg.seed), "drawing persons", total=total):
            pass
        for _ in track(write_ibug(part, cfg.faces, cfg.seed), "drawing faces in the wild", total=cfg.faces):
            pass
        write_whole(part / _MARK, json.dumps(made) + "\n")
        flush_below(part)
        if FOLDER.exists():
            FOLDER.rename(aside / "old")  # a kill while it is removed leaves nothing in its place
        part.rename(FOLDER)
    return FOLDER


def _made_up(folder: Path) -> Any:
    """What the folder's mark says, or ``None`` if it has none."""
    try:
        return json.loads((folder / _MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
