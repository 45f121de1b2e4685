"""``keypoints data preview``: plots of training inputs as the network gets them."""

import logging
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from keypoints.commands.train import Train
from keypoints.commands.verb import Verb
from keypoints.config.settings import OutputFolder, defaults_list, setting

log = logging.getLogger(__name__)


@dataclass
class Preview(Train):
    """Settings of ``keypoints data preview``: the settings of a training and of the plots."""

    defaults: list[Any] = defaults_list("train", {"override hydra": "plain"}, "_self_")
    output: OutputFolder = setting("${paths.outputs}/previews/${name}", "Folder for the pictures.")
    faces: int = setting(4, "Number of training faces, evenly spaced over all of them.", at_least=1)
    draws: int = setting(4, "Number of augmented samples of each face, besides the face itself.", at_least=1)


def run(cfg: DictConfig) -> None:
    """Plot training inputs."""
    from keypoints.reports.preview import preview

    log.info("look at it: %s", preview(cfg))


VERB = Verb(
    name="data preview",
    what="plot training inputs as the network gets them",
    doing="plotting inputs of",
    schema=Preview,
    run=run,
    examples=(
        "data preview experiment=full_face",
        "data preview experiment=full_face augmentation=wild draws=8",
        "data preview data=labelled data.train=list.csv",
    ),
    writes="samples.png, mirrored.png (a face and its mirrored copy) and input.png in output",
    subjects=("name",),
)
