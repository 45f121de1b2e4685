"""Figures of the first layer: its learned filters, and their feature maps of a face."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from keypoints.formatting import counted
from keypoints.geometry import ByteArray, FloatArray
from keypoints.reports.figures import new_figure


def filters(weight: FloatArray, title: str) -> Figure:
    """Show the filters of a weight, (filters, channels, height, width), on one common colour scale."""
    planes = weight.mean(axis=1)
    columns = min(8, len(planes))
    rows = -(-len(planes) // columns)
    figure = new_figure(1.1 * columns + 1.2, 1.15 * rows + 0.6)
    grid = figure.subplots(rows, columns, squeeze=False)
    top = float(np.abs(planes).max()) or 1.0
    for place, axes in enumerate(grid.flat):
        axes.axis("off")
        if place < len(planes):
            image = axes.imshow(planes[place], cmap="RdBu_r", vmin=-top, vmax=top)
            axes.set_title(str(place), fontsize=8)
    colourbar = figure.colorbar(image, ax=grid, shrink=0.9)
    colourbar.set_label("weight" if weight.shape[1] == 1 else "weight, mean over input channels")
    figure.suptitle(title)
    return figure


def filters_of_runs(weights: Mapping[str, FloatArray], title: str, most: int = 12) -> Figure:
    """Show the first filters of several networks in a row each, on one common colour scale.

    Args:
        weights: (filters, channels, height, width) weight of each network, by the name of its run.
        title: title of the figure.
        most: largest number of filters of a network.
    """
    planes = {name: weight.mean(axis=1) for name, weight in weights.items()}
    columns = min(most, max(map(len, planes.values())))
    top = max(float(np.abs(each).max()) for each in planes.values()) or 1.0
    figure = new_figure(0.95 * columns + 2.6, 1.3 * len(planes) + 0.7)
    grid = figure.subplots(len(planes), columns, squeeze=False)
    for row, (name, own) in zip(grid, planes.items(), strict=True):
        for place, axes in enumerate(row):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_frame_on(False)
            if place < len(own):
                image = axes.imshow(own[place], cmap="RdBu_r", vmin=-top, vmax=top)
        shown = f"{min(len(own), columns)} of {len(own)}" if len(own) > columns else str(len(own))
        row[0].set_title(f"{name}: {counted(shown, 'filter')}", loc="left", fontsize=9)
    figure.colorbar(image, ax=grid, shrink=0.9).set_label("weight, mean over input channels")
    figure.suptitle(title)
    return figure


def feature_maps(image: ByteArray, maps: FloatArray, title: str) -> Figure:
    """Show a face and the response of each filter of the first layer, in standard deviations of its map.

    Args:
        image: (H, W) or (H, W, 3) input of the network.
        maps: (filters, h, w) feature maps.
        title: title of the figure.
    """
    columns = 4
    rows = 1 + -(-len(maps) // columns)
    height, width = maps.shape[1:]
    figure = new_figure(2.5 * columns + 1.2, (2.5 * height / width + 0.25) * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False)
    centred = maps - maps.mean(axis=(1, 2), keepdims=True)
    scaled = centred / np.maximum(centred.std(axis=(1, 2), keepdims=True), 1e-9)
    for axes in grid.flat:
        axes.axis("off")
    grid[0, 0].imshow(image, cmap="gray", vmin=0, vmax=255)
    grid[0, 0].set_title("the input", fontsize=9)
    for place, axes in zip(range(len(maps)), grid[1:].flat, strict=False):
        drawn = axes.imshow(scaled[place], cmap="RdBu_r", vmin=-3, vmax=3)
        axes.set_title(str(place), fontsize=8)
    figure.colorbar(drawn, ax=grid, shrink=0.6).set_label("response, in standard deviations of the map")
    figure.suptitle(title)
    return figure
