"""``predictions.json`` of ``keypoints predict`` as a list of labelled photos, to be corrected by hand.

A point of a confidence below :data:`VISIBLE_FROM` is hidden, as in the list of ``predict format=coco``.
The names of the photos are relative to the folder of the inputs.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keypoints.data.face import HIDDEN, VISIBLE, StateArray
from keypoints.data.formats.lists import OpenList
from keypoints.data.formats.values import box, coordinate, number
from keypoints.errors import ConfigError, DataError, one_line, shortened
from keypoints.formatting import counted
from keypoints.geometry import FloatArray
from keypoints.landmarks import LandmarkScheme

log = logging.getLogger(__name__)

VISIBLE_FROM = 0.5
"""Confidence from which a point is visible, if no other is set."""


def recognises(beginning: str) -> bool:
    """Return whether a file begins like the document that ``keypoints predict`` writes."""
    return beginning.lstrip().startswith("{") and all(
        f'"{key}": ' in beginning for key in ("crop", "scheme", "photos")
    )


def states_of(confidence: FloatArray, visible_from: float = VISIBLE_FROM) -> StateArray:
    """Return the state of each point, (N,): visible from a confidence on, else hidden.

    Args:
        confidence: (N,) from 0 to 1.
        visible_from: smallest confidence of a visible point.
    """
    return np.where(confidence >= visible_from, VISIBLE, HIDDEN).astype(np.uint8)


def read(reading: OpenList) -> None:
    """Add the predicted faces to ``reading``, and the model's landmarks.

    Raises:
        DataError: if the document is damaged, or a face cannot be used.
    """
    photos, scheme = _contents(reading)
    reading.describe(scheme)
    for photo in photos:
        faces = photo.get("faces") or []
        for place, face in enumerate(faces):
            with reading.row(f"photo {shortened(str(photo.get('image')), 255)}: face {place}"):
                points = [(coordinate(x), coordinate(y)) for x, y in face["points"]]
                sure = face.get("confidence")
                states = None if sure is None else states_of(np.array(list(map(number, sure)))).tolist()
                if len(points) != len(scheme) or (states is not None and len(states) != len(points)):
                    raise ValueError(f"has {counted(len(points), 'point')}, and the model has {len(scheme)}")
                reading.add(str(photo.get("image")), box(*face["box"]), points, size=None, states=states)
    if empty := sum(not photo.get("faces") for photo in photos):
        log.info("%s: %s without a face", reading.path, counted(f"{empty} of {len(photos)}", "photo"))


def _contents(reading: OpenList) -> tuple[Sequence[Mapping[str, Any]], LandmarkScheme]:
    """Return the photos of the document, checked to have the document's form, and the scheme."""
    try:
        whole = json.loads(reading.text())
        scheme = LandmarkScheme.from_dict(whole["scheme"])
    except (ValueError, RecursionError, KeyError, TypeError, ConfigError) as error:
        raise DataError(
            f"{reading.path}: is no document of keypoints predict, or is damaged ({one_line(error)[:200]})"
        ) from error
    photos = whole.get("photos")
    if not (isinstance(photos, list) and all(map(_is_photo, photos))):
        raise DataError(f"{reading.path}: is damaged: photos is no list of photos with faces")
    return photos, scheme


def _is_photo(photo: object) -> bool:
    faces = photo.get("faces") if isinstance(photo, dict) else None
    return isinstance(faces, list) and all(map(_is_face, faces))


def _is_face(face: object) -> bool:
    if not isinstance(face, dict):
        return False
    points, sides, sure = (face.get(key) for key in ("points", "box", "confidence"))
    return (
        isinstance(points, list)
        and all(isinstance(point, list) and len(point) == 2 for point in points)
        and isinstance(sides, list)
        and len(sides) == 4
        and (sure is None or isinstance(sure, list))
    )
