"""``keypoints submit``: writing or checking of a submission to the course's or Kaggle's competition."""

import logging
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from keypoints.commands.verb import (
    CHECKPOINT,
    WITH_PATHS,
    Choosing,
    Flipping,
    Paths,
    Providing,
    RefiningIfAsked,
    Verb,
)
from keypoints.config.settings import FilePath, Names, OutputFile, defaults_list, setting, within
from keypoints.errors import ConfigError
from keypoints.formatting import counted

log = logging.getLogger(__name__)


@dataclass
class Submit(Flipping, RefiningIfAsked, Providing, Choosing):
    """Settings of ``keypoints submit``."""

    defaults: list[Any] = defaults_list(*WITH_PATHS)
    checkpoint: Names = setting(
        None, f"{CHECKPOINT} Or several of them, whose mean is submitted; model=[A,B,C] means the same."
    )
    root: FilePath | None = setting(
        None,
        "Folder of 300-W; null: its own folder below paths.data. For Kaggle: folder for the unpacked "
        "pictures; null: the list's.",
    )
    list: FilePath | None = setting(
        None,
        "List of the images in dlib's XML, or Kaggle's test.csv with IdLookupTable.csv beside it; null: the "
        "test list of the model's competition below paths.data.",
    )
    output: OutputFile = setting("submission.csv", "File to write, .csv or .csv.gz.")
    check: FilePath | None = setting(None, "Submission to check, instead of writing one.")
    paths: dict[str, Any] = within(Paths)


def run(cfg: DictConfig) -> None:
    """Write a submission, or check one.

    Raises:
        ConfigError: if neither a model nor a submission is given.
    """
    if cfg.checkpoint is None and cfg.check is None:
        raise ConfigError("say which model: checkpoint=<file or run's folder>, or check=<submission>")
    from keypoints.inference.submission import check, submit

    if cfg.check is not None:
        log.info("%s: is valid, for %s", cfg.check, counted(check(cfg), "image"))
    else:
        log.info("%s: is valid, and can be submitted", submit(cfg))


VERB = Verb(
    name="submit",
    what="write or check a submission: the course's 300-W, or Kaggle's 15 points",
    doing="writing or checking a submission of",
    schema=Submit,
    run=run,
    positional="checkpoint",
    takes_words=True,
    synonyms={"model": "checkpoint"},
    examples=(
        "submit outputs/ibug300w/2026-01-31_12-00-00 output=submission.csv.gz",
        "submit model.onnx root=300w flip_test=true",
        "submit check=submission.csv.gz",
    ),
    writes="output: one row per coordinate that the competition asks for, in pixels of the image",
    subjects=("checkpoint", "check"),
)
