"""Overlays: photos with the predicted points, as PNG files."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from keypoints.drawing import draw_predictions
from keypoints.files import replaced
from keypoints.geometry import ByteArray
from keypoints.inference.prediction_files import PredictedPhoto

OVERLAYS = "overlays"
"""Folder of the overlays, in that of the results."""

_LONGEST = 240
"""Bytes of a name, to which more is added; file systems take 255."""
_COMPRESSION = 1
"""Pillow's own choice, 6, takes longer than all the rest of a prediction and saves a fifth of the bytes."""


def write_overlay(
    folder: Path, photo: PredictedPhoto, pixels: ByteArray | None, skeleton: Sequence[tuple[int, int]]
) -> Path | None:
    """Write a photo with its points, and return the file; ``None`` where the photo has no face.

    Args:
        folder: of all results; the overlays are in a folder of it.
        photo: with its faces.
        pixels: (H, W, 3) RGB of the photo; ``None`` if it could not be read.
        skeleton: lines between points, as pairs of their indices.
    """
    if not photo.faces or pixels is None:
        return None
    overlay = folder / OVERLAYS / _overlay_name(photo.name)
    overlay.parent.mkdir(parents=True, exist_ok=True)
    drawn = draw_predictions(pixels, [(face.box, face.points) for face in photo.faces], skeleton)
    with replaced(overlay) as temporary:
        Image.fromarray(drawn).save(temporary, "PNG", compress_level=_COMPRESSION)
    return overlay


def _overlay_name(name: str) -> str:
    """Return the photo's own name and ``.png``, shortened where a file cannot have so long a name."""
    path = Path(name)
    if len(os.fsencode(path.name)) <= _LONGEST:
        return f"{name}.png"
    kept = os.fsencode(path.name)[: _LONGEST - 9].decode("utf-8", "ignore")
    return str(path.with_name(f"{kept}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}.png"))
