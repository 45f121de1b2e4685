import math

import pytest

from keypoints.mean_face import collapse, collapse_note


@pytest.mark.parametrize("ratio", [None, math.nan, 0.5, math.inf])
def test_only_a_small_variance_ratio_gives_a_warning(ratio):
    assert collapse(ratio) is None
    assert collapse_note(ratio, 0.1, 0.1) == ""
    assert "vary 5.0 %" in collapse(0.05)


@pytest.mark.parametrize(
    ("mse", "baseline", "says", "note"),
    [
        (0.0052, 0.005, "It is about the mean face: MSE 0.0052", "predicts the mean face"),
        (0.02, 0.005, "It is not the mean face: MSE 0.02, that of the mean-shape", "predicts one face"),
        (0.02, None, "% as much as the truth", "predicts one face"),
        (None, 0.005, "% as much as the truth", "predicts one face"),
        (math.nan, 0.005, "% as much as the truth", "predicts one face"),
    ],
)
def test_one_face_and_the_mean_face_are_told_apart(mse, baseline, says, note):
    assert says in collapse(0.01, mse, baseline)
    assert ("mean face" in collapse(0.01, mse, baseline)) == ("It is" in says)
    assert collapse_note(0.01, mse, baseline) == note
