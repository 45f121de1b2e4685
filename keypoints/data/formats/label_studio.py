"""Label Studio's export in JSON: a list of tasks, whose results are key points and rectangles.

The key points of a face have the same ``parentID``, the id of the rectangle that is the face's box. Key
points without a parent are one face, whose box is the only rectangle, if there is one. A missing key point is
not labelled; with the note (``meta``) "hidden" or "occluded" it is labelled and hidden. The points have the
order of the scheme that is set, else of the package's scheme with the same names, else of their numbers or
names. Cancelled annotations are left out; of several, the ground truth is read, or else the last one.

Label Studio writes percents of the photo's width and height, from its outer edge: x = 100 · px / width is 0
on the left side of the first pixel and 100 on the right side of the last. Here the first pixel has its centre
at 0, so a point is x · width / 100 − 0.5. Boxes are measured from the outer edge here too.

Photos are found by the end of their paths, without the prefix that uploading adds (``0a1b2c3d-photo.jpg``).
Lists are untrusted input. The layout is that of https://labelstud.io/guide/task_format and
https://labelstud.io/tags/keypointlabels.
"""

import json
import logging
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from keypoints.data.face import HIDDEN, UNLABELLED, VISIBLE
from keypoints.data.formats.lists import ListedBox, OpenList
from keypoints.data.formats.values import box, coordinate, number, quoted
from keypoints.errors import DataError, one_line, shortened
from keypoints.formatting import counted
from keypoints.geometry import Box
from keypoints.schemes import scheme_of_category

log = logging.getLogger(__name__)

_BEGINNING = re.compile(r"\s*\[\s*\{")
_UPLOADED = re.compile(r"[0-9a-f]{6,32}-(?=.)")
"""Prefix of the names of uploaded files."""
_HIDDEN = re.compile(r"\b(hidden|occluded)\b", re.IGNORECASE)
_POINT, _RECTANGLE = "keypointlabels", "rectanglelabels"
"""Types of results."""


def recognises(beginning: str) -> bool:
    """Return whether a file begins like a list of tasks; :func:`read` checks the rest."""
    return _BEGINNING.match(beginning) is not None and '"annotations"' in beginning


class _Task(NamedTuple):
    """Task with the results of one annotation."""

    where: str
    """Task, for messages."""
    image: str
    """Address of the photo."""
    results: list[dict[str, Any]]


class _Shape(NamedTuple):
    """Key points of a face by name, as (x, y, state), and its box."""

    points: dict[str, tuple[float, float, int]]
    box: Box | None


def read(reading: OpenList) -> None:
    """Add the faces of the list to ``reading``, and the names of their points.

    Raises:
        DataError: if the list is not in the format, or a result cannot be used.
    """
    tasks = _tasks(reading)
    results = [result for task in tasks for result in task.results]
    found = {_label(each, _POINT) for each in results if each.get("type") == _POINT} - {""}
    names = reading.order_names(found)
    scheme = scheme_of_category({"name": "face", "keypoints": names}, reading.path) if names else None
    if scheme is not None and not all(name.isdigit() for name in names):
        reading.describe(scheme)
    photos: dict[str, str] = {}
    for task in tasks:
        shapes: list[_Shape] = []
        with reading.row(task.where):
            name, size = _photo(reading, task, photos), _size(task)
            shapes = _shapes(task)
        for place, shape in enumerate(shapes, start=1):
            with reading.row(f"{task.where}: face {place}" if len(shapes) > 1 else task.where):
                own = [shape.points.get(each, (math.nan, math.nan, UNLABELLED)) for each in names]
                points, states = [(x, y) for x, y, _ in own], [state for _, _, state in own]
                reading.add(name, shape.box, points, size=size, states=states)


def read_boxes(reading: OpenList) -> Iterator[ListedBox]:
    """Yield the rectangles of each task, or the photo alone if it has none.

    Raises:
        DataError: if the list is not in the format, or a rectangle cannot be used.
    """
    photos: dict[str, str] = {}
    for task in _tasks(reading, annotated=False):
        with reading.row(task.where):
            name, size = _photo(reading, task, photos, missing_ok=True), _size(task)
            boxes: list[Box | None] = [_box(each) for each in task.results if each.get("type") == _RECTANGLE]
            for each in boxes or [None]:
                yield ListedBox(name, each, size)


def _tasks(reading: OpenList, *, annotated: bool = True) -> list[_Task]:
    """Return the tasks of the list; with ``annotated`` only those with key points."""
    try:
        whole = json.loads(reading.text())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{reading.path}: is no JSON ({one_line(error)})") from error
    if not (isinstance(whole, list) and all(isinstance(each, dict) for each in whole)):
        raise DataError(f"{reading.path}: is no list of Label Studio's tasks; export it as JSON")
    tasks = [_task(reading, each, place) for place, each in enumerate(whole)]
    if not annotated:
        return tasks
    found = [task for task in tasks if any(each.get("type") == _POINT for each in task.results)]
    if empty := len(tasks) - len(found):
        log.info("%s: %s without key points", reading.path, counted(f"{empty} of {len(tasks)}", "task"))
    return found


def _task(reading: OpenList, task: Mapping[str, Any], place: int) -> _Task:
    where = f"task {shortened(str(task.get('id', f'in place {place}')), 60)}"
    data = task.get("data")
    texts = [each for each in data.values() if isinstance(each, str)] if isinstance(data, dict) else []
    image = data.get("image") if isinstance(data, dict) else None
    if not isinstance(image, str):
        image = texts[0] if len(texts) == 1 else ""
    given = task.get("annotations")
    valid = [
        each
        for each in (given if isinstance(given, list) else [])
        if isinstance(each, dict) and each.get("was_cancelled") is not True
    ]
    chosen = [each for each in valid if each.get("ground_truth") is True][:1] or valid[-1:]
    if len(valid) > 1:
        log.info("%s: %s has %s; one is read", reading.path, where, counted(len(valid), "annotation"))
    results = [each.get("result") for each in chosen]
    listed = results[0] if results and isinstance(results[0], list) else []
    return _Task(where, image, [each for each in listed if isinstance(each, dict)])


def _photo(reading: OpenList, task: _Task, photos: dict[str, str], *, missing_ok: bool = False) -> str:
    """Return the path of a task's photo relative to the root.

    Args:
        reading: the list.
        task: the task.
        photos: addresses of the photos of earlier tasks by their paths; the task's is added.
        missing_ok: whether the photo may be missing.

    Raises:
        ValueError: if the photo is missing, or is also that of another address.
    """
    if not task.image:
        raise ValueError("names no photo: data.image is its path or address")
    names = _names(task.image)
    for name in names:
        try:
            found = reading.find(name)
        except ValueError:
            continue
        if photos.setdefault(found, task.image) != task.image:
            raise ValueError(
                f"{quoted(task.image)} and {quoted(photos[found])} both end like the photo {found}; keep the "
                "photos in the folders of Label Studio's paths"
            )
        return found
    return reading.find(PurePosixPath(names[-1]).name, missing_ok=missing_ok)


def _names(image: str) -> list[str]:
    """Return possible names of a photo, the longest first: the ends of its path, and without a prefix.

    >>> _names("/data/upload/1/0a1b2c3d-photo.jpg")[-3:]
    ['0a1b2c3d-photo.jpg', 'images/0a1b2c3d-photo.jpg', 'photo.jpg']
    >>> _names("/data/local-files/?d=faces/photo.jpg")
    ['faces/photo.jpg', 'photo.jpg', 'images/photo.jpg']
    """
    address = urlsplit(image)
    local = parse_qs(address.query).get("d") if "local-files" in address.path else None
    path = local[0] if local else unquote(address.path) or image
    parts = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in ("/", "..")]
    ends = ["/".join(parts[start:]) for start in range(len(parts))]
    last = parts[-1] if parts else image
    bare = _UPLOADED.sub("", last, count=1) if "upload" in parts[:-1] else last
    return list(dict.fromkeys([*ends, f"images/{last}", last, bare]))


def _size(task: _Task) -> tuple[int, int] | None:
    """Return the photo's width and height as a result states them."""
    for each in task.results:
        if "original_width" in each and "original_height" in each:
            width, height = _original(each)
            return int(width), int(height)
    return None


def _original(result: Mapping[str, Any]) -> tuple[float, float]:
    """Return width and height of the photo that a result's percents refer to."""
    if number(result.get("image_rotation") or 0) != 0:
        raise ValueError("its photo was rotated in Label Studio; rotate the file itself, and label it again")
    return number(result.get("original_width")), number(result.get("original_height"))


def _value(result: Mapping[str, Any]) -> Mapping[str, Any]:
    value = result.get("value")
    if not isinstance(value, dict):
        raise ValueError("a result has no value")  # noqa: TRY004  the row is wrong, no type
    return value


def _label(result: Mapping[str, Any], kind: str) -> str:
    """Return the label of a result, empty if it has none."""
    value = result.get("value")
    labels = value.get(kind) if isinstance(value, dict) else None
    return labels[0] if isinstance(labels, list) and labels and isinstance(labels[0], str) else ""


def _shapes(task: _Task) -> list[_Shape]:
    """Return the faces of a task.

    Raises:
        ValueError: if a result cannot be used, or the points do not tell which face they belong to.
    """
    boxes = {
        str(each.get("id", place)): _box(each)
        for place, each in enumerate(task.results)
        if each.get("type") == _RECTANGLE
    }
    regions = {str(each.get("id")) for each in task.results}
    faces: dict[str, dict[str, tuple[float, float, int]]] = defaultdict(dict)
    for each in task.results:
        if each.get("type") != _POINT:
            continue
        name = _label(each, _POINT)
        if not name:
            raise ValueError("a key point has no label")
        parent = str(each.get("parentID") or "")
        if parent and parent not in regions:
            raise ValueError(
                f"the point {quoted(name)} belongs to the region {quoted(parent)}, which is missing; move it "
                "into its rectangle in the list of regions"
            )
        own = faces[parent]
        if name in own:
            raise ValueError(
                f"has the point {quoted(name)} twice; draw a rectangle for each face, and move its points "
                "into it in the list of regions"
            )
        try:
            own[name] = _point(each)
        except ValueError as error:
            raise ValueError(f"the point {quoted(name)}: {error}") from error
    if "" in faces and (len(faces) > 1 or len(boxes) > 1):
        raise ValueError(
            f"the point {quoted(next(iter(faces['']), ''))} belongs to no rectangle, and there are several "
            "faces; move it into its rectangle in the list of regions"
        )
    alone = next(iter(boxes.values()), None)
    return [_Shape(points, boxes.get(parent) if parent else alone) for parent, points in faces.items()]


def _point(result: Mapping[str, Any]) -> tuple[float, float, int]:
    """Return x, y and state of a key point, with pixel (0, 0) centred at (0, 0)."""
    value, (width, height) = _value(result), _original(result)
    x, y = (
        coordinate(number(value.get(axis)) * side / 100 - 0.5)
        for axis, side in zip("xy", (width, height), strict=True)
    )
    return x, y, HIDDEN if _is_hidden(result.get("meta")) else VISIBLE


def _is_hidden(meta: object) -> bool:
    """Return whether the note of a result says that the point is hidden."""
    text = meta.get("text") if isinstance(meta, dict) else None
    notes: Sequence[object] = text if isinstance(text, list) else [text]
    return any(isinstance(note, str) and _HIDDEN.search(note) for note in notes)


def _box(result: Mapping[str, Any]) -> Box:
    """Return the box of a rectangle, from the outer edge of the first pixel."""
    value, (width, height) = _value(result), _original(result)
    if number(value.get("rotation") or 0) != 0:
        raise ValueError("has a rotated rectangle; draw it upright")
    left, top, across, down = (number(value.get(key)) / 100 for key in ("x", "y", "width", "height"))
    return box(left * width, top * height, across * width, down * height)
