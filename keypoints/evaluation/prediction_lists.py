"""Tables of predictions, from any program, in any format of labelled photos and in COCO's results.

The photos need not be available: :mod:`keypoints.evaluation.matching` identifies them by their names.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keypoints.data.formats.dlib_xml import read_entries
from keypoints.data.formats.lists import OpenList, beginning
from keypoints.data.formats.values import number
from keypoints.data.readers.labelled import FORMATS, detect_format
from keypoints.errors import DataError, shortened
from keypoints.formatting import counted
from keypoints.geometry import Box, FloatArray

_RESULTS = "["
"""First character of COCO's results, which are a JSON list; COCO's annotations are an object."""
_MOST_SHOWN = 60
"""Largest number of characters of an id in a message."""


class Prediction(NamedTuple):
    """Predicted face of a table. Coordinates are in pixels of the upright photo."""

    photo: str
    """Name of the photo, as in the table."""
    box: Box | None
    points: FloatArray
    """(K, 2) predicted points."""
    source: str
    """Table and row, for messages."""
    score: float | None = None
    """Score of the prediction, higher for more confidence; ``None`` if the table has none."""


class PredictionList(NamedTuple):
    """Contents of a table of predictions."""

    predictions: list[Prediction]
    """Predicted faces, all with the same number of points."""
    unusable: list[str]
    """Reasons why other rows are no predicted faces, such as a photo without a detected face."""


def read_predictions(path: Path, photos: Mapping[int | str, str] | None = None) -> PredictionList:
    """Return the faces of a table of predictions, whose format is detected from its contents.

    Args:
        path: ``predictions.csv`` of ``keypoints predict``, a list in one of the formats of
            :mod:`keypoints.data.readers.labelled`, or COCO's results.
        photos: names of photos by their ids, for COCO's results, which have only ids; ``None`` if no list has
            the names.

    Raises:
        DataError: if the table cannot be read, its format is unknown, or it holds no face.
    """
    begins = beginning(path).lstrip()
    reading = _Reading(path, photos)
    if begins.startswith(_RESULTS):
        FORMATS["coco"].read(reading)  # type: ignore[misc]  # this format has a reader
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
        f"{each.source}: has {counted(len(each.points), 'point')}, but most rows have {most}"
        for each in reading.predictions
        if len(each.points) != most
    ]
    return PredictionList(kept, [*reading.skipped, *others])


def photos_by_id(path: Path) -> dict[int | str, str] | None:
    """Return the names of photos by their ids in COCO's annotations; ``None`` for a list in another format.

    Args:
        path: the list.

    Raises:
        DataError: if the list cannot be read.
    """
    if not beginning(path).lstrip().startswith("{"):
        return None
    try:
        images = json.loads(OpenList(path, path.parent, None, strict=False).text()).get("images")
    except (ValueError, RecursionError):  # the list's reader reports the error
        return {}
    listed = images if isinstance(images, list) else []
    return {
        key: image["file_name"]
        for image in listed
        if isinstance(image, dict)
        and (key := _id(image.get("id"))) is not None
        and isinstance(image.get("file_name"), str)
    }


def _read(reading: "_Reading") -> None:
    name = detect_format(reading.path)
    chosen = FORMATS[name]
    if name == "dlib":
        _read_dlib(reading)  # the format's own reader needs the photos
    elif chosen.read is None:
        raise DataError(f"{reading.path}: is {chosen.what}, which can only be written")
    else:
        chosen.read(reading)


def _read_dlib(reading: "_Reading") -> None:
    for place, entry in enumerate(read_entries(reading.path, None, reading.root, missing_ok=True), start=1):
        if isinstance(entry, DataError):
            reading.skipped.append(str(entry))
            continue
        with reading.row(f"face {place} ({entry.file})"):
            if entry.points is None:
                raise ValueError("has no points")
            reading.add(entry.file, entry.box, [(x, y) for x, y in entry.points.tolist()])


class _Reading(OpenList):
    """Table that is being read; its rows are kept without looking for the photos that they name."""

    def __init__(self, path: Path, photos: Mapping[int | str, str] | None) -> None:
        super().__init__(path, path.parent, None, strict=False)
        self.predictions: list[Prediction] = []
        self._names = photos

    def text(self) -> str:
        """Return the full text of the file, with COCO's results as annotations of the known photos.

        Scores are moved to the tags, from which :meth:`add` reads them.
        """
        text = super().text()
        begins = text.lstrip()[:1]
        if begins != _RESULTS and not (begins == "{" and '"score"' in text):
            return text
        try:
            contents = json.loads(text)
        except (ValueError, RecursionError):
            return text  # the format's reader reports the error
        if isinstance(contents, list):
            return json.dumps(self._as_annotations(contents))
        if isinstance(contents.get("annotations"), list):
            contents["annotations"] = [_with_score_tag(each) for each in contents["annotations"]]
        return json.dumps(contents)

    def check_count(self, points: int) -> None:
        """Accept any number; :func:`read_predictions` compares the rows once all are read."""

    def add(
        self,
        name: str,
        box: Box | None,
        points: Sequence[tuple[float, float]],
        group: str = "",  # noqa: ARG002 - a prediction has no group
        tags: Mapping[str, str] | None = None,
        *_: Any,
        **__: Any,
    ) -> None:
        """Add a predicted face of the photo ``name``."""
        if not name:
            raise ValueError("names no photo")
        if missing := int(np.isnan(np.array(points)).any(axis=1).sum()):
            raise ValueError(f"lacks {missing} of its {counted(len(points), 'point')}")
        self.predictions.append(
            Prediction(name, box, np.array(points), self._row, _score((tags or {}).get("score")))
        )

    def _as_annotations(self, results: Sequence[Any]) -> dict[str, Any]:
        if not all(isinstance(each, dict) for each in results):
            raise DataError(f"{self.path}: is no list of COCO's results")
        known = self._names or {}
        keys = list(dict.fromkeys(_id(each.get("image_id")) for each in results))
        names = {key: known.get(key, key if isinstance(key, str) else "") for key in keys if key is not None}
        if results and not any(names.values()):
            raise DataError(f"{self.path}: {self._why_nameless(keys)}")
        return {
            "images": [{"id": key, "file_name": name} for key, name in names.items() if name],
            "annotations": [
                {
                    **_with_score_tag(each),
                    "image_id": _id(each.get("image_id")),
                    "keypoints": _mark_labelled(each.get("keypoints")),
                }
                for each in results
            ],
        }

    def _why_nameless(self, keys: Sequence[int | str | None]) -> str:
        """Return the reason why these ids match no photo."""
        if keys == [None]:
            return "has no image_id that is a whole number or a text"
        if self._names is None:
            return (
                "names its photos only by numbers; evaluate it on the COCO list that has these ids: "
                "data.test=<list>"
            )
        ours, theirs = (
            shortened(str(next((key for key in some if key is not None), "none")), _MOST_SHOWN)
            for some in (keys, self._names)
        )
        return f"none of its image ids, such as {ours}, is one of the COCO list's, such as {theirs}"


def _id(value: object) -> int | str | None:
    """Return an id as in the COCO list: programs that store tables as floats write 1.0 for 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, str | int) else None


def _with_score_tag(annotation: Any) -> Any:
    """Return an annotation with its score as a tag."""
    if not isinstance(annotation, dict) or "score" not in annotation:
        return annotation
    tags = annotation.get("tags")
    return {**annotation, "tags": {**(tags if isinstance(tags, dict) else {}), "score": annotation["score"]}}


def _score(value: str | None) -> float | None:
    """Return a score as a number; ``None`` if it is none, such as a tag of that name in another list."""
    try:
        return number(value)
    except ValueError:
        return None


def _mark_labelled(keypoints: Any) -> Any:
    """Return x, y, v of each point with v = 2: in results, v is a score, or 0 for a predicted point."""
    if not isinstance(keypoints, list) or len(keypoints) % 3:
        return keypoints
    return [2 if place % 3 == 2 else value for place, value in enumerate(keypoints)]
