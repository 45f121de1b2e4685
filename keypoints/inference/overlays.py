"""Overlays: photos with the predicted points, as PNG files, and the places of annotated clips."""

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
"""Name of the overlays' folder inside the folder of the results."""

_LONGEST = 240
"""Largest number of bytes of a photo's name; suffixes are added to it, and file systems allow 255."""
_COMPRESSION = 1
"""Pillow's default, 6, takes longer than the rest of a prediction and saves only a fifth of the bytes."""


def write_overlay(
    folder: Path, photo: PredictedPhoto, pixels: ByteArray | None, skeleton: Sequence[tuple[int, int]]
) -> Path | None:
    """Draw the points on a photo, and write the result as PNG.

    Args:
        folder: folder of all results; the overlays are in a folder inside it.
        photo: the photo with its faces.
        pixels: (H, W, 3) RGB of the photo; ``None`` if it could not be read.
        skeleton: lines between points, as pairs of their indices.

    Returns:
        The file; ``None`` if the photo has no face or could not be read.
    """
    if not photo.faces or pixels is None:
        return None
    overlay = overlay_path(folder, photo.name, ".png")
    drawn = draw_predictions(pixels, [(face.box, face.points) for face in photo.faces], skeleton)
    with replaced(overlay) as temporary:
        Image.fromarray(drawn).save(temporary, "PNG", compress_level=_COMPRESSION)
    return overlay


def overlay_path(folder: Path, name: str, suffix: str) -> Path:
    """Return the path of an overlay, whose folder is created.

    Args:
        folder: folder of all results.
        name: name of the photo or clip, which is shortened if it is too long for a file name.
        suffix: suffix to append.
    """
    path = Path(name)
    if len(os.fsencode(path.name)) > _LONGEST:
        kept = os.fsencode(path.name)[: _LONGEST - 9].decode("utf-8", "ignore")
        path = path.with_name(f"{kept}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}")
    overlay = folder / OVERLAYS / f"{path}{suffix}"
    overlay.parent.mkdir(parents=True, exist_ok=True)
    return overlay
