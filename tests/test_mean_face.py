import math

import pytest

from keypoints.mean_face import predicts_the_mean


@pytest.mark.parametrize("ratio", [None, math.nan, 0.5, math.inf])
def test_only_a_small_variance_ratio_gives_a_warning(ratio):
    assert predicts_the_mean(ratio) is None
    assert "vary 5.0 %" in predicts_the_mean(0.05)
