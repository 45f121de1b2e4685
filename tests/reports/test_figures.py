import math
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from keypoints.errors import printable
from keypoints.reports import error_figures, figures

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
    (axes,) = figures.loss_curves(HISTORY, "a title", "MSE", "ratio² of the input").axes
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
    loss, mse = figures.loss_curves(other, "a title", "L1", "ratios of the input").axes
    assert loss.get_ylabel() == "L1 (ratios of the input)"
    assert mse.get_ylabel() == figures.MSE_UNIT
    assert "best epoch: 1" in labels(mse)


def test_seeds_of_one_setting_share_colour_and_label():
    histories = {"a--seed-0": HISTORY, "a--seed-1": HISTORY, "b--seed-0": HISTORY}
    groups = {"a--seed-0": "a", "a--seed-1": "a", "b--seed-0": "b"}
    (axes,) = figures.comparison(histories, groups, "a title").axes
    assert labels(axes) == ["a", "b--seed-0: best 0.05", "mean-shape baseline: 0.2"]
    curves = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert curves[0].get_color() == curves[1].get_color() != curves[2].get_color()


def test_ticks_are_whole_epochs_and_narrow_titles_have_two_lines(tmp_path):
    figure = figures.comparison({"a": HISTORY.iloc[:1]}, {"a": "a"}, "a title")
    figures.save(figure, tmp_path / "comparison.png")
    (axes,) = figure.axes
    assert all(float(tick).is_integer() for tick in axes.get_xticks())
    face = figures.read_face(tmp_path / "gone.png", np.ones((1, 2)), np.ones((1, 2)), "")
    for count, line_ends in ((1, 1), (2, 0)):
        title = figures.faces({"a": [face] * count}, (), "the same good faces").get_suptitle()
        assert title.count("\n") == line_ends


def test_curves_of_many_settings_are_distinguishable():
    names = [str(number) for number in range(24)]
    (axes,) = figures.comparison(dict.fromkeys(names, HISTORY), dict(zip(names, names, strict=True)), "").axes
    curves = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert len({(str(line.get_color()), line.get_linestyle()) for line in curves}) == 24


def test_filters_share_one_labelled_colour_scale():
    figure = figures.filters(np.random.default_rng(0).normal(size=(10, 1, 5, 5)), "filters")
    shown = [axes.images[0] for axes in figure.axes if axes.images and len(axes.images[0].get_array()) == 5]
    assert len(shown) == 10
    assert len({image.get_clim() for image in shown}) == 1
    assert figure.axes[-1].get_ylabel() == "weight"


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "face.png"
    Image.new("L", (80, 60), 120).save(path)
    return path


def test_faces_show_truth_and_prediction_with_the_error_below(photo, tmp_path):
    truth, predicted = np.array([[10.0, 20.0]]), np.array([[30.0, 40.0]])
    face = figures.read_face(photo, truth, predicted, "face: 28.3 px")
    lost = figures.read_face(tmp_path / "gone.png", truth, predicted, "gone: 28.3 px")
    figure = figures.faces({"best": [face], "worst": [lost]}, (), "a title")
    first, second = figure.axes
    drawn = [tuple(points.get_offsets()[0]) for points in first.collections]
    assert drawn == [(10, 20), (30, 40)]
    assert (first.get_xlabel(), first.get_ylabel()) == ("face: 28.3 px", "best")
    assert [text.get_text() for text in second.texts] == ["photo not found"]


def test_a_batch_is_plotted_with_its_points():
    images = [np.zeros((60, 80), np.uint8)] * 3
    figure = figures.batch(images, np.full((3, 2, 2), 0.5), [(0, 1)], "a title")
    assert [tuple(axes.collections[0].get_offsets()[0]) for axes in figure.axes if axes.images] == [
        (39.5, 29.5)
    ] * 3


def test_a_figure_is_written_atomically(tmp_path):
    path = figures.save(figures.filters(np.ones((1, 1, 2, 2)), "x"), tmp_path / "figures" / "filters.png")
    before = path.read_bytes()

    class Broken(Figure):
        def savefig(self, file, **_):
            file.write_bytes(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        figures.save(Broken(), path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["filters.png"]


ODD = ["a$b{.jpg", "$\\frac{", "_hidden", "\x1b[31mred", "half \udc80", "[/] \u202etxt", "$a$ $b$", "100 %$"]


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_names_are_never_read_as_formulas(tmp_path, recwarn, name):
    histories = {name: HISTORY, "other": HISTORY}
    face = figures.read_face(tmp_path / "gone.png", np.ones((1, 2)), np.ones((1, 2)), name)
    cumulative = error_figures.cumulative_errors({name: np.array([0.1, 0.2])}, 0.1, name, name)
    pictures = np.zeros((8, 8), np.uint8)
    drawn = {
        "comparison": figures.comparison(histories, {name: name, "other": name}, name),
        "alone": figures.comparison(histories, {name: name, "other": "other"}, name),
        "curves": figures.loss_curves(HISTORY, name, name, name),
        "faces": figures.faces({name: [face]}, (), name),
        "samples": figures.samples({name: [pictures]}, {name: np.full((1, 1, 2), 0.5)}, (), name),
        "errors": cumulative,
    }
    for what, figure in drawn.items():
        assert figures.save(figure, tmp_path / f"{what}.png").stat().st_size
    first = drawn["alone"].axes[0].get_legend().get_texts()[0].get_text()
    assert first.strip() == f"{printable(name)}: best 0.05"
    ticks = [label.get_text() for label in drawn["alone"].axes[0].get_yticklabels()]
    assert any("mathdefault" in tick for tick in ticks)  # powers of ten are still formulas
    assert not [str(warned.message) for warned in recwarn if "Glyph" in str(warned.message)]


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, 4.3e18])
@pytest.mark.parametrize("columns", [["val/mse"], ["loss/val", "val/mse"], list(HISTORY)], ids=len)
def test_curves_of_nan_infinite_zero_or_huge_metrics_are_plotted(tmp_path, value, columns):
    history = HISTORY.copy()
    history[columns] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curves = figures.loss_curves(history, "a title", "loss", "its unit")
        figures.save(curves, tmp_path / "curves.png")
        compared = figures.comparison({"run": history}, {"run": "setting"}, "a title")
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
