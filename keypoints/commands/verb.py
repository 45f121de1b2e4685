"""A verb of the command line: its schema, its work, and what its help says. Imports no torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING, DictConfig

from keypoints.config.settings import FilePath, Names, OutputFolder, setting

PLAIN: tuple[Any, ...] = ("_self_", {"hydra": "plain"})
"""Defaults list of a verb that makes no run."""

WITH_PATHS: tuple[Any, ...] = ("_self_", {"paths": "default"}, {"hydra": "plain"})
"""Defaults list of such a verb that reads data sets."""


CHECKPOINT = "Checkpoint, a run's folder, or an ONNX file of `keypoints export`."
"""Sentence of the setting ``checkpoint``."""


@dataclass(frozen=True)
class Verb:
    """A verb of the command line.

    Args:
        name: as it is typed, ``data verify``.
        what: what it does, on one line.
        schema: dataclass of its settings.
        run: does the work of a configuration; ``None`` for training, whose runs Hydra starts.
        positional: the key that the first word after the verb is for, if it has no ``=``.
        examples: three commands, without ``keypoints``.
        writes: what is written where.
        typed: settings that are typed, but are none of the configuration: a dataclass.
        optional_group: a group that is left out by default; without a choice, its values change what a run
            was trained on.
    """

    name: str
    what: str
    schema: type
    run: Callable[[DictConfig], None] | None
    examples: Sequence[str]
    writes: str
    positional: str | None = None
    typed: type | None = None
    optional_group: str | None = None

    @property
    def config(self) -> str:
        """Name of its primary configuration."""
        return self.name.rpartition(" ")[2]


@dataclass
class Paths:
    """Folders of data and results."""

    data: FilePath = setting(
        "${oc.env:KEYPOINTS_DATA,data}", "Folder that holds the data sets' folders: imm_face_db and others."
    )
    outputs: OutputFolder = setting("outputs", "Folder of all results.")


@dataclass
class Trusting:
    """Settings of a verb that reads a checkpoint or a run."""

    trust: Names = setting(
        None, "Own packages whose code a checkpoint or a run may name: trust=mypackage, or [mine,yours]."
    )


@dataclass
class Choosing(Trusting):
    """Settings of a verb that can use a trained model."""

    which: str = setting("best", "Checkpoint of a run's folder.", choices=("best", "last"))


@dataclass
class OfModel(Choosing):
    """Settings of a verb that uses a trained model."""

    checkpoint: FilePath = setting(MISSING, CHECKPOINT)


@dataclass
class Flipping:
    """Setting of a verb that can average over a mirrored copy."""

    flip_test: bool = setting(
        False, "Average the predictions on the input and its mirrored copy: twice the time, smaller errors."
    )
