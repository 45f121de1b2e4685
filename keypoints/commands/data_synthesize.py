"""``keypoints data synthesize``: generation of made-up faces for trials."""

import logging
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from keypoints.commands.verb import PLAIN, Verb
from keypoints.config.settings import defaults_list, setting

log = logging.getLogger(__name__)


@dataclass
class Synthesize:
    """Settings of ``keypoints data synthesize``."""

    defaults: list[Any] = defaults_list(*PLAIN)
    seed: int = setting(0, "Seed; the same seed gives the same bytes.", at_least=0)
    persons: int = setting(40, "Number of persons with 6 pictures each, in IMM's layout.", at_least=1)
    faces: int = setting(30, "Number of faces in 300-W's layout.", at_least=1)


def run(cfg: DictConfig) -> None:
    """Generate made-up faces."""
    from keypoints.synthetic.synthesize import synthesize

    folder = synthesize(cfg)
    log.info("the made-up faces are in %s: train on them with paths.data=%s", folder, folder)


VERB = Verb(
    name="data synthesize",
    what="generate made-up faces, to try things out without data",
    doing="generating made-up faces",
    schema=Synthesize,
    run=run,
    examples=(
        "data synthesize",
        "data synthesize persons=8 faces=12",
        "data synthesize seed=1",
    ),
    writes="data/synthetic/, in the layouts of IMM and of 300-W",
    slow_start=False,
)
