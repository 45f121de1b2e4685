import numpy as np

from keypoints.reports import filter_figures


def test_filters_share_one_labelled_colour_scale():
    figure = filter_figures.filters(np.random.default_rng(0).normal(size=(10, 1, 5, 5)), "filters")
    shown = [axes.images[0] for axes in figure.axes if axes.images and len(axes.images[0].get_array()) == 5]
    assert len(shown) == 10
    assert len({image.get_clim() for image in shown}) == 1
    assert figure.axes[-1].get_ylabel() == "weight"
