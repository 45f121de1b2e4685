import warnings

import numpy as np
import pandas as pd
import pytest

from keypoints.evaluation.per_face import ConfidenceGroup
from keypoints.evaluation.robustness import STRESSES
from keypoints.reports import error_figures
from keypoints.reports.figures import save

ERRORS = np.array([0.02, 0.03, 0.05, 0.2])


def test_cumulative_errors_rise_from_0_and_name_mean_auc_and_failures():
    figure = error_figures.cumulative_errors(
        {"model": ERRORS, "mean-shape baseline": ERRORS + 0.5}, 0.08, "something", "a title"
    )
    (axes,) = figure.axes
    model, constant = axes.get_lines()[:2]
    assert model.get_ydata()[0] == 0
    assert max(model.get_ydata()) <= 1
    assert list(np.diff(model.get_xdata()) >= 0) == [True] * (len(model.get_xdata()) - 1)
    assert constant.get_ydata().tolist() == [0, 0]  # all its errors are outside the plotted range
    assert "% of something" in axes.get_xlabel()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0] == "model: mean 7.50 %, AUC 0.438, failures 25.0 %"
    assert labels[2] == "threshold 8 %"


def test_faces_without_normalised_errors_are_named_in_the_legend():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = error_figures.cumulative_errors({"model": np.array([])}, 0.08, "something", "a title")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0] == "model: no face has a normalised error"


def test_the_worst_landmarks_are_numbered_on_the_mean_face():
    shape = np.random.default_rng(0).uniform(0, 100, (8, 2))
    figure = error_figures.by_landmark(shape, np.arange(1.0, 9.0), [(0, 1)], "a title")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [f"{index}: {index + 1}.0 px" for index in (7, 6, 5, 4, 3)]


def test_the_spread_of_constant_predictions_is_0():
    truth = np.random.default_rng(0).normal(100, 20, (12, 5, 2))
    same = np.broadcast_to(truth.mean(axis=0), truth.shape)
    left = error_figures.spread(truth, same, "a title").axes[0]
    for marks in left.collections:
        np.testing.assert_allclose(np.asarray(marks.get_offsets())[:, 1], 0, atol=1e-9)


def test_each_stress_has_axes_and_increases_to_the_right():
    rows = [
        {"stress": name, "level": level, "nme": 0.05 + place / 50, "constant_nme": 0.3}
        for name, kind in STRESSES.items()
        for place, level in enumerate(kind.levels)
    ]
    figure = error_figures.under_stress(pd.DataFrame(rows), "something", "a title")
    assert [axes.get_title() for axes in figure.axes] == [kind.title for kind in STRESSES.values()]
    assert figure.axes[2].xaxis_inverted()
    assert not figure.axes[0].xaxis_inverted()
    assert all(axes.get_yscale() == "log" for axes in figure.axes)


def test_stressed_faces_have_one_row_per_stress():
    picture = np.zeros((30, 40, 3), np.uint8)
    figure = error_figures.stressed_faces(
        {"blur": [("0", picture), ("2", picture)], "dark": [("1", picture)]}, "t"
    )
    assert [axes.get_xlabel() for axes in figure.axes] == ["0", "2", "1", ""]


@pytest.mark.parametrize("error", [np.nan, np.inf, 0.0, 4.3e18])
def test_nan_infinite_zero_and_huge_errors_are_plotted(tmp_path, error):
    same = np.full((2, 3, 2), 20.0)
    table = pd.DataFrame(
        [{"stress": name, "level": level, "nme": error} for name in STRESSES for level in (0, 1)]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = [
            error_figures.cumulative_errors(
                {"model": np.array([error, error])}, 0.08, "something", "a title"
            ),
            error_figures.by_landmark(same[0], np.full(3, min(error, 1e20)), [(0, 1)], "a title"),
            error_figures.spread(same, same, "a title"),
            error_figures.by_confidence(
                [ConfidenceGroup(0.5, error, 1)], [ConfidenceGroup(0.4, error, 1)], "something", "a title"
            ),
            error_figures.under_stress(table, "something", "a title"),
        ]
        for number, figure in enumerate(drawn):
            save(figure, tmp_path / f"{number}.png")
    label = drawn[0].legends[0].get_texts()[0].get_text()
    assert "nan" not in label
    assert label.endswith("failures 0.0 %" if error == 0 else "failures 100.0 %")
