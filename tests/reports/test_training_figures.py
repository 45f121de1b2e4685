import math
import warnings

import pandas as pd
import pytest

from keypoints.reports import figures, training_figures

HISTORY = pd.DataFrame(
    {
        "loss/train": [1.0, 0.1, 0.01],
        "loss/val": [0.5, 0.05, 0.06],
        "val/mse": [0.5, 0.05, 0.06],
        "loss/constant": [0.2] * 3,
        "val/mse_constant": [0.2] * 3,
    }
)


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_loss_curves_have_log_axis_unit_last_values_and_baseline():
    (axes,) = training_figures.loss_curves(HISTORY, "a title", "MSE", "ratio² of the input").axes
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "MSE (ratio² of the input)"
    assert labels(axes) == [
        "training MSE: last 0.01",
        "validation MSE: last 0.06",
        "mean-shape baseline: 0.2",
        "best epoch: 1",
    ]


def test_a_loss_other_than_mse_has_axes_of_its_own():
    other = HISTORY.assign(**{"loss/val": [0.9, 0.8, 0.7]}).drop(columns="loss/constant")
    loss, mse = training_figures.loss_curves(other, "a title", "L1", "ratios of the input").axes
    assert loss.get_ylabel() == "L1 (ratios of the input)"
    assert mse.get_ylabel() == training_figures.MSE_UNIT
    assert "best epoch: 1" in labels(mse)


def test_seeds_of_one_setting_share_colour_and_label():
    histories = {"a--seed-0": HISTORY, "a--seed-1": HISTORY, "b--seed-0": HISTORY}
    groups = {"a--seed-0": "a", "a--seed-1": "a", "b--seed-0": "b"}
    (axes,) = training_figures.comparison(histories, groups, "a title").axes
    assert labels(axes) == ["a", "b--seed-0: best 0.05", "mean-shape baseline: 0.2"]
    curves = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert curves[0].get_color() == curves[1].get_color() != curves[2].get_color()


def test_curves_of_many_settings_are_distinguishable():
    names = [str(number) for number in range(24)]
    (axes,) = training_figures.comparison(
        dict.fromkeys(names, HISTORY), dict(zip(names, names, strict=True)), ""
    ).axes
    curves = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert len({(str(line.get_color()), line.get_linestyle()) for line in curves}) == 24


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, 4.3e18])
@pytest.mark.parametrize("columns", [["val/mse"], ["loss/val", "val/mse"], list(HISTORY)], ids=len)
def test_curves_of_nan_infinite_zero_or_huge_metrics_are_plotted(tmp_path, value, columns):
    history = HISTORY.copy()
    history[columns] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curves = training_figures.loss_curves(history, "a title", "loss", "its unit")
        figures.save(curves, tmp_path / "curves.png")
        compared = training_figures.comparison({"run": history}, {"run": "setting"}, "a title")
        figures.save(compared, tmp_path / "comparison.png")
    said = [
        label
        for figure in (curves, compared)
        for each in figure.axes
        if each.get_legend()
        for label in labels(each)
    ]
    assert not any("nan" in label for label in said)
    assert value != 4.3e18 or "run: best 4.3e+18" in said


def test_each_fold_is_a_point_and_each_setting_has_its_mean():
    errors = {"a": {0: 0.002, 2: 0.004}, "b": {1: 0.003}, "c": {}}
    figure = training_figures.fold_errors(errors, 0.01, "a title")
    (axes,) = figure.axes
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in points] == [0.002, 0.004, 0.003]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    said = {text.get_text() for text in axes.texts}
    assert {"0", "1", "2", "0.003 ± 0.0014", "0.003 ± –"} == said
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "one fold",
        "mean over folds",
        "± one standard deviation",
        "mean-shape baseline, mean: 0.01",
    ]


@pytest.mark.parametrize("value", [0.0, math.inf, 4.3e18])
def test_folds_with_unusual_errors_are_plotted(value, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = training_figures.fold_errors({"a": {0: value, 1: 0.1}, "b": {0: value}}, math.nan, "")
        figures.save(figure, tmp_path / "folds.png")


@pytest.mark.parametrize(
    "figure_of",
    [
        lambda one: training_figures.loss_curves(one, "", "L1", "ratios"),
        lambda one: training_figures.comparison({"a": one, "b": one}, {"a": "a", "b": "b"}, ""),
        lambda one: training_figures.training_and_validation({"a": one}, {"a": "a"}, "", {"a": 4}),
    ],
    ids=["loss", "comparison", "panels"],
)
def test_a_single_epoch_is_a_dot_in_the_middle(figure_of):
    one = HISTORY.iloc[1:2].set_index(pd.Index([4])).assign(**{"loss/val": 0.9})
    figure = figure_of(one)
    for axes in figure.axes:
        assert axes.get_xlim() == (3, 5)
        assert list(axes.get_xticks()) == [4]
        assert any(line.get_marker() == "o" for line in axes.lines)


def test_one_run_of_several_keeps_the_others_epochs():
    one = HISTORY.iloc[:1]
    both = {"a": one, "b": HISTORY}
    figure = training_figures.training_and_validation(both, {"a": "a", "b": "b"}, "", {})
    assert all(axes.get_xlim()[1] >= 2 for axes in figure.axes)
