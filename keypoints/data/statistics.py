"""Training-data statistics: measures of a face's input, their range in training, out-of-distribution notes.

Checkpoints and ONNX files store the ranges. Positions and angles are computed from the predicted points, so
they are wrong if the prediction is. Imports no torch.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from keypoints.crop import Crop
from keypoints.data.photos import grey
from keypoints.geometry import Affine, ByteArray, FloatArray
from keypoints.landmarks import LandmarkScheme

Support = Mapping[str, tuple[float, float]]
"""Training-data statistics: the range of each measure that contains 98 % of the training faces."""

_SHARES = (1, 99)

_FRAMING = {
    "box": "The box is unlike the boxes in training",
    "image": "The photo is framed unlike the photos in training",
}


@dataclass(frozen=True)
class Measure:
    """Description of a measure for tables and out-of-distribution notes.

    Args:
        title: heading in a table.
        number: format of the value.
        sentence: text of a note about a value; ``{side}`` is the input's width in pixels.
        low: meaning of a value below the range; if empty, there is no note.
        high: meaning of a value above the range; if empty, there is no note.
    """

    title: str
    number: str
    sentence: str
    low: str = ""
    high: str = ""

    def shown(self, value: float) -> str:
        """Return a value as text."""
        return self.number.format(value).replace("%", " %")

    def between(self, low: float, high: float) -> str:
        """Return a range as text, with only the limits that lead to notes."""
        if not self.high:
            return f"{self.shown(low)} and more"
        if not self.low:
            return f"up to {self.shown(high)}"
        return f"{self.shown(low)} to {self.shown(high)}"


MEASURES = {
    "width": Measure(
        "pixels across",
        "{:.0f}",
        "the input, {side} pixels wide, covers {value} pixels of the photo",
        low="Very low resolution",
    ),
    "sharpness": Measure("sharpness", "{:.0f}", "its sharpness is {value}", low="Blurred"),
    "tilt": Measure("tilt", "{:.0f}°", "the eyes are tilted by {value}", high="Strongly tilted"),
    "turn": Measure(
        "turn",
        "{:.0%}",
        "the tip of the nose is {value} of the way from between the eyes to an outer corner",
        high="Strongly turned",
    ),
    "size": Measure(
        "size in the input", "{:.0%}", "the points span {value} of the input", "{framing}", "{framing}"
    ),
    "across": Measure(
        "middle of the points, across",
        "{:.0%}",
        "the points' middle is at {value} of the input's width",
        "{framing}",
        "{framing}",
    ),
    "down": Measure(
        "middle of the points, down",
        "{:.0%}",
        "the points' middle is at {value} of the input's height",
        "{framing}",
        "{framing}",
    ),
}
"""Measures by their names in checkpoints, in the order of tables."""


def measure(
    image: ByteArray, points: FloatArray, to_photo: Affine, scheme: LandmarkScheme, crop: Crop
) -> dict[str, float]:
    """Return the measures of a face, by name; measures that need landmarks it lacks are left out.

    A face without a labelled point, such as in a training on a part, has only the measures of its picture.

    ``width``: width of the input's region, in pixels of the photo. ``sharpness``: see :func:`sharpness`.
    ``tilt``: absolute angle of the line between the outer eye corners to the horizontal, in degrees.
    ``turn``: distance of the tip of the nose from the middle of that line, along the line: 0 in the middle,
    1 at a corner; it grows with the head's yaw. ``size``: square root of the area of the points' bounding
    box; ``across`` and ``down``: its centre. These three are ratios of the input.

    Args:
        image: (H, W) grey or (H, W, 3) RGB, the network's input.
        points: (K, 2) pixels of the input; NaN without a label.
        to_photo: map from pixels of the input to pixels of the photo.
        scheme: the model's landmarks.
        crop: the model's crop convention.
    """
    scale = math.sqrt(abs(np.linalg.det(to_photo.matrix[:, :2])))
    found = {"width": scale * crop.width, "sharpness": sharpness(image)}
    if scheme.eye_line is not None:
        left, right = points[list(scheme.eye_line)]
        across = right - left
        found["tilt"] = abs(math.degrees(math.atan2(across[1], across[0])))
        if "nose_tip" in scheme.selections:
            tip = points[scheme.indices("nose_tip")[0]] - (left + right) / 2
            found["turn"] = 2 * abs(float(tip @ across)) / max(float(across @ across), 1e-9)
    known = points[np.isfinite(points).all(axis=1)]
    if not len(known):
        return found
    low, high = ((known[each(known, axis=0), [0, 1]] + 0.5) / crop.size for each in (np.argmin, np.argmax))
    if len(points) > 1:
        found["size"] = math.sqrt(np.prod(high - low))
    found["across"], found["down"] = map(float, (low + high) / 2)
    return found


def sharpness(image: ByteArray) -> float:
    """Return the variance of the Laplacian, in grey levels²: small for blurred pictures.

    J. L. Pech-Pacheco, G. Cristóbal, J. Chamorro-Martínez, J. Fernández-Valdivia: Diatom autofocusing in
    brightfield microscopy: a comparative study, ICPR 2000. The value depends on the picture's size, so
    only inputs of the same network are compared.

    Args:
        image: (H, W) grey or (H, W, 3) RGB; the result is 0 for less than 3 × 3 pixels.
    """
    levels = (grey(image) if image.ndim == 3 else image).astype(np.float64)
    if min(levels.shape) < 3:
        return 0.0
    around = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:]
    return float((around - 4 * levels[1:-1, 1:-1]).var())


def training_statistics(faces: Iterable[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Return the range of each measure over the training faces, as :func:`measure` returns them.

    Values that are not finite are ignored.
    """
    values: dict[str, list[float]] = {}
    for face in faces:
        for name, value in face.items():
            if math.isfinite(value):
                values.setdefault(name, []).append(value)
    ranges = {name: np.percentile(own, _SHARES) for name, own in values.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ranges.items()}


def out_of_distribution_notes(measures: Mapping[str, float], support: Support, crop: Crop) -> list[str]:
    """Return the out-of-distribution notes of a face, as plain sentences.

    A photo with at least the input's resolution is never too small, whatever the range in training.
    """
    found = []
    for name, value in measures.items():
        if name not in support:
            continue
        how, (low, high) = MEASURES[name], support[name]
        enough = name == "width" and value >= crop.width
        says = how.high if value > high else how.low if value < low and not enough else ""
        if says:
            heading = says.format(framing=_FRAMING[crop.source])
            sentence = how.sentence.format(side=crop.width, value=how.shown(value))
            found.append(f"{heading}: {sentence}, in training {how.between(low, high)}.")
    return found
