"""``keypoints data verify``: whether a data set is all there and usable."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from keypoints.commands.verb import WITH_PATHS, Paths, Verb
from keypoints.config.settings import FilePath, OutputFile, defaults_list, setting, within
from keypoints.errors import DataError


@dataclass
class Verify:
    """Settings of ``keypoints data verify``."""

    defaults: list[Any] = defaults_list(*WITH_PATHS)
    dataset: str | None = setting(None, "Data set to check.", choices=("imm", "ibug300w"))
    list: FilePath | None = setting(
        None, "Instead of a data set: your own labelled photos, in any format that is read."
    )
    scheme: str | None = setting(
        None, "Check that the list's faces have the points of a scheme: imm58 or ibug68."
    )
    root: FilePath | None = setting(
        None, "Where the photos lie; null: the data set's folder below paths.data, or the list's folder."
    )
    output: OutputFile | None = setting(None, "CSV of what is wrong and what is worth knowing.")
    paths: dict[str, Any] = within(Paths)


def run(cfg: DictConfig) -> None:
    """Check every file of a data set.

    Raises:
        DataError: if one is wrong.
    """
    from keypoints.datatools.verify import verify
    from keypoints.reports.findings import print_findings

    found = verify(cfg)
    print_findings(*found)
    if found.wrong:
        raise DataError(f"{found.root}: wrong entries: {found.wrong}, see above")


VERB = Verb(
    name="data verify",
    what="check every file of a data set: is it all there and usable",
    schema=Verify,
    run=run,
    positional="dataset",
    examples=(
        "data verify imm",
        "data verify ibug300w output=findings.csv",
        "data verify list=faces.csv scheme=ibug68",
    ),
    writes="output, if it is given",
)
