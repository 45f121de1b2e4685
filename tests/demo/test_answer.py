import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from keypoints.confidence import ConfidenceCalibration
from keypoints.demo.answer import answer, example_photos
from keypoints.drawing import PREDICTION
from keypoints.geometry import Box
from keypoints.inference.prediction_files import PredictedFace
from keypoints.inference.predictor import Predictor
from keypoints.schemes import IMM58
from tests.conftest import draw_portrait

CALIBRATION = ConfidenceCalibration(0.6, (0.6, 0.9), (0.08, 0.03), "pair", 346)
PORTRAIT, POINTS = draw_portrait()
BOX = Box(215, 170, 200, 200)


@pytest.fixture
def ask(exported, monkeypatch):
    """Return a function that returns the answer to a photo in which the given faces are predicted."""
    photo = io.BytesIO()
    Image.fromarray(PORTRAIT).save(photo, "PNG")

    def asked(faces, calibration=None, scheme=None):
        predictor = Predictor(exported)
        predictor.scheme = scheme or predictor.scheme
        predictor.confidence_calibration = calibration
        monkeypatch.setattr(predictor, "prepare", lambda pixels: [])
        monkeypatch.setattr(predictor, "finish", lambda prepared: faces)
        return answer(predictor, "photo.png", photo.getvalue(), 1)

    return asked


def face(confidence=None, calibration=None, box=BOX, points=POINTS):
    note = "" if calibration is None else calibration.note(confidence)
    sure = None if confidence is None else np.full(len(points), confidence)
    return PredictedFace(box, points, "detected", 1.5, sure, None, note)


def pictures(html):
    found = re.findall('<img src="data:image/jpeg;base64,(.*?)"', html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))).astype(int) for each in found]


def test_the_confidence_of_a_model_is_shown(ask):
    html = ask([face(0.5)])
    assert "Confidence: <strong>50 %</strong>" in html
    assert re.search('<meter min="0" max="1" class="unknown" value="0.5" aria-label="Confidence">', html)
    assert "does not say which confidence is low" in html
    assert re.findall('<t[dh](?: scope="col")?>(.*?)</t', html) == [
        *("face", "confidence", "box", "from", "score"),
        *("0", "50%", "200 × 200 at 215, 170", "detector", "1.5"),
    ]


def test_a_low_confidence_is_said_at_once(ask):
    html = ask([face(0.34, CALIBRATION)], CALIBRATION)
    assert re.search('<p class="note said bad">photo.png: 1 face, with low confidence: its points', html)
    assert '<section class="face low"' in html
    assert "Low confidence: <strong>34 %</strong>" in html
    assert CALIBRATION.note(0.34) in html
    assert 'low="0.6"' in html
    assert "34% (low)" in html


def test_a_usual_confidence_is_shown_with_its_error(ask):
    html = ask([face(0.75, CALIBRATION)], CALIBRATION)
    assert "of this confidence have a mean error (NME) of 5.5 %" in html
    assert '"face low"' not in html
    assert '<p class="note said">photo.png: 1 face</p>' in html


def test_without_a_confidence_nothing_is_said_about_it(ask):
    assert "onfidence" not in ask([face()])


def test_faces_have_numbers_in_close_ups_and_the_photo(ask):
    html = ask([face(0.8, CALIBRATION), face(0.3, CALIBRATION)], CALIBRATION)
    assert "2 faces, 1 with low confidence: their points may be far off" in html
    assert re.findall("<h2.*?>(.*?)</h2>", html) == ["Face 0", "Face 1", "The photo"]
    single = pictures(ask([face()]))[-1]
    assert (np.abs(pictures(html)[-1] - single).max(axis=2) > 60).sum() > 200


def test_a_close_up_shows_the_whole_face_with_a_margin(ask):
    closeup, photo = pictures(ask([face()]))
    assert closeup.shape == (640, 640, 3)
    assert photo.shape == (480, 640, 3)
    rows, columns = np.nonzero(np.abs(closeup - PREDICTION).max(axis=2) < 60)
    for places in (rows, columns):
        assert 25 < places.min() < 250
        assert 390 < places.max() < 615


def test_a_small_face_of_a_large_photo_fills_its_close_up(ask):
    small = 0.2 * (POINTS - POINTS.mean(axis=0)) + POINTS.mean(axis=0)
    (middle_x, middle_y), side = small.mean(axis=0), 0.2 * BOX.width
    box = Box(middle_x - side / 2, middle_y - side / 2, side, side)
    drawn = pictures(ask([face(box=box, points=small)]))[0]
    red = np.argwhere(np.abs(drawn - PREDICTION).max(axis=2) < 60)
    assert np.ptp(red, axis=0).min() > 0.5 * len(drawn)


def test_a_few_points_are_shown_with_the_face_around_them(ask):
    point = PredictedFace(Box.of_image((640, 480)), np.array([[320.0, 240.0]]), "image")
    closeup, _ = pictures(ask([point], scheme=IMM58.select("nose_tip")))
    scale = 640 / (0.8 * 480)
    expected = np.asarray(Image.fromarray(PORTRAIT).resize((round(640 * scale), round(480 * scale))))
    left, top = round((320.5 - 192) * scale), round((240.5 - 192) * scale)
    assert np.abs(closeup - expected[top : top + 640, left : left + 640]).mean() < 6


def test_a_crowd_has_close_ups_of_its_first_faces(ask):
    html = ask([face()] * 15)
    assert len(pictures(html)) == 13
    assert "3 more faces are in the photo and the table below" in html
    assert html.count("<tr>") == 16


def test_examples_are_different_faces_that_a_detector_finds(exported):
    pytest.importorskip("dlib", reason="dlib is not installed (extra detect)")
    examples = example_photos()
    photos = [next(examples) for _ in range(3)]
    assert len(set(photos)) == 3
    for photo in photos:
        pixels = np.asarray(Image.open(io.BytesIO(photo)))
        assert pixels.shape == (480, 640, 3)
        assert len(Predictor(exported)(pixels)) == 1
