import numpy as np
import pytest

from keypoints.confidence import LEAST_FACES, ConfidenceCalibration, calibrate

CALIBRATION = ConfidenceCalibration(0.6, (0.65, 0.7, 0.8), (0.08, 0.04, 0.02), "pair", 200)


def faces(count=200):
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 0.9, count)
    return confidence, (1 - confidence) / 10 * random.uniform(0.5, 1.5, count)


def test_one_face_in_a_hundred_is_below_the_threshold():
    confidence, errors = faces()
    found = calibrate(confidence, errors, "pair")
    assert sum(found.is_low(each) for each in confidence) == 2
    assert (found.faces, found.norm) == (200, "pair")


def test_expected_errors_fall_as_the_confidence_rises():
    found = calibrate(*faces(), "pair")
    expected = [found.expected_error(each) for each in np.linspace(0, 1, 50)]
    assert expected == sorted(expected, reverse=True)
    assert found.expected_error(0.6) == pytest.approx(0.04, abs=0.01)
    assert found.expected_error(0.1) == found.errors[0]


def test_faces_without_a_known_error_do_not_count():
    confidence, errors = faces(LEAST_FACES)
    assert calibrate(confidence, errors, "pair").faces == LEAST_FACES
    errors[3] = np.nan
    assert calibrate(confidence, errors, "pair") is None


def test_only_a_low_confidence_has_a_note():
    assert CALIBRATION.note(0.6) == ""
    assert CALIBRATION.note(0.35) == (
        "Low confidence: 0.35, but 99% of the 200 validation faces have 0.60 or more; the points may be far "
        "off"
    )


def test_plain_values_keep_the_calibration():
    assert ConfidenceCalibration.from_dict(CALIBRATION.to_dict()) == CALIBRATION


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": "high"},
        {"threshold": float("nan")},
        {"errors": [0.1]},
        {"confidences": [], "errors": []},
        {"confidences": [0.8, 0.7, 0.6]},
        {"faces": -1},
        {"norm": None},
    ],
)
def test_values_that_are_no_calibration_are_refused(wrong):
    with pytest.raises(ValueError, match=r"calibration|threshold|faces|norm|confidences|errors"):
        ConfidenceCalibration.from_dict({**CALIBRATION.to_dict(), **wrong})
    with pytest.raises(ValueError, match="threshold"):
        ConfidenceCalibration.from_dict({})
