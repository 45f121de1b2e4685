"""Model card: what a model is, what it was trained on, how good it is, and where it fails, as Markdown.

M. Mitchell et al., Model cards for model reporting, FAccT 2019.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from keypoints.confidence import ConfidenceCalibration
from keypoints.config.quoting import shell_command
from keypoints.crop import Crop
from keypoints.data.dataset_folders import terms_of
from keypoints.data.photo_facts import count_groups
from keypoints.data.provenance import TrainingFaces
from keypoints.data.statistics import MEASURES, Support
from keypoints.formatting import counted, shown
from keypoints.inference.model import Model
from keypoints.tasks.metrics import NORMS

ENDING = ".card.md"
"""Ending of a card's file, which lies beside the model's."""

_UNKNOWN = "The checkpoint does not say."


def card_of(path: Path) -> Path:
    """Return the file of a model's card.

    Args:
        path: the model's file.
    """
    return path.with_suffix(ENDING)


def model_card(path: Path, model: Model, facts: Mapping[str, str], command: str | None = None) -> str:
    """Return the card of an exported model.

    Args:
        path: the model's file.
        model: the checkpoint's model, of which the card says what it knows.
        facts: further facts by their names, such as the precision of the weights.
        command: command of the training, if it is known.
    """
    parts = [
        f"# {path.name}",
        _about(model, facts),
        "## Use",
        _shell(shell_command(["keypoints", "predict", path.name, "input=photos", "output=found"])),
        "\n".join(_crop_lines(model.crop)),
        "## Training data",
        "\n".join(_data_lines(model.trained_on)),
        *([] if command is None else ["Trained with:", _shell(command)]),
        "## Errors",
        "\n".join(_error_lines(model.confidence_calibration)),
        "## Limits",
        "\n".join(_limit_lines(model.support, model.crop)),
        "## Versions",
        ", ".join(f"{name} {version}" for name, version in model.versions.items()) or _UNKNOWN,
    ]
    return "\n\n".join(parts) + "\n"


def _shell(command: str) -> str:
    return f"```sh\n{command}\n```"


def _about(model: Model, facts: Mapping[str, str]) -> str:
    scheme = model.scheme
    lines = [
        f"{counted(len(scheme), 'landmark')} of {scheme.name} for each face.",
        "",
        "| | |",
        "| --- | --- |",
    ]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in facts.items())])


def _crop_lines(crop: Crop) -> Iterator[str]:
    region = "the full photo" if crop.source == "image" else "the face's box"
    enlarged = "" if crop.margin == 1 else f", its sides times {crop.margin:g},"
    colour = "grey" if crop.channels == 1 else "RGB"
    yield (
        f"Input: {region}{enlarged} at {crop.width} × {crop.height} pixels in "
        f"{colour}; a pixel is its value / 255 - 0.5. Output: x and y of each landmark as ratios of the "
        "input. The file's metadata say the same to programs."
    )


def _data_lines(trained_on: TrainingFaces | None) -> Iterator[str]:
    if trained_on is None:
        yield _UNKNOWN
        return
    name = trained_on.data or "data whose name is not known"
    trained = counted(count_groups(trained_on.groups), "person or photo", "persons or photos")
    others = counted(count_groups(trained_on.validated), "other")
    yield (
        f"{name}: faces of {trained} trained it, and those of {others} chose the best epoch. The file names "
        "them, and an evaluation on the training faces is refused."
    )
    terms = terms_of(trained_on.data) if trained_on.data else None
    yield ""
    yield (
        f"Terms: {terms}. The same holds for this model."
        if terms
        else "Terms: those of the data; they are not known to this program."
    )


def _error_lines(calibration: ConfidenceCalibration | None) -> Iterator[str]:
    if calibration is None:
        yield "Not stored. Measure them with `keypoints evaluate`."
        return
    mean = sum(calibration.errors) / len(calibration.errors)
    yield (
        f"On {counted(calibration.faces, 'validation face')}, which chose the best epoch, the mean distance "
        f"of a point is {shown(100 * mean)} % of {NORMS[calibration.norm]}. By a face's mean confidence:"
    )
    yield from ("", "| confidence | error % |", "| --- | --- |")
    for confidence, error in zip(calibration.confidences, calibration.errors, strict=True):
        yield f"| {confidence:.2f} | {shown(100 * error)} |"
    yield ""
    yield f"A confidence below {calibration.threshold:.2f} is low: the points may be far off."


def _limit_lines(support: Support | None, crop: Crop) -> Iterator[str]:
    yield (
        "Points are predicted for everything that it is given, also for what is no face, and for hidden "
        "landmarks. Errors were measured on data like those of the training."
    )
    if support is None:
        return
    yield f"\nOf 98 of 100 training faces (an input is {crop.width} pixels wide):"
    yield from ("", "| measure | range |", "| --- | --- |")
    for name, (low, high) in support.items():
        if name in MEASURES:
            yield f"| {MEASURES[name].title} | {MEASURES[name].between(low, high)} |"
