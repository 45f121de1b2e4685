"""Tables of predictions, ours or anybody's, in each format of labelled photos and in COCO's results.

The photos need not be at hand: :mod:`keypoints.matching` finds out which they are.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keypoints.datasets.dlib_xml import read_entries
from keypoints.datasets.labelled import FORMATS, detect_format
from keypoints.datasets.lists import OpenList, beginning
from keypoints.errors import DataError
from keypoints.geometry import Box, FloatArray

_RESULTS = "["
"""How COCO's results begin, which are a list; its annotations are an object."""


class Prediction(NamedTuple):
    """A face of a table of predictions. Coordinates are pixels of the upright photo."""

    photo: str
    """As the table names it."""
    box: Box | None
    points: FloatArray
    """(K, 2)"""
    source: str
    """The table and the row, for messages."""


class PredictionList(NamedTuple):
    """What a table holds."""

    predictions: list[Prediction]
    """All with as many points."""
    unusable: list[str]
    """Why other rows hold no face: of photos in which none was found, or damaged ones."""


def read_predictions(path: Path, photos: Mapping[int, str] | None = None) -> PredictionList:
    """Return the faces of a table of predictions; its format is told by what it holds.

    Args:
        path: ``predictions.csv`` of ``keypoints predict``, a list in one of the formats of
            :mod:`keypoints.datasets.labelled`, or COCO's results.
        photos: the names of photos by their ids, for COCO's results, which have ids alone.

    Raises:
        DataError: if it cannot be read, is in no known format, or holds no face.
    """
    begins = beginning(path).lstrip()
    reading = _Reading(path, photos or {})
    if begins.startswith(_RESULTS):
        FORMATS["coco"].read(reading)  # type: ignore[misc]  # it is read
    elif begins.startswith("{") and '"photos": [' in begins and '"images"' not in begins:
        raise DataError(
            f"{path}: is the document that predict writes; give the table beside it: predictions.csv"
        )
    else:
        _read(reading)
    counts = Counter(len(each.points) for each in reading.predictions)
    if not counts:
        why = f"; {reading.skipped[0]}" if reading.skipped else ""
        raise DataError(f"{path}: holds no predicted face{why}")
    ((most, _),) = counts.most_common(1)
    kept = [each for each in reading.predictions if len(each.points) == most]
    others = [
        f"{each.source}: has {len(each.points)} points, but most rows have {most}"
        for each in reading.predictions
        if len(each.points) != most
    ]
    return PredictionList(kept, [*reading.skipped, *others])


def photos_by_id(path: Path) -> dict[int, str]:
    """Return the names of photos by their ids in COCO's annotations; nothing of another list.

    Args:
        path: the list.

    Raises:
        DataError: if it cannot be read.
    """
    if not beginning(path).lstrip().startswith("{"):
        return {}
    try:
        images = json.loads(OpenList(path, path.parent, None, strict=False).text()).get("images")
    except (ValueError, RecursionError):  # reading the list says what is wrong
        return {}
    listed = images if isinstance(images, list) else []
    return {
        image["id"]: image["file_name"]
        for image in listed
        if isinstance(image, dict)
        and isinstance(image.get("id"), int)
        and isinstance(image.get("file_name"), str)
    }


def _read(reading: "_Reading") -> None:
    name = detect_format(reading.path)
    chosen = FORMATS[name]
    if name == "dlib":
        _read_dlib(reading)  # the format's own reader wants the photos
    elif chosen.read is None:
        raise DataError(f"{reading.path}: is {chosen.what}, which can only be written")
    else:
        chosen.read(reading)


def _read_dlib(reading: "_Reading") -> None:
    for number, entry in enumerate(read_entries(reading.path, None, reading.root, missing_ok=True), start=1):
        if isinstance(entry, DataError):
            reading.skipped.append(str(entry))
            continue
        with reading.row(f"face {number} ({entry.file})"):
            if entry.points is None:
                raise ValueError("has no points")
            reading.add(entry.file, entry.box, [(x, y) for x, y in entry.points.tolist()])


class _Reading(OpenList):
    """A table that is being read: its rows are kept as they are, whatever photos they name."""

    def __init__(self, path: Path, photos: Mapping[int, str]) -> None:
        super().__init__(path, path.parent, None, strict=False)
        self.predictions: list[Prediction] = []
        self._names = photos

    def text(self) -> str:
        """The whole file; COCO's results as annotations, with the photos that are known."""
        text = super().text()
        return self._as_annotations(text) if text.lstrip().startswith(_RESULTS) else text

    def check_count(self, points: int) -> None:
        """See nothing: once all is read, the rows are compared with each other."""

    def add(
        self, name: str, box: Box | None, points: Sequence[tuple[float, float]], *_: Any, **__: Any
    ) -> None:
        """Keep a face of the photo ``name``."""
        if not name:
            raise ValueError("names no photo")
        self.predictions.append(Prediction(name, box, np.array(points), self._row))

    def _as_annotations(self, text: str) -> str:
        try:
            results = json.loads(text)
        except (ValueError, RecursionError):
            return text  # which its reader says
        if not all(isinstance(each, dict) for each in results):
            raise DataError(f"{self.path}: is no list of COCO's results")
        names = {key: key if isinstance(key, str) else self._names.get(key) for key in map(_id, results)}
        if names and not any(names.values()):
            raise DataError(
                f"{self.path}: names its photos by numbers alone; score it against the COCO list that they "
                "are of: data.test=<list>"
            )
        return json.dumps(
            {
                "images": [{"id": key, "file_name": name} for key, name in names.items() if name],
                "annotations": [{**each, "keypoints": _labelled(each.get("keypoints"))} for each in results],
            }
        )


def _id(result: Mapping[str, Any]) -> str | int:
    key = result.get("image_id")
    return key if isinstance(key, str | int) else ""


def _labelled(keypoints: Any) -> Any:
    """Return x, y, v of each point with v = 2: in results v is a score, or 0, and each point is meant."""
    if not isinstance(keypoints, list) or len(keypoints) % 3:
        return keypoints
    return [2 if place % 3 == 2 else value for place, value in enumerate(keypoints)]
