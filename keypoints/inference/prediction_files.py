"""Predictions and their files: a table, and the same predictions as JSON, photo by photo."""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

from PIL import Image

from keypoints.drawing import draw_face
from keypoints.files import replaced
from keypoints.formatting import counted
from keypoints.geometry import Box, ByteArray, FloatArray
from keypoints.landmarks import LandmarkScheme

PAGE = "report.html"
"""File name of the optional report page."""

TABLE = "predictions.csv"
DOCUMENT = "predictions.json"

Origin = Literal["given", "detected", "image", "tracked"]
_ORIGINS: Mapping[Origin, str] = {
    "given": "a given box",
    "detected": "a detected box",
    "image": "the full image",
    "tracked": "a tracked box",
}


class FaceView(NamedTuple):
    """Face as the network sees it, for a picture of the prediction."""

    pixels: ByteArray
    """(height, width, channels) bytes of the network's input."""
    points: FloatArray
    """(K, 2) ratios of the input."""
    skeleton: Sequence[tuple[int, int]]
    """Pairs of points to join by a line."""


class PredictedFace(NamedTuple):
    """Predicted face. Coordinates are pixels of the upright photo: (0, 0) is the first pixel's centre.

    Notebooks show it as the network's input with the predicted points.
    """

    box: Box
    """Box from which the face was predicted; it may extend beyond the photo."""
    points: FloatArray
    """(K, 2): x and y of each landmark, in the scheme's order; they may lie outside the photo."""
    origin: Origin
    """Source of the box: given, detected, the full image, or the points in the last frame of a clip."""
    score: float | None = None
    """Detector's score of a detected box; its scale depends on the detector, see its class."""
    confidence: FloatArray | None = None
    """(K,) from 0 to 1, one per landmark; ``None`` if the model gives none."""
    expected_error: float | None = None
    """Mean normalised error of validation faces of this confidence, a ratio; ``None`` if the model's file
    does not store it. See :mod:`keypoints.confidence`."""
    note: str = ""
    """Sentence about a low confidence; empty if it is not low."""
    passes: int = 1
    """Number of the pass that the points are from: 2 after a second pass in a turned or upright crop, see
    :mod:`keypoints.inference.refinement`."""
    spread: FloatArray | None = None
    """(K,) distance of an ensemble's models from their mean, as a standard deviation in pixels; ``None`` for
    one model. See :mod:`keypoints.inference.ensemble`."""
    view: FaceView | None = None
    """The face as the network sees it; ``None`` if it was not kept."""
    track: int | None = None
    """Number of the face in its clip, the same in all frames; ``None`` in a photo."""

    def __repr__(self) -> str:
        box = self.box
        sure = "" if self.confidence is None else f", confidence {self.confidence.mean():.2f}"
        low = " (low)" if self.note else ""
        return (
            f"PredictedFace({counted(len(self.points), 'point')}, "
            f"{_ORIGINS[self.origin]} of {box.width:.0f} × {box.height:.0f} at {box.left:.0f}, {box.top:.0f}"
            f"{sure}{low})"
        )

    def picture(self, width: int = 320) -> Image.Image | None:
        """Draw the points on the network's input.

        Args:
            width: width of the picture in pixels.

        Returns:
            The picture; ``None`` if the face as the network sees it was not kept.
        """
        if self.view is None:
            return None
        pixels, points, skeleton = self.view
        seen = pixels if pixels.shape[2] == 3 else pixels[..., 0]
        return Image.fromarray(draw_face(seen, prediction=points, skeleton=skeleton, width=width))

    def _repr_png_(self) -> bytes | None:
        """Return the picture, for notebooks."""
        if (picture := self.picture()) is None:
            return None
        contents = io.BytesIO()
        picture.save(contents, "PNG")
        return contents.getvalue()


class Moment(NamedTuple):
    """Place of a frame in its clip."""

    frame: int
    """Index of the frame, from 0."""
    time: float
    """Seconds after the first frame."""


class PredictedPhoto(NamedTuple):
    """Predictions and problems of a photo, or of a frame of a clip."""

    name: str
    """Path of the photo, relative to the inputs' root."""
    size: tuple[int, int] | None
    """Width and height of the upright photo; ``None`` if it cannot be read."""
    faces: list[PredictedFace]
    problems: list[str]
    """Reasons why faces are missing: lines that name the photo."""
    moment: Moment | None = None
    """Place of a frame in its clip; ``None`` for a photo."""


class PredictionFiles:
    """Writer of ``predictions.csv``, with one row per face, and ``predictions.json``.

    A photo without a face has a row with empty cells. Column ``note`` has the problems of a photo, and says
    which confidence is low. So the table can be read as a list of labelled photos with ``strict=false``.
    A frame of a clip is written as a photo, with its number, its time in seconds and the tracks of its faces.

    Args:
        table: the table.
        document: the JSON document.
        scheme: landmarks of the points.
        clips: whether frames of clips are written too: the table then has their columns.
    """

    def __init__(
        self, table: TextIO, document: TextIO, scheme: LandmarkScheme, *, clips: bool = False
    ) -> None:
        self._points = 2 * len(scheme)
        self._clips = clips
        self._rows = csv.writer(table, lineterminator="\n")
        self._document = document
        self._photos = 0
        coordinates = [f"{axis}{index}" for index in range(len(scheme)) for axis in "xy"]
        columns = ["left", "top", "width", "height", "box", "score", "confidence", "spread", "note"]
        moments = ["frame", "time", "track"] if clips else []
        self._rows.writerow(["image", *moments, "face", *columns, *coordinates])

    def _write(self, cells: Sequence[object]) -> None:
        self._rows.writerow([_as_text(cell) if isinstance(cell, str) else cell for cell in cells])

    def _moment(self, photo: PredictedPhoto, track: int | None = None) -> list[object]:
        """Return the cells of a frame's number, its time and a face's track; empty for a photo."""
        if not self._clips:
            return []
        number, time = ("", "") if photo.moment is None else (photo.moment.frame, f"{photo.moment.time:.6f}")
        return [number, time, "" if track is None else track]

    def add(self, photo: PredictedPhoto) -> None:
        """Write the predictions and problems of a photo or a frame."""
        for number, face in enumerate(photo.faces):
            box = [f"{side:.3f}" for side in _sides(face.box)]
            score = "" if face.score is None else f"{face.score:.3f}"
            sure = "" if face.confidence is None else f"{face.confidence.mean():.4f}"
            spread = "" if face.spread is None else f"{face.spread.mean():.3f}"
            points = [f"{value:.3f}" for value in face.points.ravel()]
            note = "; ".join([*photo.problems, *filter(None, [face.note])])
            first = [photo.name, *self._moment(photo, face.track), number]
            self._write([*first, *box, face.origin, score, sure, spread, note, *points])
        if not photo.faces:
            note = "; ".join(photo.problems)
            self._write([photo.name, *self._moment(photo), *[""] * 9, note, *[""] * self._points])
        self._document.write(",\n" if self._photos else "\n")
        self._document.write(json.dumps(_as_json(photo), allow_nan=False))
        self._photos += 1


@contextmanager
def prediction_files(
    folder: Path, scheme: LandmarkScheme, about: Mapping[str, Any], *, clips: bool = False
) -> Iterator[PredictionFiles]:
    """Open the two files in ``folder``; they appear there, complete, only when the block succeeds.

    Args:
        folder: an existing folder.
        scheme: landmarks of the points.
        about: further entries of the JSON document, plain values by name.
        clips: whether frames of clips are written too.
    """
    with ExitStack() as stack:
        paths = [stack.enter_context(replaced(folder / name)) for name in (TABLE, DOCUMENT)]
        table, document = (
            stack.enter_context(path.open("w", encoding="utf-8", newline="")) for path in paths
        )
        head = json.dumps({**about, "scheme": scheme.to_dict()})
        document.write(f'{head[:-1]}, "photos": [')
        yield PredictionFiles(table, document, scheme, clips=clips)
        document.write("\n]}\n")


def _as_text(name: str) -> str:
    r"""Return a name as UTF-8, with ``\xff`` for a byte that is no text: any program can read the table."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _sides(box: Box) -> list[float]:
    return [box.left, box.top, box.width, box.height]


def _as_json(photo: PredictedPhoto) -> dict[str, Any]:
    moment = (
        {} if photo.moment is None else {"frame": photo.moment.frame, "time": round(photo.moment.time, 6)}
    )
    return {
        "image": photo.name,
        **moment,
        "size": photo.size,
        "faces": [
            {
                **({} if face.track is None else {"track": face.track}),
                "box": [round(side, 3) for side in _sides(face.box)],
                "origin": face.origin,
                "score": None if face.score is None else round(face.score, 3),
                "confidence": None if face.confidence is None else face.confidence.round(4).tolist(),
                "expected_error": None if face.expected_error is None else round(face.expected_error, 5),
                "note": face.note,
                "passes": face.passes,
                "spread": None if face.spread is None else face.spread.round(3).tolist(),
                "points": face.points.round(3).tolist(),
            }
            for face in photo.faces
        ],
        "problems": photo.problems,
    }
