"""``keypoints data download``: download of a data set from its official source."""

import logging
from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING, DictConfig

from keypoints.commands.verb import WITH_PATHS, Paths, Verb
from keypoints.config.settings import OutputFolder, Text, defaults_list, setting, within

log = logging.getLogger(__name__)


@dataclass
class Download:
    """Settings of ``keypoints data download``."""

    defaults: list[Any] = defaults_list(*WITH_PATHS)
    dataset: str = setting(MISSING, "Data set.", choices=("imm", "ibug300w"))
    output: OutputFolder = setting("${paths.data}", "Parent folder of the data sets' folders.")
    url: Text | None = setting(
        None, "Address of the archive; null: the official address, and a mirror if there is one."
    )
    sha256: str | None = setting(None, "Expected SHA-256 sum of the archive, if you know it.")
    keep: bool = setting(False, "Keep the archive once it is unpacked.")
    paths: dict[str, Any] = within(Paths)


def run(cfg: DictConfig) -> None:
    """Download a data set, and check all its files."""
    from keypoints.datatools.download import download
    from keypoints.datatools.verify import verify_folder
    from keypoints.reports.findings import print_findings

    folder = download(cfg)
    log.info("downloaded to %s", folder)
    found = verify_folder(cfg.dataset, folder)
    print_findings(*found)
    if found.wrong:
        log.warning("%s: wrong entries: %d, see above", folder, found.wrong)


VERB = Verb(
    name="data download",
    what="download a data set from its official source",
    doing="downloading",
    schema=Download,
    run=run,
    positional="dataset",
    examples=(
        "data download imm",
        "data download ibug300w output=/data/faces",
        "data download imm url=https://example.org/imm_face_db.tar.gz",
    ),
    writes="the data set's folder in output",
    slow_start=False,
)
