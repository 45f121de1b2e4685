import numpy as np
import pytest

from keypoints.reports.annotation_bias import draw_bias
from keypoints.reports.figures import save


@pytest.mark.draws
def test_arrows_point_from_predictions_to_labels(tmp_path):
    bias = np.zeros((68, 2))
    bias[30] = [0.02, 0.0]
    figure = draw_bias(bias)
    (arrows,) = [each for each in figure.axes[0].collections if hasattr(each, "U")]
    assert arrows.U[30] > 0
    assert np.count_nonzero(arrows.U) == 1
    assert figure.axes[0].yaxis_inverted()
    bias[16] = [0.1, 0.0]  # at the edge of the face
    axes = draw_bias(bias).axes[0]
    (arrows,) = [each for each in axes.collections if hasattr(each, "U")]
    assert axes.get_xlim()[1] > arrows.X[16] + arrows.U[16]
    save(figure, tmp_path / "bias.png")
    assert (tmp_path / "bias.png").stat().st_size > 1000
