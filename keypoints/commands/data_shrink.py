"""``keypoints data shrink``: a compact copy of a data set, in the same layout."""

import logging
from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING, DictConfig

from keypoints.commands.verb import WITH_PATHS, Paths, Verb
from keypoints.config.settings import FilePath, OutputFolder, defaults_list, setting, within
from keypoints.formatting import counted

log = logging.getLogger(__name__)


@dataclass
class Shrink:
    """Settings of ``keypoints data shrink``."""

    defaults: list[Any] = defaults_list(*WITH_PATHS)
    dataset: str = setting(
        MISSING,
        "Data set; ibug300w: faces with context, imm: full images.",
        choices=("imm", "ibug300w"),
    )
    output: OutputFolder = setting(MISSING, "Folder of the copy; a second call adds missing files.")
    side: int | None = setting(
        None, "Upper limit of the longer side of the box (imm: of the image), in pixels.", at_least=1
    )
    total_mb: float | None = setting(
        None, "Instead of side: upper limit of the copy's size, in megabytes.", above=0, at_most=1e9
    )
    root: FilePath | None = setting(None, "Folder of the data set; null: its own folder below paths.data.")
    context: float = setting(
        2.1, "Factor that enlarges the box; all landmarks are kept in any case.", at_least=1, at_most=100
    )
    quality: int = setting(88, "JPEG quality.", at_least=1, at_most=100)
    paths: dict[str, Any] = within(Paths)


def run(cfg: DictConfig) -> None:
    """Make a compact copy of a data set."""
    from keypoints.datatools.shrink import shrink

    copy = shrink(cfg)
    log.info(
        "%s: %s, side %d, %.1f MB", copy.root, counted(copy.pictures, "picture"), copy.side, copy.megabytes
    )


VERB = Verb(
    name="data shrink",
    what="make a compact copy of a data set",
    doing="copying",
    schema=Shrink,
    run=run,
    positional="dataset",
    examples=(
        "data shrink ibug300w output=small side=240",
        "data shrink ibug300w output=small total_mb=64",
        "data shrink imm output=small side=320 quality=95",
    ),
    writes="output, in the data set's own layout, with the mapping to the original images",
)
