"""``keypoints data verify``: check of a data set for missing and unusable files."""

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
    dataset: str | None = setting(
        None, "Data set to check.", choices=("imm", "ibug300w", "cofw", "kaggle15", "udacity", "wflw")
    )
    list: FilePath | None = setting(
        None, "Instead of a data set: list of your own labelled photos, in any supported format."
    )
    scheme: str | None = setting(
        None, "Scheme that the list's faces must have: a name such as ibug68, a YAML file or a COCO list."
    )
    root: FilePath | None = setting(
        None, "Folder of the photos; null: the data set's folder below paths.data, or the list's folder."
    )
    output: OutputFile | None = setting(None, "CSV file to write, with a row per finding.")
    paths: dict[str, Any] = within(Paths)


def run(cfg: DictConfig) -> None:
    """Check every file of a data set or a list.

    Raises:
        DataError: if an entry is wrong.
    """
    from keypoints.datatools.verify import verify
    from keypoints.reports.findings import print_findings

    found = verify(cfg)
    print_findings(*found)
    if found.wrong:
        raise DataError(f"{found.root}: wrong entries: {found.wrong}, see above")


VERB = Verb(
    name="data verify",
    what="check that a data set or a list is complete, and every file usable",
    doing="checking",
    schema=Verify,
    run=run,
    positional="dataset",
    examples=(
        "data verify imm",
        "data verify ibug300w output=findings.csv",
        "data verify list=faces.csv scheme=ibug68",
    ),
    writes="output, if it is given",
    subjects=("dataset", "list"),
    slow_start=False,
)
