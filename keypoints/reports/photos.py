"""Page of a prediction: each photo with its points, the measures of its faces and out-of-distribution notes.

The pictures are separate files beside the page, so the page stays small. Imports no torch.
"""

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from PIL import Image

from keypoints.confidence import UNCALIBRATED
from keypoints.data.statistics import MEASURES, measure, out_of_distribution_notes
from keypoints.files import as_text, replaced
from keypoints.formatting import counted, shown
from keypoints.geometry import ByteArray
from keypoints.inference.prediction_files import PAGE, PredictedFace, PredictedPhoto
from keypoints.inference.predictor import Predictor
from keypoints.reports.closeups import LEAST, draw_closeup, region_around
from keypoints.reports.page import write_page

PICTURES = "report"
"""Name of the folder of the page's pictures, which lies beside the page."""

_SIDE = 320
"""Longer side of a photo on the page, in pixels."""
_FACE = 480
"""Width of a face on the page, in pixels."""

_UNKNOWN = (
    "This model's file holds no statistics of its training faces, so there are no notes: it was trained by "
    "an earlier version, or without a datamodule of this package."
)


class ShownFace(NamedTuple):
    """Face on the page."""

    picture: str
    """Address of the picture, relative to the page."""
    rows: list[dict[str, str]]
    notes: list[str]


class ShownPhoto(NamedTuple):
    """Photo on the page."""

    anchor: str
    name: str
    about: str
    picture: str | None
    """Address of the small picture, relative to the page; ``None`` for a photo that cannot be read."""
    overlay: str | None
    """Address of the large picture, relative to the page; ``None`` if there is none."""
    faces: list[ShownFace]
    problems: list[str]

    @property
    def headings(self) -> list[str]:
        """Headings of the notes, and a heading for problems."""
        notes = [remark.partition(":")[0] for face in self.faces for remark in face.notes]
        return list(dict.fromkeys([*notes, *(["Not all faces have a result"] if self.problems else [])]))


class PhotoReport:
    """Builder of the page. Photos may be added from several threads.

    Args:
        folder: folder of the prediction, which must exist.
        predictor: the predictor that made the predictions.
    """

    def __init__(self, folder: Path, predictor: Predictor) -> None:
        self._folder = folder
        self._predictor = predictor
        self._photos: dict[int, ShownPhoto] = {}
        self._has_confidences = False

    def add(self, number: int, photo: PredictedPhoto, pixels: ByteArray | None, overlay: Path | None) -> None:
        """Make a photo's pictures and measure its faces.

        Args:
            number: place of the photo on the page.
            photo: predictions and problems of the photo.
            pixels: (H, W, 3) RGB, or ``None`` if the photo could not be read.
            overlay: file in the folder that shows the photo with its points, or ``None``.
        """
        picture, faces, about = None, [], ""
        if pixels is not None:
            about = f"{pixels.shape[1]} × {pixels.shape[0]} pixels"
            small = Image.fromarray(pixels) if overlay is None else Image.open(overlay)
            small.thumbnail((_SIDE, _SIDE))
            picture = self._save(small, f"{number:05}.jpg")
            faces = [
                self._face(face, pixels, f"{number:05}-{place}.jpg") for place, face in enumerate(photo.faces)
            ]
        self._photos[number] = ShownPhoto(
            f"photo-{number}",
            as_text(photo.name),
            about,
            picture,
            None if overlay is None else _address(overlay.relative_to(self._folder)),
            faces,
            [as_text(problem) for problem in photo.problems],
        )

    def _face(self, face: PredictedFace, pixels: ByteArray, name: str) -> ShownFace:
        predictor = self._predictor
        (prepared,) = predictor.prepare(pixels, [face.box])
        image = prepared.crop if prepared.crop.shape[2] == 3 else prepared.crop[..., 0]
        affine = prepared.affine
        measures = measure(image, affine(face.points), affine.inverse(), predictor.scheme, predictor.crop)
        origin = "full photo" if face.origin == "image" else face.origin
        rows = [
            _row("box", origin),
            _row("box size, pixels", f"{face.box.width:.0f} × {face.box.height:.0f}"),
        ]
        if face.score is not None:
            rows.append(_row("detector's score", shown(face.score)))
        if face.confidence is not None:
            self._has_confidences = True
            calibration = predictor.confidence_calibration
            usual = "" if calibration is None else f"{shown(calibration.threshold)} and more"
            rows.append(_row("mean confidence", shown(float(face.confidence.mean())), usual))
        if face.expected_error is not None:
            rows.append(_row("expected NME", f"{shown(100 * face.expected_error)} %"))
        if face.spread is not None:
            rows.append(_row("models apart, pixels", shown(float(face.spread.mean()))))
        support = predictor.support or {}
        for key, value in measures.items():
            described = MEASURES[key]
            known = described.between(*support[key]) if key in support else "–"
            rows.append(_row(described.title, described.shown(value), known))
        picture = self._save(Image.fromarray(self._closeup(face, pixels)), name)
        notes = out_of_distribution_notes(measures, support, predictor.crop)
        return ShownFace(picture, rows, [*filter(None, [face.note]), *notes])

    def _closeup(self, face: PredictedFace, pixels: ByteArray) -> ByteArray:
        """Draw the points on the network's view of the face; for a full photo, on a region around them."""
        size = pixels.shape[1], pixels.shape[0]
        crop = self._predictor.crop
        full = face.origin == "image"
        region = region_around(face.points, size, least=LEAST) if full else crop.region(size, face.box)
        skeleton = self._predictor.scheme.skeleton
        return draw_closeup(pixels, region, prediction=face.points, skeleton=skeleton, width=_FACE)

    def _save(self, picture: Image.Image, name: str) -> str:
        path = self._folder / PICTURES / name
        path.parent.mkdir(exist_ok=True)
        with replaced(path) as temporary:
            picture.convert("RGB").save(temporary, "JPEG", quality=85)
        return _address(path.relative_to(self._folder))

    def write(self) -> Path:
        """Write the page of the photos that have been added, and return its path."""
        model, photos = self._predictor, [self._photos[number] for number in sorted(self._photos)]
        faces = sum(len(photo.faces) for photo in photos)
        remarked = sum(bool(face.notes) for photo in photos for face in photo.faces)
        return write_page(
            self._folder / PAGE,
            "photos.html",
            title=counted(len(photos), "photo"),
            about=f"{as_text(str(model.path))} · {model.scheme.name} · input of {model.crop.width} × "
            f"{model.crop.height} pixels · {counted(faces, 'face')}, {remarked} with notes",
            notes=self._notes(),
            photos=photos,
            remarked=[photo for photo in photos if photo.headings],
        )

    def _notes(self) -> list[tuple[str, str]]:
        """Return the notes about what the model's file lacks."""
        uncalibrated = self._has_confidences and self._predictor.confidence_calibration is None
        lacks = {_UNKNOWN: self._predictor.support is None, UNCALIBRATED: uncalibrated}
        return [("warn", text) for text, applies in lacks.items() if applies]


def _row(title: str, value: str, known: str = "") -> dict[str, str]:
    return {"": title, "this face": value, "in training": known}


def _address(path: Path) -> str:
    return quote(os.fsencode(path.as_posix()))
