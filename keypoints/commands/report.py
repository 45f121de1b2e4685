"""``keypoints report``: new figures and a new page for a run or a sweep."""

import logging
from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING, DictConfig

from keypoints.commands.verb import PLAIN, Trusting, Verb
from keypoints.config.settings import FilePath, defaults_list, setting

log = logging.getLogger(__name__)


@dataclass
class Report(Trusting):
    """Settings of ``keypoints report``."""

    defaults: list[Any] = defaults_list(*PLAIN)
    folder: FilePath = setting(MISSING, "Folder of a run or of a sweep.")


def run(cfg: DictConfig) -> None:
    """Write the report of a run or a sweep again."""
    from keypoints.reports.regenerate import report

    log.info("look at it: %s", report(cfg))


VERB = Verb(
    name="report",
    what="write the report of a run or a sweep again",
    doing="writing the report of",
    schema=Report,
    run=run,
    positional="folder",
    examples=(
        "report outputs/nose_tip/2026-01-31_12-00-00",
        "report outputs/sweeps/nose_tip-learning_rate/2026-01-31_12-00-00",
        "report outputs/mine/2026-01-31_12-00-00 trust=mypackage",
    ),
    writes="report.html and figures/ in that folder; for a sweep also summary.csv and comparison.png",
)
