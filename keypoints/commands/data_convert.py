"""``keypoints data convert``: conversion of a list of labelled photos to another format."""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING, DictConfig

from keypoints.commands.verb import PLAIN, Verb
from keypoints.config.settings import FilePath, OutputFile, defaults_list, setting


@dataclass
class Convert:
    """Settings of ``keypoints data convert``."""

    defaults: list[Any] = defaults_list(*PLAIN)
    source: FilePath = setting(MISSING, "List to read; its format is recognised from its contents.")
    format: str = setting(MISSING, "Format to write.", choices=("csv", "hrnet", "coco", "dlib"))
    output: OutputFile = setting(MISSING, "List to write.")
    root: FilePath | None = setting(
        None, "Folder that photo names are relative to, in both lists; null: each list's own folder."
    )
    scheme: str | None = setting(
        None,
        "Scheme of the faces: a name such as ibug68, a YAML file or a COCO list; its names are written.",
    )
    strict: bool = setting(True, "Refuse a list with unusable rows; false: leave them out and report them.")


def run(cfg: DictConfig) -> None:
    """Write a list of labelled photos in another format."""
    from keypoints.datatools.convert import convert

    convert(cfg)


VERB = Verb(
    name="data convert",
    what="write a list of labelled photos in another format",
    doing="converting",
    schema=Convert,
    run=run,
    positional="source",
    examples=(
        "data convert faces.csv format=coco output=faces.json",
        "data convert labels.xml format=csv output=faces.csv scheme=ibug68",
        "data convert faces.csv format=dlib output=faces.xml root=photos",
    ),
    writes="output; the photos are not copied",
)
