"""``keypoints compare``: which of several finished runs or evaluations are better, with evidence."""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING, DictConfig

from keypoints.commands.verb import Choosing, Paths, Verb
from keypoints.config.quoting import shell_command
from keypoints.config.settings import Names, OutputFolder, defaults_list, setting, within
from keypoints.config.values import listed_names
from keypoints.errors import ConfigError
from keypoints.files import locked

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass
class Compare(Choosing):
    """Settings of ``keypoints compare``."""

    defaults: list[Any] = defaults_list("_self_", {"paths": "default"}, {"hydra": "plain"})
    runs: Names = setting(
        MISSING,
        "Folders of finished runs, of sweeps, or of evaluations; runs that differ in the seed are one.",
    )
    reference: str | None = setting(
        None, "Setting that the others are compared with, as the page names it; null: the best one."
    )
    measure: str | None = setting(
        None,
        "Error that is compared; null: the metric that chose the checkpoints, or nme.",
        choices=("mse", "nme", "distance_px", "mae_px"),
    )
    time: bool = setting(False, "Also measure the milliseconds that each model takes for a face.")
    output: OutputFolder = setting("${paths.outputs}/compare", "Folder for the results.")
    paths: dict[str, Any] = within(Paths)


def run(cfg: DictConfig) -> None:
    """Compare runs, and print the result."""
    from keypoints.reports.terminal import print_comparison

    print_comparison(compare(cfg, shell_command([*sys.argv[0].split(), *sys.argv[1:]])))
    log.info("look at it: %s", Path(cfg.output) / "report.html")


def compare(cfg: DictConfig, command: str = "") -> "pd.DataFrame":
    """Compare finished runs or evaluations.

    Writes ``summary.csv`` with a row per run, ``settings.csv`` with a row per setting and the verdict,
    ``report.html`` and its figures.

    Args:
        cfg: the configuration of ``keypoints compare``.
        command: the typed command, shown on the page.

    Returns:
        The rows of ``settings.csv``.

    Raises:
        ConfigError: if fewer than two folders are given.
        DataError: if a folder holds no finished run and no evaluation, another command writes to the output,
            or the output holds a run or a sweep.
    """
    from keypoints.reports.compare import compare_folders
    from keypoints.runs.run_folder import check_no_run

    folders = [Path(each) for each in listed_names(cfg.runs)]
    if not folders:
        raise ConfigError("runs: name the folders of finished runs, sweeps or evaluations")
    output = Path(str(cfg.output))
    check_no_run(output)
    with locked(output):
        return compare_folders(
            folders,
            output,
            reference=cfg.reference,
            measure=cfg.measure,
            which=cfg.which if cfg.time else None,
            trust=cfg.trust,
            command=command,
        )


VERB = Verb(
    name="compare",
    what="compare finished runs or evaluations: which differences are certain",
    doing="comparing",
    schema=Compare,
    run=run,
    positional="runs",
    takes_words=True,
    examples=(
        "compare outputs/mine/first outputs/mine/second",
        "compare outputs/sweeps/heads/2026-01-31_12-00-00 reference=loss-mse",
        "compare a/evaluations/common b/evaluations/common time=true",
    ),
    writes="settings.csv (one row per setting, with the verdict), summary.csv (one row per run), report.html "
    "and its figures",
)
