import math
from types import SimpleNamespace

import numpy as np
import pytest

from keypoints.confidence import ConfidenceCalibration
from keypoints.crop import Crop
from keypoints.errors import ConfigError
from keypoints.geometry import Affine, Box, pixels_to_ratio
from keypoints.inference.onnx_model import Located
from keypoints.inference.refinement import CroppedFace, Refinement, similarity
from keypoints.landmarks import LandmarkScheme

SCHEME = LandmarkScheme("spots", {"spots": (0, 1, 2)}, None, None, ())
CROP = Crop(80, 80, 3, "box", 1.0)
SHAPE = np.array([(25.0, 30.0), (55.0, 30.0), (40.0, 60.0)])
"""Two eyes and a mouth in the crop, each in a channel of its own."""
CALIBRATION = ConfidenceCalibration(0.5, (0.2, 0.9), (0.5, 0.01), "diagonal", 100)


class Spots:
    """Model that finds the spots of three channels; it is sure of upright faces, and wrong about others."""

    scheme, crop, mean_shape, at_once = SCHEME, CROP, pixels_to_ratio(SHAPE, CROP.size), 2
    confidence_calibration: ConfidenceCalibration | None = CALIBRATION

    def __init__(self):
        self.seen = 0

    def __call__(self, images):
        assert len(images) <= self.at_once
        self.seen += len(images)
        found, sure = zip(*(self._look(image + 0.5) for image in images), strict=True)
        return Located(np.stack(found), np.stack(sure))

    def _look(self, image):
        points = np.array([centre(channel) for channel in image])
        across = points[1] - points[0]
        angle = abs(math.degrees(math.atan2(across[1], across[0])))
        if angle > 50:
            return pixels_to_ratio(points[::-1] + 5, CROP.size), np.full(3, 0.1)
        return pixels_to_ratio(points, CROP.size), np.full(
            3, 0.95 - angle / 200 - abs(np.linalg.norm(across) / 30 - 1) / 9
        )


def centre(channel):
    """Return the middle of a spot."""
    if not channel.sum():
        return 40.0, 40.0
    y, x = np.indices(channel.shape)
    return (x * channel).sum() / channel.sum(), (y * channel).sum() / channel.sum()


def turned_face(angle, size=400, scale=1.5):
    """Return a photo of a turned face, its points and a box around it."""
    turn = math.radians(angle)
    linear = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    points = (SHAPE - SHAPE.mean(axis=0)) @ linear.T + size / 2
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    photo = np.zeros((size, size, 3), np.uint8)
    for channel, (across, down) in enumerate(points):
        photo[np.hypot(x - across, y - down) < 9 * scale, channel] = 255
    side = CROP.width * scale
    return photo, points, Box(size / 2 - side / 2, size / 2 - side / 2, side, side)


def predict(model, mode, angle, **how):
    photo, points, box = turned_face(angle, **how)
    crop, affine = CROP(photo, box)
    (seen,) = Refinement(model, mode)([CroppedFace(crop, affine, lambda: photo)])
    found = seen.affine.inverse()(seen.points * CROP.size - 0.5)
    return np.linalg.norm(found - points, axis=1).max(), seen


@pytest.mark.parametrize("angle", [0, 30, -40, 60, 90, 135, 180, 250, 300])
@pytest.mark.parametrize("mode", ["auto", True])
def test_faces_at_any_angle_are_found(mode, angle):
    error, seen = predict(Spots(), mode, angle)
    assert error < 1.5
    assert seen.passes == 2 or angle == 0
    assert seen.mean_confidence > 0.9


def test_without_a_second_pass_a_turned_face_is_missed():
    model = Spots()
    error, seen = predict(model, False, 90)
    assert error > 10
    assert (seen.passes, model.seen) == (1, 1)


def test_a_box_that_does_not_fit_gets_a_second_pass():
    error, seen = predict(Spots(), "auto", 0, scale=2.4)
    assert predict(Spots(), "auto", 0)[1].passes == 1
    photo, points, box = turned_face(0)
    wide = box.resized(1.9 * box.width, 1.9 * box.height)
    crop, affine = CROP(photo, wide)
    (seen,) = Refinement(Spots(), "auto")([CroppedFace(crop, affine, lambda: photo)])
    assert seen.passes == 2
    assert np.linalg.norm(seen.affine.inverse()(seen.points * CROP.size - 0.5) - points, axis=1).max() < 1.5
    assert error < 1.5


def test_files_without_a_calibration_predict_once_unless_asked():
    model = Spots()
    model.confidence_calibration = None
    assert predict(model, "auto", 90)[1].passes == 1
    error, seen = predict(model, True, 90)
    assert error < 1.5
    assert seen.passes == 2


def test_a_model_without_confidences_keeps_the_second_pass():
    class Plain(Spots):
        confidence_calibration = None

        def __call__(self, images):
            return super().__call__(images)._replace(confidence=None)

    error, seen = predict(Plain(), True, 30)
    assert error < 1.5
    assert (seen.passes, seen.confidence) == (2, None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crop": Crop(80, 80)}, "trained on full images"),
        ({"mean_shape": None}, "does not say where its training faces lie"),
        ({"scheme": LandmarkScheme("two", {"two": (0, 1)}, None, None, ())}, "three points or more"),
    ],
)
def test_a_model_that_cannot_look_twice_says_why(changes, words):
    model = SimpleNamespace(
        **{"scheme": SCHEME, "crop": CROP, "mean_shape": SHAPE, "confidence_calibration": None, **changes}
    )
    with pytest.raises(ConfigError, match=f"refine=true: .*{words}"):
        Refinement(model, True)
    assert not Refinement(model, "auto").sees_turned_faces


def test_a_face_whose_points_leave_the_photo_keeps_the_first_pass():
    class Lost(Spots):
        def _look(self, image):
            return np.array([(90.0, 90.0), (91.0, 90.0), (90.0, 91.0)]), np.full(3, 0.1)

    photo, _, box = turned_face(0)
    crop, affine = CROP(photo, box)
    (seen,) = Refinement(Lost(), "auto")([CroppedFace(crop, affine, lambda: photo)])
    assert seen.passes == 1


def test_a_similarity_takes_points_to_their_place():
    turned = Affine(np.array([[0.0, -2.0, 7.0], [2.0, 0.0, -3.0]]))
    found = similarity(SHAPE, turned(SHAPE))
    np.testing.assert_allclose(found.matrix, turned.matrix, atol=1e-9)
    with pytest.raises(ValueError, match="all points are equal"):
        similarity(np.ones((3, 2)), SHAPE)


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_crops_that_are_not_square_are_turned_too(angle, monkeypatch):
    monkeypatch.setattr(Spots, "crop", Crop(100, 80, 3, "box", 1.0))
    photo, points, box = turned_face(angle)
    crop, affine = Spots.crop(photo, box)
    shifted = np.add(SHAPE, (10, 0))
    monkeypatch.setattr(Spots, "mean_shape", pixels_to_ratio(shifted, (100, 80)))
    monkeypatch.setattr("tests.inference.test_refinement.CROP", Spots.crop)
    (seen,) = Refinement(Spots(), "auto")([CroppedFace(crop, affine, lambda: photo)])
    found = seen.affine.inverse()(seen.points * (100, 80) - 0.5)
    assert np.linalg.norm(found - points, axis=1).max() < 1.5
