"""Prediction by one library, photo by photo, in a process of its own that is asked in lines of JSON.

A peer's interpreter runs this file as a script, so that its library need not fit together with ours:
``<python> peer_prediction.py <library> <folder> <threads> [<model>]``. The file imports only numpy at once.
The folder has photos as ``000.npy``, (H, W, 3) bytes, and their boxes in ``boxes.json``. Each line that is
read names a way, and is answered by the times of all photos.
"""

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

BOX, PHOTO, SMALL, NETWORK = "box", "photo", "photo, not doubled", "network"
"""Ways: points in a given box; detection and points; the same without dlib's doubling; the network alone."""

Way = Callable[[Any, Sequence[float]], Callable[[], bool]]
"""Way of a library: given pixels and a box (left, top, width, height), it returns the function to time, which
returns whether points were found."""


def dlib_ways(model: str) -> Mapping[str, Way]:  # noqa: ARG001
    """Return the ways of dlib's frontal detector and its predictor of 68 points.

    Args:
        model: not used; the weights are in the package ``face_recognition_models``.
    """
    import dlib

    found = importlib.util.find_spec("face_recognition_models")
    if found is None or not found.submodule_search_locations:
        raise ImportError("face_recognition_models is not installed")
    weights = Path(found.submodule_search_locations[0]) / "models" / "shape_predictor_68_face_landmarks.dat"
    detector, predictor = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(weights))

    def points(pixels: Any, rectangle: Any) -> bool:
        return bool(np.array([(point.x, point.y) for point in predictor(pixels, rectangle).parts()]).size)

    def box(pixels: Any, given: Sequence[float]) -> Callable[[], bool]:
        left, top, width, height = (round(value) for value in given)
        return lambda: points(pixels, dlib.rectangle(left, top, left + width - 1, top + height - 1))

    def photo(doubled: int) -> Way:
        def all_points(pixels: Any) -> bool:
            return bool([points(pixels, face) for face in detector(pixels, doubled)])

        return lambda pixels, _: lambda: all_points(pixels)

    return {BOX: box, PHOTO: photo(1), SMALL: photo(0)}


def mediapipe_ways(model: str) -> Mapping[str, Way]:  # noqa: ARG001
    """Return the ways of mediapipe's face mesh of 468 points.

    The mesh takes no box. As in a film, it takes the place of the face from the picture before, which is the
    same photo here; that first call is not timed.

    Args:
        model: not used; the weights are in the package.
    """
    import mediapipe

    mesh = mediapipe.solutions.face_mesh.FaceMesh
    still, film = mesh(static_image_mode=True, max_num_faces=1), mesh(max_num_faces=1)

    def box(pixels: Any, _: Sequence[float]) -> Callable[[], bool]:
        film.reset()
        if not film.process(pixels).multi_face_landmarks:
            return lambda: False
        return lambda: bool(film.process(pixels).multi_face_landmarks)

    return {BOX: box, PHOTO: lambda pixels, _: lambda: bool(still.process(pixels).multi_face_landmarks)}


def own_ways(model: str) -> Mapping[str, Way]:
    """Return the ways of an ONNX file by :class:`keypoints.Predictor`.

    Args:
        model: the file.
    """
    from keypoints.crop import as_input
    from keypoints.geometry import Box
    from keypoints.inference.onnx_model import ExportedModel
    from keypoints.inference.predictor import Predictor

    predictor, exported = Predictor(model), ExportedModel(Path(model))

    def network(pixels: Any, box: Sequence[float]) -> Callable[[], bool]:
        images = as_input([face.crop for face in predictor.prepare(pixels, [Box(*box)])])
        return lambda: bool(exported(images).points.size)

    return {
        BOX: lambda pixels, box: lambda: bool(predictor(pixels, [Box(*box)])),
        PHOTO: lambda pixels, _: lambda: bool(predictor(pixels)),
        NETWORK: network,
    }


LIBRARIES: Mapping[str, Callable[[str], Mapping[str, Way]]] = {
    "keypoints": own_ways,
    "dlib": dlib_ways,
    "mediapipe": mediapipe_ways,
}
"""Functions that return the ways of a library, by its name."""


def timed(way: Way, photos: Iterable[tuple[Any, Sequence[float]]]) -> dict[str, list[float]]:
    """Return milliseconds of each photo in which a face was found: ``wall`` and ``processor``.

    Args:
        way: the way.
        photos: pixels and box of each photo.
    """
    times: dict[str, list[float]] = {"wall": [], "processor": []}
    for pixels, box in photos:
        predict = way(pixels, box)
        began, used = time.perf_counter(), time.process_time()
        found = predict()
        used, began = time.process_time() - used, time.perf_counter() - began
        if found:
            times["wall"].append(1000 * began)
            times["processor"].append(1000 * used)
    return times


def serve(
    ways: Mapping[str, Way],
    photos: Sequence[tuple[Any, Sequence[float]]],
    requests: Iterable[str],
    answers: TextIO,
) -> None:
    """Answer the names of the ways; then answer each requested way with its times.

    Args:
        ways: the ways of a library, by name.
        photos: pixels and box of each photo.
        requests: lines with names of ways.
        answers: stream for a line of JSON for each.
    """
    for way in ways.values():
        timed(way, photos[:1])  # the first call of a network takes longer
    print(json.dumps({"ways": list(ways)}), file=answers, flush=True)
    for line in requests:
        print(json.dumps(timed(ways[line.strip()], photos)), file=answers, flush=True)


def read_photos(folder: Path) -> list[tuple[Any, Sequence[float]]]:
    """Return the pixels and the box of each photo of a folder.

    Args:
        folder: the folder.
    """
    boxes = json.loads((folder / "boxes.json").read_text(encoding="utf-8"))
    return [(np.load(folder / f"{number:03}.npy"), box) for number, box in enumerate(boxes)]


def keep_to_cores(count: int) -> None:
    """Let this process use only some of its cores, where the system allows it.

    Libraries without a setting for their threads are so limited too.

    Args:
        count: number of cores.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def main(words: Sequence[str] | None = None) -> int:
    """Answer requests on the standard input until it ends; return the exit status.

    Args:
        words: words of the command line; ``None`` for those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=tuple(LIBRARIES))
    parser.add_argument("folder", type=Path, help="folder of the photos")
    parser.add_argument("threads", type=int, help="number of cores; OMP_NUM_THREADS is to be the same")
    parser.add_argument("model", nargs="?", default="", help="our ONNX file")
    given = parser.parse_args(words)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints does not get among the answers
    keep_to_cores(given.threads)
    try:
        ways = LIBRARIES[given.library](given.model)
    except (ImportError, AttributeError) as error:
        print(json.dumps({"missing": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        return 1
    serve(ways, read_photos(given.folder), sys.stdin, answers)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
