"""Synthetic faces in the folder layouts of the real data sets, so that the same readers read them.

They serve experiments, demonstrations and tests: nothing has to be downloaded, and the pictures show no
real people.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from keypoints import geometry
from keypoints.data.dataset_folders import IBUG_FOLDER, IMM_FOLDER
from keypoints.data.formats.dlib_xml import Entry, format_dlib_xml
from keypoints.data.readers.imm import VIEWS, format_asf
from keypoints.errors import ConfigError, DataError
from keypoints.geometry import ByteArray, FloatArray
from keypoints.schemes import IBUG68
from keypoints.synthetic.portrait import SIZE, Head, Person, Pose, portrait
from keypoints.threads import threads_of_process
from keypoints.workers import serve

T = TypeVar("T")
Box = tuple[int, int, int, int]
"""Left, top, width, height, in pixels."""

_QUALITY = 92


def write_imm(root: Path, persons: int, seed: int) -> Iterator[Path]:
    """Write ``persons`` × 6 pictures and annotations in IMM's layout below ``root``, in parallel.

    The same seed gives the same bytes.

    Args:
        root: folder in which IMM's folder is made.
        persons: number of persons; each has the six views of IMM.
        seed: seed of the persons and their poses.

    Yields:
        The path of each picture once it is written.

    Raises:
        ConfigError: if ``persons`` is below 1.
    """
    if persons < 1:
        raise ConfigError(f"persons is 1 or more, not {persons}")
    folder = root / IMM_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    work = partial(_write_imm_face, folder, seed)
    yield from _in_parallel(
        work, [(person, view) for person in range(1, persons + 1) for view in map(int, VIEWS)]
    )


def write_ibug(root: Path, faces: int, seed: int) -> Iterator[Path]:
    """Write ``faces`` pictures in the layout of dlib's 300-W package below ``root``, in parallel.

    Two thirds are training faces (``helen/trainset``, ``lfpw/trainset``). The others are test faces, each
    with its mirrored copy, as in dlib's list. ``labels_ibug_300W_{train,test}.xml`` contain boxes and points,
    and the course's ``labels_ibug_300W_test_parsed.xml`` only the test boxes.

    Args:
        root: folder in which the 300-W folder is made.
        faces: number of faces, without mirrored copies.
        seed: seed of the persons and their poses.

    Yields:
        The path of each picture once it is written.

    Raises:
        ConfigError: if ``faces`` is below 6.
    """
    if faces < 6:
        raise ConfigError(f"faces is 6 or more, not {faces}")
    folder = root / IBUG_FOLDER
    training = faces * 2 // 3
    names = []
    for number in range(faces):
        part = "trainset" if number < training else "testset"
        names.append(f"{('helen', 'lfpw')[number % 2]}/{part}/face_{number:04}_1.jpg")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    yield from _in_parallel(partial(_write_ibug_face, folder, seed), list(enumerate(names)))
    described = [(name, *_wild_face(seed, number)[0:2]) for number, name in enumerate(names)]
    tests = described[training:]
    mirrors = [(_mirror_name(name), *_mirrored(box, points)) for name, box, points in tests]
    _write_xml(folder / "labels_ibug_300W_train.xml", described[:training])
    _write_xml(folder / "labels_ibug_300W_test.xml", tests + mirrors)
    _write_xml(
        folder / "labels_ibug_300W_test_parsed.xml", [(name, box, None) for name, box, _ in tests + mirrors]
    )


def _in_parallel(work: Callable[[T], Path], items: list[T]) -> Iterator[Path]:
    # Spawn: the fork of a process with threads may hang, and the workers import nothing slow.
    context = get_context("spawn")
    try:
        with ProcessPoolExecutor(
            threads_of_process(), context, initializer=serve, initargs=(os.getpid(),)
        ) as pool:
            yield from pool.map(work, items, chunksize=8)
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process that draws faces was killed, perhaps for lack of memory; run the command again"
        ) from error


def _write_imm_face(folder: Path, seed: int, item: tuple[int, int]) -> Path:
    number, view = item
    person = Person.draw(np.random.default_rng([seed, number]))
    random = np.random.default_rng([seed, number, view])
    head = Head(person, imm_pose(view, random))
    name = f"{number:02}-{view}{'f' if person.style == 'long' else 'm'}"
    path = _save(portrait(head, random), folder / f"{name}.jpg")
    (folder / f"{name}.asf").write_text(format_asf(head.imm58(), SIZE, path.name), encoding="ascii")
    return path


def imm_pose(view: int, random: np.random.Generator) -> Pose:
    """Sample pose, expression and light for one of IMM's six views.

    Args:
        view: number of the view, 1 to 6, see :data:`keypoints.data.readers.imm.VIEWS`.
        random: source of the random numbers.
    """
    turn = {3: -30.0, 4: 30.0}.get(view, 0.0)
    joker = view == 6
    happy = view == 2
    return Pose(
        centre=(320 + random.uniform(-45, 45) + turn, 225 + random.uniform(-22, 22)),
        scale=66 * random.uniform(0.92, 1.1),
        yaw=turn + random.uniform(-6, 6),
        pitch=random.uniform(-5, 5),
        roll=random.uniform(-4, 4) * (3 if joker else 1),
        smile=random.uniform(0.7, 1.1)
        if happy
        else random.uniform(-0.4, 1)
        if joker
        else random.uniform(-0.1, 0.2),
        mouth_open=random.uniform(0.04, 0.2) if happy else random.uniform(0, 0.8) if joker else 0.0,
        brows_up=random.uniform(-0.5, 1.5) if joker else random.uniform(-0.2, 0.2),
        eyes_open=random.uniform(0.45, 1.25) if joker else random.uniform(0.85, 1.1) - 0.15 * happy,
        light=(0.9, -0.25, 0.35) if view == 5 else (random.uniform(-0.5, 0.2), -0.5, 0.8),
        spot=0.9 if view == 5 else random.uniform(0.05, 0.3),
    )


def _wild_face(seed: int, number: int) -> tuple[Box, FloatArray, Head, np.random.Generator]:
    """Sample a face: its box (left, top, width, height), its points, its head and the random generator."""
    random = np.random.default_rng([seed, 1, number])
    scale = random.uniform(30, 90)
    pose = Pose(
        centre=tuple(random.uniform((200, 170), (440, 260))),
        scale=scale,
        yaw=random.normal(0, 16),
        pitch=random.normal(0, 6),
        roll=random.normal(0, 9),
        smile=random.uniform(-0.3, 1.1),
        mouth_open=max(0.0, random.uniform(-0.4, 0.7)),
        brows_up=random.uniform(-0.4, 0.9),
        eyes_open=random.uniform(0.6, 1.2),
        light=(random.uniform(-0.9, 0.9), random.uniform(-0.7, 0), random.uniform(0.3, 0.9)),
        spot=random.uniform(0.05, 0.7),
    )
    head = Head(Person.draw(random), pose)
    points = np.rint(head.ibug68())
    # Like the box of a face detector: nearly square, and a little above and left of the landmarks' box.
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    side = 1.05 * extent.mean() * random.uniform(0.93, 1.07)
    left, top = low + extent * (-0.045, -0.142) + extent.mean() * random.normal(0, 0.03, 2)
    return (round(left), round(top), round(side), round(side)), points, head, random


def _write_ibug_face(folder: Path, seed: int, item: tuple[int, str]) -> Path:
    number, name = item
    _, _, head, random = _wild_face(seed, number)
    picture = portrait(head, random)
    if "testset" in name:
        _save(np.ascontiguousarray(picture[:, ::-1]), folder / _mirror_name(name))
    return _save(picture, folder / name)


def _mirror_name(name: str) -> str:
    return name.replace(".jpg", "_mirror.jpg")


def _mirrored(box: Box, points: FloatArray) -> tuple[Box, FloatArray]:
    """Return the box and points of the mirrored copy: x becomes W - 1 - x, points are permuted."""
    left, top, width, height = box
    flipped = points[list(IBUG68.flip_indices or ())] * (-1, 1) + (SIZE[0] - 1, 0)
    return (SIZE[0] - width - left, top, width, height), flipped


def _write_xml(path: Path, faces: Sequence[tuple[str, Box, FloatArray | None]]) -> None:
    """Write dlib's list of images, boxes and, if given, points."""
    entries = [Entry(name, geometry.Box(*box), points, SIZE) for name, box, points in faces]
    path.write_text(format_dlib_xml(entries, "made-up faces"), encoding="ascii")


def _save(picture: ByteArray, path: Path) -> Path:
    Image.fromarray(picture).save(path, quality=_QUALITY)
    return path
