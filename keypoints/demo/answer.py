"""Answer of the page to a photo: close-ups of its faces, the photo with all points, and a table."""

import base64
import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from keypoints.confidence import UNCALIBRATED
from keypoints.data.photos import Photo
from keypoints.drawing import draw_predictions
from keypoints.errors import KeypointsError
from keypoints.formatting import counted, shown
from keypoints.geometry import Box, ByteArray
from keypoints.inference.prediction_files import PredictedFace, PredictedPhoto, PredictionFiles
from keypoints.inference.predictor import Predictor
from keypoints.reports.closeups import FEW, LEAST, WIDTH, draw_closeup, jpeg_url, region_around
from keypoints.reports.page import render
from keypoints.synthetic.portrait import example_portrait

_ORIGINS = {"given": "given", "detected": "detector", "image": "full image"}
_MOST_CLOSE_UPS = 12
"""Largest number of faces with a close-up; the table has all faces."""
_MOST_OF_PHOTO = 0.8
"""Smallest side of a close-up divided by the photo's shorter side, for a face with few landmarks."""


class ShownConfidence(NamedTuple):
    """Confidence of a face on the page."""

    value: float
    """Mean over the landmarks, from 0 to 1."""
    threshold: float | None
    """Confidence below which it is low; ``None`` if the model's file does not store it."""
    note: str
    """Sentence about a low confidence; empty if it is not low."""
    meaning: str
    """Sentence about any other confidence."""


class ShownFace(NamedTuple):
    """Close-up of a face on the page."""

    title: str
    picture: str
    """Data URL of the close-up."""
    description: str
    confidence: ShownConfidence | None


def answer(predictor: Predictor, name: str, photo: bytes, megapixels: float) -> str:
    """Return the answer to a photo, in HTML.

    Args:
        predictor: the model.
        name: name of the photo as given by the client; it is only shown.
        photo: contents of the photo's file.
        megapixels: size above which a photo is refused before it is decoded.
    """
    path = Path(name)  # only names the photo in errors; no file is opened
    try:
        pixels = Photo(path, megapixels, contents=photo).decode(3)
        faces = predictor.finish(predictor.prepare(pixels))
    except (KeypointsError, ValueError) as error:
        return render("demo_answer.html", said=f"{name}: {str(error).removeprefix(f'{path}: ')}", bad=True)
    drawn = draw_predictions(
        pixels, [(face.box, face.points) for face in faces], predictor.scheme.skeleton, _labels(faces)
    )
    return render(
        "demo_answer.html",
        said=f"{name}: {_summary(faces)}",
        bad=any(face.note for face in faces),
        name=path.stem,
        faces=[_shown(predictor, pixels, faces, place) for place in range(min(len(faces), _MOST_CLOSE_UPS))],
        left_out=max(0, len(faces) - _MOST_CLOSE_UPS),
        side=WIDTH,
        picture=jpeg_url(drawn),
        size=(drawn.shape[1], drawn.shape[0]),
        table=_table(predictor, PredictedPhoto(name, (pixels.shape[1], pixels.shape[0]), faces, [])),
        rows=[_row(number, face) for number, face in enumerate(faces)],
    )


def example_photos() -> Iterator[bytes]:
    """Yield photos of made-up faces without end, as JPEG files; each is drawn when it is asked for."""
    for seed in itertools.count():
        made = io.BytesIO()
        Image.fromarray(example_portrait(seed)).save(made, "JPEG", quality=92)
        yield made.getvalue()


def _labels(faces: Sequence[PredictedFace]) -> list[str]:
    """Return the label of each face in the photo; none for a single face."""
    if len(faces) < 2:
        return []
    return [f"{number}, low" if face.note else str(number) for number, face in enumerate(faces)]


def _summary(faces: Sequence[PredictedFace]) -> str:
    """Return the number of faces in words, and of those whose confidence is low."""
    if not faces:
        return "no face was found"
    if len(faces) == 1:
        return "1 face" + (", with low confidence: its points may be far off" if faces[0].note else "")
    low = sum(bool(face.note) for face in faces)
    return counted(len(faces), "face") + (
        f", {low} with low confidence: their points may be far off" if low else ""
    )


def _shown(predictor: Predictor, pixels: ByteArray, faces: Sequence[PredictedFace], place: int) -> ShownFace:
    """Return the close-up of the face at a place, and its confidence."""
    face = faces[place]
    title = f"Face {place}" if len(faces) > 1 else "The face"
    drawn = draw_closeup(
        pixels,
        _region(face, (pixels.shape[1], pixels.shape[0])),
        prediction=face.points,
        skeleton=predictor.scheme.skeleton,
    )
    points = counted(len(face.points), "point")
    return ShownFace(
        title, jpeg_url(drawn), f"close-up of {title.lower()} with {points}", _confidence(predictor, face)
    )


def _region(face: PredictedFace, size: tuple[int, int]) -> Box:
    """Return the region that shows the whole face with a margin, for a photo of a width and height."""
    if face.origin != "image":
        box = face.box
        corners = np.array([(box.left, box.top), (box.left + box.width - 1, box.top + box.height - 1)])
        return region_around(corners, size, np.concatenate([corners, face.points]), least=0)
    least = _MOST_OF_PHOTO if len(face.points) < FEW else LEAST
    return region_around(face.points, size, least=least)


def _confidence(predictor: Predictor, face: PredictedFace) -> ShownConfidence | None:
    if face.confidence is None:
        return None
    calibration = predictor.confidence_calibration
    value = float(face.confidence.mean())
    if calibration is None:
        return ShownConfidence(value, None, "", UNCALIBRATED)
    error = f"{shown(100 * calibration.expected_error(value), 2)} %"
    return ShownConfidence(
        value,
        calibration.threshold,
        face.note,
        f"Validation faces of this confidence have a mean error (NME) of {error}.",
    )


def _table(predictor: Predictor, photo: PredictedPhoto) -> str:
    """Return the table of the points as CSV, in base 64."""
    table = io.StringIO()
    PredictionFiles(table, io.StringIO(), predictor.scheme).add(photo)
    return base64.b64encode(table.getvalue().encode("utf-8", "surrogateescape")).decode()


def _row(number: int, face: PredictedFace) -> dict[str, str | int]:
    """Return a row of the table: a face's values except its points."""
    box = face.box
    row: dict[str, str | int] = {"face": number}
    if face.confidence is not None:
        row["confidence"] = f"{face.confidence.mean():.0%}{' (low)' if face.note else ''}"
    row["box"] = f"{box.width:.0f} × {box.height:.0f} at {box.left:.0f}, {box.top:.0f}"
    row["from"] = _ORIGINS[face.origin]
    if face.score is not None:
        row["score"] = shown(face.score)
    return row
