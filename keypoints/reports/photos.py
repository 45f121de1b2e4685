"""The page of a prediction: each photo with its points, what was measured of its faces, and remarks.

Its pictures are files beside it, so it stays small however many photos there are. Imports no torch.
"""

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from PIL import Image

from keypoints.data.statistics import MEASURES, measure, remarks
from keypoints.drawing import draw_face
from keypoints.files import replaced
from keypoints.formatting import shown
from keypoints.geometry import Affine, Box, ByteArray, cut, pixels_to_ratio
from keypoints.inference.prediction_files import PAGE, PredictedFace, PredictedPhoto
from keypoints.inference.predictor import Predictor
from keypoints.reports.page import write_page

PICTURES = "report"
"""The folder of the page's pictures, beside it."""

_SIDE = 320
"""Pixels of a picture on the page: the longer side of a photo, the width of a face."""
_CONTEXT = 1.5
"""Of a model of whole photos: the side of a face's picture over that of the box round its points."""
_LEAST = 0.25
"""Of the photo's shorter side: a smaller picture, as round a single point, would show no face."""


_UNKNOWN = (
    "This model's file does not say what its training faces were like, so there are no remarks: it was "
    "trained by an earlier version, or without a datamodule of this package."
)


class ShownFace(NamedTuple):
    """A face on the page."""

    picture: str
    """Its address, as seen from the page."""
    rows: list[dict[str, str]]
    remarks: list[str]


class ShownPhoto(NamedTuple):
    """A photo on the page."""

    anchor: str
    name: str
    about: str
    picture: str | None
    """Its address, as seen from the page; of a photo that cannot be read there is none."""
    overlay: str | None
    """The address of the large picture."""
    faces: list[ShownFace]
    problems: list[str]

    @property
    def headings(self) -> list[str]:
        """What stands out, in a few words each."""
        said = [remark.partition(":")[0] for face in self.faces for remark in face.remarks]
        return list(dict.fromkeys([*said, *(["No face, or not all"] if self.problems else [])]))


class PhotoReport:
    """The page as it comes to be. Photos may be added from several threads.

    Args:
        folder: of the prediction; it exists.
        predictor: what predicted.
    """

    def __init__(self, folder: Path, predictor: Predictor) -> None:
        self._folder = folder
        self._predictor = predictor
        self._photos: dict[int, ShownPhoto] = {}

    def add(self, number: int, photo: PredictedPhoto, pixels: ByteArray | None, overlay: Path | None) -> None:
        """Draw a photo's pictures and measure its faces.

        Args:
            number: its place on the page.
            photo: what became of it.
            pixels: (H, W, 3) RGB, or ``None`` if it could not be read.
            overlay: the drawn photo in the folder, where there is one.
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
            _text(photo.name),
            about,
            picture,
            None if overlay is None else _address(overlay.relative_to(self._folder)),
            faces,
            [_text(problem) for problem in photo.problems],
        )

    def _face(self, face: PredictedFace, pixels: ByteArray, name: str) -> ShownFace:
        predictor = self._predictor
        (prepared,) = predictor.prepare(pixels, [face.box])
        image = prepared.crop if prepared.crop.shape[2] == 3 else prepared.crop[..., 0]
        affine = prepared.affine
        measures = measure(image, affine(face.points), affine.inverse(), predictor.scheme, predictor.crop)
        origin = "the whole photo" if face.origin == "image" else face.origin
        rows = [_row("box", origin), _row("its pixels", f"{face.box.width:.0f} × {face.box.height:.0f}")]
        if face.score is not None:
            rows.append(_row("detector's score", shown(face.score)))
        if face.confidence is not None:
            rows.append(_row("mean confidence", shown(float(face.confidence.mean()))))
        support = predictor.support or {}
        for key, value in measures.items():
            how = MEASURES[key]
            known = how.between(*support[key]) if key in support else "–"
            rows.append(_row(how.title, how.shown(value), known))
        picture = self._save(Image.fromarray(self._closeup(face, pixels)), name)
        return ShownFace(picture, rows, remarks(measures, support, predictor.crop))

    def _closeup(self, face: PredictedFace, pixels: ByteArray) -> ByteArray:
        """What the network saw of the face, with its points; of a whole photo, what lies round them."""
        size = pixels.shape[1], pixels.shape[0]
        whole = face.origin == "image"
        region = _round(face, min(size)) if whole else self._predictor.crop.region(size, face.box)
        try:
            picture = cut(pixels, region, (_SIDE, max(1, round(_SIDE * region.height / region.width))))
        except ValueError:  # all points lie outside the photo
            region = Box.whole(size).resized(min(size), min(size))
            picture = cut(pixels, region, (_SIDE, _SIDE))
        drawn_size = picture.shape[1], picture.shape[0]
        points = Affine.between(region, Box.whole(drawn_size))(face.points)
        ratios = pixels_to_ratio(points, drawn_size)
        return draw_face(
            picture, prediction=ratios, skeleton=self._predictor.scheme.skeleton, width=drawn_size[0]
        )

    def _save(self, picture: Image.Image, name: str) -> str:
        path = self._folder / PICTURES / name
        path.parent.mkdir(exist_ok=True)
        with replaced(path) as temporary:
            picture.convert("RGB").save(temporary, "JPEG", quality=85)
        return _address(path.relative_to(self._folder))

    def write(self) -> Path:
        """Write the page of the photos so far."""
        model, photos = self._predictor, [self._photos[number] for number in sorted(self._photos)]
        faces = sum(len(photo.faces) for photo in photos)
        remarked = sum(bool(face.remarks) for photo in photos for face in photo.faces)
        return write_page(
            self._folder / PAGE,
            "photos.html",
            title="1 photo" if len(photos) == 1 else f"{len(photos)} photos",
            about=f"{_text(str(model.path))} · {model.scheme.name} · input of {model.crop.width} × "
            f"{model.crop.height} pixels · {faces} faces, {remarked} with remarks",
            notes=[] if model.support is not None else [("warn", _UNKNOWN)],
            photos=photos,
            remarked=[photo for photo in photos if photo.headings],
        )


def _round(face: PredictedFace, shorter: int) -> Box:
    """The square round a face's points in a photo of this ``shorter`` side."""
    (left, top), (right, bottom) = face.points.min(axis=0), face.points.max(axis=0)
    tight = Box(left, top, right - left + 1, bottom - top + 1)
    side = max(_CONTEXT * tight.width, _CONTEXT * tight.height, _LEAST * shorter)
    return tight.resized(side, side)


def _row(title: str, value: str, known: str = "") -> dict[str, str]:
    return {"": title, "this face": value, "in training": known}


def _address(path: Path) -> str:
    return quote(os.fsencode(path.as_posix()))


def _text(name: str) -> str:
    """A name that can be written, also of a file whose name is no Unicode text."""
    return os.fsencode(name).decode("utf-8", "replace")
