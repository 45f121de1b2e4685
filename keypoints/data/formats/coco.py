"""COCO's keypoints in JSON, with MMPose's ``center`` and ``scale``: one annotation per face.

Points are pixels, and pixel (0, 0) has its centre at (0, 0). ``bbox`` is [left, top, width, height]
from the outer edge of the first pixel, the same convention as :class:`Box`. Without a ``bbox``, the box is
computed from ``center`` and ``scale``, as in HRNet's list. A point with v = 0 is not labelled, with v = 1 it
is labelled and hidden, with v = 2 labelled and visible. A ``bbox`` that is empty or
0 × 0 means no box: label tools write it if nobody drew one. ``group`` and ``tags`` of an annotation are an
extension of this project, which other programs ignore.
"""

import json
import logging
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keypoints.data.face import HIDDEN, UNLABELLED, VISIBLE, Face
from keypoints.data.formats.lists import ListedBox, OpenList, box_round, centre_of, scale_of
from keypoints.data.formats.values import coordinate, given_box, number, quoted
from keypoints.data.photo_facts import named_group
from keypoints.data.photos import Photo
from keypoints.errors import DataError, one_line, shortened
from keypoints.formatting import counted, pluralised
from keypoints.geometry import Box
from keypoints.landmarks import LandmarkScheme
from keypoints.schemes import point_names, scheme_of_category
from keypoints.schemes.coco_category import category_name

log = logging.getLogger(__name__)

_CATEGORY = 1
_WHOLE = re.compile("0|[1-9][0-9]{0,17}")
_FACES = ("face", "head", "person")
"""Categories of boxes to predict; a list may contain others."""


def recognises(beginning: str) -> bool:
    """Return whether a file begins like a JSON object; :func:`read` checks the rest."""
    return beginning.lstrip().startswith("{")


class _Image(NamedTuple):
    """Photo in the list."""

    name: str | None
    size: tuple[int, int] | None


def read(reading: OpenList) -> None:
    """Add the faces of the list to ``reading``, and the scheme that their category describes.

    Raises:
        DataError: if the list is not in the format, or an annotation or the category cannot be used.
    """
    images, annotations, categories = _parts(reading)
    kinds = Counter(kind for _, each in annotations if (kind := _key(each.get("category_id"))) in categories)
    most = kinds.most_common(1)[0][0] if kinds else None
    scheme = None if most is None else scheme_of_category(categories[most], reading.path)
    if scheme is not None:
        reading.describe(scheme)
    for place, annotation in annotations:
        with reading.row(_where(annotation, place)):
            _check_category(annotation, categories, kinds)
            name, size = _image_of(annotation, images)
            points, states = _points(annotation)
            if scheme is not None and len(points) != len(scheme):
                raise ValueError(
                    f"has {counted(len(points), 'point')}, and the category "
                    f"{category_name(categories[most])} names "
                    f"{len(scheme)}"
                )
            group = annotation.get("group", "")
            tags = annotation.get("tags")
            kept = tags if isinstance(tags, dict) else {}
            reading.add(
                name,
                _box(annotation),
                points,
                str(group) if isinstance(group, str | int) else "",
                {str(tag): str(value) for tag, value in kept.items() if value != ""},
                size,
                states,
            )


def _check_category(
    annotation: Mapping[str, Any], categories: Mapping[object, Mapping[str, Any]], kinds: Counter[object]
) -> None:
    """Check that an annotation is of the category that most have, if it names a known one."""
    kind = _key(annotation.get("category_id"))
    if kind not in categories:
        return
    ((most, count),) = kinds.most_common(1)
    if kind != most:
        raise ValueError(
            f"is of the category {category_name(categories[kind])}, and {count} of {kinds.total()} are of "
            f"{category_name(categories[most])}; all faces of a list must have the same category"
        )


def read_boxes(reading: OpenList) -> Iterator[ListedBox]:
    """Yield the boxes of the annotations, and then the photos without annotations.

    Raises:
        DataError: if the list is not in the format, or a box cannot be used.
    """
    images, annotations, categories = _parts(reading)
    faces = {key for key, each in categories.items() if str(each.get("name")).lower() in _FACES}
    boxed = set()
    for place, annotation in annotations:
        if faces and _key(annotation.get("category_id")) not in faces:
            continue
        with reading.row(_where(annotation, place)):
            name, size = _image_of(annotation, images)
            boxed.add(name)
            yield reading.listed(name, _box(annotation), size)
    for key, image in images.items():
        if image.name is not None and image.name not in boxed:
            with reading.row(f"image {shortened(str(key), 60)}"):
                yield reading.listed(image.name, None, image.size)


def _parts(
    reading: OpenList,
) -> tuple[dict[object, _Image], list[tuple[int, dict[str, Any]]], dict[object, dict[str, Any]]]:
    """Return photos by id, annotations of faces with their positions, and categories by id.

    Annotations of crowds are left out, as are categories without keypoints if other categories have some.
    """
    try:
        whole = json.loads(reading.text())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{reading.path}: is no JSON ({one_line(error)})") from error
    records = _records(reading, whole, "images")
    annotations = _records(reading, whole, "annotations")
    images: dict[object, _Image] = {}
    for image in records:
        key = _key(image.get("id"))
        if key in images:
            raise DataError(f"{reading.path}: two images have the id {quoted(key)}")
        name = image.get("file_name")
        images[key] = _Image(name if isinstance(name, str) else None, _size(image))
    given = whole.get("categories")
    listed = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    posed = {_key(each.get("id")) for each in listed if each.get("keypoints")}
    others = {_key(each.get("id")) for each in listed} - posed if posed else set()
    faces = [
        (place, each)
        for place, each in enumerate(annotations)
        if each.get("iscrowd") != 1 and _key(each.get("category_id")) not in others
    ]
    if left_out := len(annotations) - len(faces):
        what = f"{counted(left_out, 'annotation')} {pluralised(left_out, 'is', 'are')}"
        log.info("%s: %s of crowds or of other categories", reading.path, what)
    return images, faces, {key: each for each in listed if (key := _key(each.get("id"))) not in others}


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return width and height if both are integers, in any notation, else ``None``."""
    try:
        width, height = number(image.get("width")), number(image.get("height"))
    except ValueError:
        return None
    return (int(width), int(height)) if width.is_integer() and height.is_integer() else None


def _where(annotation: Mapping[str, Any], place: int) -> str:
    return f"annotation {shortened(str(annotation.get('id', f'in place {place}')), 60)}"


def _image_of(
    annotation: Mapping[str, Any], images: Mapping[object, _Image]
) -> tuple[str, tuple[int, int] | None]:
    key = _key(annotation.get("image_id"))
    image = images.get(key)
    if image is None or image.name is None:
        raise ValueError(f"there is no image with the id {quoted(key)} and a file_name")
    return image.name, image.size


def _records(reading: OpenList, whole: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    records = whole.get(key)
    if not (isinstance(records, list) and all(isinstance(record, dict) for record in records)):
        raise DataError(f"{reading.path}: has no list of {key}; COCO's keypoints have images and annotations")
    return records


def _key(value: object) -> object:
    """Return an id in normal form (1.0 and "1" become 1); ``None`` for a value of another type."""
    if (isinstance(value, float) and value.is_integer()) or (
        isinstance(value, str) and _WHOLE.fullmatch(value)
    ):
        return int(value)
    return value if isinstance(value, str | int) else None


def _points(annotation: Mapping[str, Any]) -> tuple[list[tuple[float, float]], list[int]]:
    """Return the points of an annotation, NaN for those that are not labelled, and their states v."""
    given = annotation.get("keypoints")
    if not isinstance(given, list) or not given or len(given) % 3:
        raise ValueError("keypoints is no list of x, y, v for each point")
    points, states = [], []
    for place, start in enumerate(range(0, len(given), 3)):
        x, y, v = given[start : start + 3]
        state = number(v)
        if state not in (UNLABELLED, HIDDEN, VISIBLE):
            raise ValueError(
                f"point {place} has v = {state:g}; v is 0 (not labelled), 1 (hidden) or 2 (visible)"
            )
        states.append(int(state))
        points.append((math.nan, math.nan) if state == UNLABELLED else _point(x, y, place))
    return points, states


def _point(x: object, y: object, place: int) -> tuple[float, float]:
    try:
        return coordinate(x), coordinate(y)
    except ValueError as error:
        raise ValueError(f"{error}: point {place} needs x and y, or v = 0") from error


def _box(annotation: Mapping[str, Any]) -> Box | None:
    if annotation.get("bbox"):
        left, top, width, height = _numbers(annotation, "bbox", 4)
        return given_box(left, top, width, height)
    if annotation.get("center") is None or annotation.get("scale") is None:
        return None
    x, y = _numbers(annotation, "center", 2)
    if isinstance(annotation["scale"], list):
        across, down = _numbers(annotation, "scale", 2)
    else:
        across = down = number(annotation["scale"])
    return box_round((x, y), (across, down))


def _numbers(annotation: Mapping[str, Any], key: str, count: int) -> list[float]:
    values = annotation[key]
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"{key} is a list of {count} numbers, not {quoted(values)}")
    return [number(value) for value in values]


def write(faces: Sequence[Face], names: Sequence[str], scheme: LandmarkScheme | None) -> str:
    """Return the list's text, with one record per line; ``names`` are the photos' names in the list.

    A face with a box has ``bbox`` and MMPose's ``center`` and ``scale``; a face without a box has none of
    the three.

    Raises:
        DataError: if a photo's size cannot be read.
    """
    photos = {name: face.photo.path for face, name in zip(faces, names, strict=True)}
    ids = {name: number for number, name in enumerate(photos, start=1)}
    images = []
    for name, path in photos.items():
        width, height = Photo(path).size  # face.photo would keep the file's bytes
        images.append({"id": ids[name], "file_name": name, "width": width, "height": height})
    annotations = [
        {"id": number, "image_id": ids[name], "category_id": _CATEGORY, **_annotation(face)}
        for number, (face, name) in enumerate(zip(faces, names, strict=True), start=1)
    ]
    categories = [_category(len(faces[0].landmarks()), scheme)]
    lists = {"images": images, "annotations": annotations, "categories": categories}
    return "{\n" + ",\n".join(f'"{key}": {_format(records)}' for key, records in lists.items()) + "\n}\n"


def _format(records: Sequence[Mapping[str, Any]]) -> str:
    return "[\n" + ",\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\n]"


def _annotation(face: Face) -> dict[str, Any]:
    """Return the fields of an annotation that describe the face."""
    points = np.nan_to_num(face.landmarks())
    box = {} if face.box is None else _format_box(face.box)
    rows = zip(points.tolist(), face.visibility().tolist(), strict=True)
    return {
        **box,
        "keypoints": [value for (x, y), state in rows for value in (x, y, state)],
        "num_keypoints": int(face.labelled().sum()),
        "iscrowd": 0,
        "group": named_group(face.group),
        "tags": dict(face.tags),
    }


def _format_box(box: Box) -> dict[str, Any]:
    return {
        "bbox": [float(side) for side in (box.left, box.top, box.width, box.height)],
        "area": float(box.width * box.height),
        "center": [float(middle) for middle in centre_of(box)],
        "scale": float(scale_of(box)),
    }


def _category(count: int, scheme: LandmarkScheme | None) -> dict[str, Any]:
    """Return COCO's description of the points, whose skeleton counts from 1."""
    names = tuple(map(str, range(count))) if scheme is None else point_names(scheme)
    lines = () if scheme is None else scheme.skeleton
    return {
        "id": _CATEGORY,
        "name": "face",
        "supercategory": "person",
        "keypoints": list(names),
        "skeleton": [[start + 1, end + 1] for start, end in lines],
    }
