import os

import numpy as np
from PIL import Image

from keypoints.geometry import Box
from keypoints.inference.overlays import write_overlay
from keypoints.inference.prediction_files import PredictedFace, PredictedPhoto

PIXELS = np.zeros((480, 640, 3), np.uint8)
FACE = PredictedFace(Box(200, 100, 200, 200), np.array([[300.0, 200.0]]), "given")


def photo(name, faces):
    return PredictedPhoto(name, (640, 480), faces, [])


def test_an_overlay_has_its_photos_name_and_shows_the_points(tmp_path):
    path = write_overlay(tmp_path, photo("some/one.jpg", [FACE]), PIXELS, ())
    assert path == tmp_path / "overlays" / "some" / "one.jpg.png"
    drawn = np.asarray(Image.open(path))
    assert drawn.shape == PIXELS.shape
    assert drawn[200, 300].tolist() != [0, 0, 0]


def test_a_photo_without_a_face_has_no_overlay(tmp_path):
    assert write_overlay(tmp_path, photo("a.jpg", []), PIXELS, ()) is None
    assert write_overlay(tmp_path, photo("a.jpg", [FACE]), None, ()) is None
    assert not list(tmp_path.iterdir())


def test_long_names_are_shortened_and_stay_distinct(tmp_path):
    names = ["ø" * 125 + ending for ending in ("a.jpg", "b.jpg")]
    paths = {write_overlay(tmp_path, photo(name, [FACE]), PIXELS, ()) for name in names}
    assert len(paths) == 2
    assert all(len(os.fsencode(path.name)) < 255 for path in paths)
