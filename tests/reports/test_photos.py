import re
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from keypoints.crop import Crop
from keypoints.drawing import BOX as BLUE
from keypoints.drawing import PREDICTION
from keypoints.geometry import Box
from keypoints.inference.prediction_files import PredictedFace, PredictedPhoto
from keypoints.inference.predictor import Predictor
from keypoints.reports.photos import PhotoReport
from keypoints.schemes import IMM58
from tests.conftest import draw_portrait, save_untrained

BOX = Box(215, 170, 200, 200)
NAMES = ('odd "name", [1] #?% ø.jpg', "no unicode \udcff.jpg")


@pytest.fixture
def predictor(untrained):
    return Predictor(untrained)


def true_face(box=BOX, **more):
    return PredictedFace(box, draw_portrait()[1], "given", **more)


def report(folder, predictor, faces, pixels=None):
    """Return the page of two photos, added in reverse order; the second cannot be read."""
    pixels = draw_portrait()[0] if pixels is None else pixels
    overlay = folder / "overlays" / f"{NAMES[0]}.png"
    overlay.parent.mkdir()
    Image.new("RGB", (1600, 1200), BLUE).save(overlay)
    page = PhotoReport(folder, predictor)
    page.add(1, PredictedPhoto(NAMES[1], None, [], [f"{NAMES[1]}: cannot be read"]), None, None)
    page.add(0, PredictedPhoto(NAMES[0], (640, 480), faces, []), pixels, overlay)
    return page.write().read_text(encoding="utf-8")


def test_the_page_shows_photo_face_and_origin_of_the_box(predictor, tmp_path):
    text = report(tmp_path, predictor, [true_face(score=1.25, confidence=np.full(68, 0.5))])
    addresses = [unquote(found) for found in re.findall(r'(?:src|href)="([^#"]+)"', text)]
    assert addresses == [f"overlays/{NAMES[0]}.png", "report/00000.jpg", "report/00000-0.jpg"]
    assert all((tmp_path / address).is_file() for address in addresses)
    assert Image.open(tmp_path / "report/00000.jpg").size == (320, 240)
    cells = re.findall("<td>(.*?)</td>", text)
    for row in (["box", "given"], ["detector&#39;s score", "1.25"], ["mean confidence", "0.5"]):
        assert cells[cells.index(row[0]) + 1] == row[1]
    assert cells[cells.index("box size, pixels") + 1] == "200 × 200"
    assert cells[cells.index("pixels across") + 1] == "260"
    first, second, last = re.findall(r"<h2 id=[^>]*>(.*?)</h2>", text)
    assert last == "Measures"
    assert set(re.findall('href="#(.*?)"', text)) <= set(re.findall(' id="(.*?)"', text))
    assert "middle of the points, across" in cells
    assert first.startswith("odd &#34;name&#34;")
    assert second == "no unicode \ufffd.jpg"
    assert "no unicode \ufffd.jpg: cannot be read" in text
    assert "holds no statistics of its training faces" in text
    assert "does not say which confidence is low" in text


def test_a_face_is_shown_as_the_network_sees_it(predictor, tmp_path):
    points = np.full((68, 2), (BOX.left + BOX.width / 4 - 0.5, BOX.top + BOX.height / 2 - 0.5))
    report(tmp_path, predictor, [PredictedFace(BOX, points, "given")], np.full((480, 640, 3), 90, np.uint8))
    drawn = np.asarray(Image.open(tmp_path / "report/00000-0.jpg")).astype(int)
    assert drawn.shape == (480, 480, 3)
    red = np.argwhere(np.abs(drawn - PREDICTION).max(axis=2) < 60)
    # The points are at a quarter of the box's width; the margin of 1.3 moves them towards the middle.
    np.testing.assert_allclose(red.mean(axis=0), [240, 480 * (0.5 - 0.25 / 1.3)], atol=3)


def test_notes_are_shown_beside_the_face_and_at_the_top(predictor, tmp_path):
    predictor.support = {"width": (280, 300), "tilt": (0, 30), "size": (0.9, 0.95)}
    text = report(tmp_path, predictor, [true_face(), true_face(Box(230, 185, 170, 170))])
    assert text.count("The box is unlike the boxes in training: the points span ") == 2
    assert ": The box is unlike the boxes in training.</li>" in text
    assert "Not all faces have a result.</li>" in text
    assert "2 faces, 2 with notes" in text
    assert "280 and more" in text
    assert "holds no statistics of its training faces" not in text
    assert "does not say which confidence is low" not in text


@pytest.mark.parametrize("place", [(200, 180), (5000, 5000)], ids=["inside", "outside"])
def test_a_face_of_a_full_photo_is_cropped_around_its_points(tmp_path, place):
    predictor = Predictor(save_untrained(tmp_path / "a.ckpt", IMM58.select("nose_tip"), Crop(40, 30)))
    face = PredictedFace(Box.of_image((640, 480)), np.array([place], np.float64), "image")
    text = report(tmp_path, predictor, [face])
    assert "full photo" in text
    drawn = np.asarray(Image.open(tmp_path / "report/00000-0.jpg")).astype(int)
    red = np.argwhere(np.abs(drawn - PREDICTION).max(axis=2) < 60)
    if place == (200, 180):
        np.testing.assert_allclose(red.mean(axis=0), [240, 240], atol=1.5)
    else:
        assert drawn.shape == (480, 480, 3)
